//! `[registries]`: how the image worker reaches registries, and how much it keeps.

use crate::limits::AUTHORITIES_BYTES;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

/// The table. Whether hosts answer, and what certificates are worth, is seen by the image worker, which uses them.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
pub struct Registries {
    /// Places to ask before a registry, by registry.
    #[serde(default, deserialize_with = "mirrors")]
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// Certificate authorities (PEM) besides those of the system.
    pub ca_file: Option<PathBuf>,
    /// URL of a proxy for https.
    #[serde(default, deserialize_with = "proxy")]
    pub https_proxy: Option<String>,
    /// Hosts without proxy, separated by commas.
    pub no_proxy: Option<String>,
    /// Seconds that one answer of a registry may take.
    #[serde(default, deserialize_with = "seconds")]
    pub timeout: Option<u32>,
    /// Bytes that the image cache may take.
    pub cache_bytes: Option<u64>,
}

impl Registries {
    /// Contents of the file with certificate authorities; empty if none is named.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is longer than [`AUTHORITIES_BYTES`].
    pub fn authorities(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if let Some(path) = &self.ca_file {
            let file = File::open(path)?;
            file.take(AUTHORITIES_BYTES + 1).read_to_end(&mut bytes)?;
        }
        if bytes.len() as u64 > AUTHORITIES_BYTES {
            let cause = format!("it is larger than {AUTHORITIES_BYTES} bytes");
            return Err(io::Error::other(cause));
        }
        Ok(bytes)
    }
}

/// By itself, for the error to be at its line.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Mirror(String);

impl TryFrom<String> for Mirror {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_plain =
            !text.is_empty() && !text.contains("://") && !text.contains(char::is_whitespace);
        match is_plain {
            true => Ok(Self(text)),
            false => Err(format!(
                "a mirror \"{text}\": it must be a host, as in \"mirror.example:5000\", or a host and a path"
            )),
        }
    }
}

fn mirrors<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, Vec<String>>, D::Error> {
    let named = BTreeMap::<String, Vec<Mirror>>::deserialize(deserializer)?;
    let plain = |mirrors: Vec<Mirror>| mirrors.into_iter().map(|mirror| mirror.0).collect();
    Ok(named
        .into_iter()
        .map(|(registry, mirrors)| (registry, plain(mirrors)))
        .collect())
}

fn proxy<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let url = String::deserialize(deserializer)?;
    let host = ["http://", "https://"]
        .iter()
        .find_map(|scheme| url.strip_prefix(scheme));
    match host.is_some_and(|host| !host.is_empty() && !host.contains(char::is_whitespace)) {
        true => Ok(Some(url)),
        false => Err(serde::de::Error::custom(
            "it must be a URL, as in \"http://proxy.example:3128\"",
        )),
    }
}

fn seconds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let seconds = u32::deserialize(deserializer)?;
    if !(1..=3600).contains(&seconds) {
        return Err(serde::de::Error::custom(
            "a number of seconds from 1 to 3600",
        ));
    }
    Ok(Some(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Registries, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn the_table_is_read() {
        let table =
            parse("timeout = 5\ncache_bytes = 7\n[mirrors]\n\"docker.io\" = [\"m\"]\n").unwrap();
        assert_eq!((table.timeout, table.cache_bytes), (Some(5), Some(7)));
        assert_eq!(table.mirrors["docker.io"], ["m"]);
        assert_eq!(parse("").unwrap(), Registries::default());
    }

    #[test]
    fn authorities_are_as_long_as_allowed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        let table = Registries {
            ca_file: Some(path.clone()),
            ..Registries::default()
        };
        assert!(table.authorities().is_err());
        let bytes = vec![b'#'; AUTHORITIES_BYTES as usize];
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(table.authorities().unwrap(), bytes);
        std::fs::write(&path, [bytes, vec![b'#']].concat()).unwrap();
        assert!(table.authorities().is_err());
        assert!(Registries::default().authorities().unwrap().is_empty());
    }

    #[test]
    fn what_is_wrong_is_refused() {
        for text in [
            "timeout = 0",
            "timeout = 3601",
            "timeout = \"5\"",
            "cache_bytes = -1",
            "mirrors = 1",
            "https_proxy = \"proxy.example:3128\"",
            "https_proxy = \"http://\"",
            "mirrors.\"docker.io\" = [\"\"]",
            "mirrors.\"docker.io\" = [\"https://mirror.example\"]",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
