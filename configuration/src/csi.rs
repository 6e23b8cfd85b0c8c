//! Volumes of Kubernetes pods.

use serde::{Deserialize, Deserializer, de};
use std::path::{Component, PathBuf};

/// Where the kubelet has its files unless it is told otherwise.
const KUBELET_DIR: &str = "/var/lib/kubelet";

/// `[csi]`
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct Csi {
    /// Whether volumes are served.
    #[serde(default)]
    pub enabled: bool,
    /// The kubelet's directory: nothing is mounted but beneath it.
    #[serde(default = "kubelet_dir", deserialize_with = "absolute")]
    pub kubelet_dir: PathBuf,
}

impl Default for Csi {
    fn default() -> Self {
        Self {
            enabled: false,
            kubelet_dir: kubelet_dir(),
        }
    }
}

fn kubelet_dir() -> PathBuf {
    KUBELET_DIR.into()
}

/// Targets are compared with it name by name.
fn absolute<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let path = PathBuf::deserialize(deserializer)?;
    let mut parts = path.components();
    let is_absolute = parts.next() == Some(Component::RootDir);
    let mut names = parts.peekable();
    if is_absolute
        && names.peek().is_some()
        && names.all(|part| matches!(part, Component::Normal(_)))
    {
        return Ok(path.components().collect());
    }
    Err(de::Error::custom(
        "it must be an absolute path of a directory, without `..`",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_is_absolute_and_plain() {
        let read = |text: &str| toml::from_str::<Csi>(&format!("kubelet_dir = \"{text}\""));
        assert_eq!(
            read("/data//kubelet/").unwrap().kubelet_dir,
            PathBuf::from("/data/kubelet")
        );
        for wrong in ["", "kubelet", "/", "/var/../etc"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert_eq!(toml::from_str::<Csi>("").unwrap(), Csi::default());
    }
}
