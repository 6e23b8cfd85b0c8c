//! Files and directories that a configuration names, and without which the service does not start.

use crate::error::{ConfigError, KeyError};
use crate::keys::Origin;
use crate::{Config, Loaded};
use std::fs;
use std::path::Path;

impl Loaded {
    /// Whether they are there, and are what they should be; the kubelet's directory if volumes are served, which a flag may
    /// have decided otherwise than the file.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Keys`] with all that are not.
    pub fn check_named(&self, serves_volumes: bool) -> Result<(), ConfigError> {
        let faults = faults(&self.config, serves_volumes);
        let errors: Vec<KeyError> = faults
            .map(|(key, cause)| KeyError {
                line: self.line(key),
                key: key.to_owned(),
                cause,
            })
            .collect();
        match &self.file {
            Some(path) if !errors.is_empty() => Err(ConfigError::Keys {
                path: path.clone(),
                errors,
            }),
            _ => Ok(()),
        }
    }

    /// Where a key stands; the first line for one that does not.
    fn line(&self, key: &str) -> usize {
        let value = self.values.iter().find(|value| value.key == key);
        match value.map(|value| value.origin) {
            Some(Origin::File(line)) => line,
            _ => 1,
        }
    }
}

fn faults(config: &Config, serves_volumes: bool) -> impl Iterator<Item = (&'static str, String)> {
    let (signing, csi, registries) = (&config.signing, &config.csi, &config.registries);
    let trust_dir = signing.trust_dir().filter(|_| signing.trust_dir_named);
    let trust_dir = trust_dir.and_then(directory_fault);
    let is_wanted = csi.enabled && serves_volumes;
    let kubelet_dir = is_wanted.then(|| directory_fault(&csi.kubelet_dir));
    let ca_file = registries
        .ca_file
        .as_deref()
        .zip(registries.authorities().err());
    let found = [
        ("signing.trust_dir", trust_dir),
        (
            "registries.ca_file",
            ca_file.map(|(path, error)| format!("names {}: {error}", path.display())),
        ),
        (
            "csi.enabled",
            kubelet_dir
                .flatten()
                .map(|fault| format!("is true, and csi.kubelet_dir {fault}")),
        ),
    ];
    found
        .into_iter()
        .filter_map(|(key, fault)| Some((key, fault?)))
}

fn directory_fault(path: &Path) -> Option<String> {
    let cause = match fs::metadata(path) {
        Ok(found) if found.is_dir() => return None,
        Ok(_) => "it is no directory".to_owned(),
        Err(error) => error.to_string(),
    };
    Some(format!("names {}: {cause}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), String> {
        check_with(text, true)
    }

    fn check_with(text: &str, serves_volumes: bool) -> Result<(), String> {
        let loaded = crate::parse(text).unwrap();
        let loaded = Loaded {
            file: Some("bpfman.toml".into()),
            ..loaded
        };
        loaded
            .check_named(serves_volumes)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_named_must_be_there() {
        assert_eq!(check(""), Ok(()));
        let there =
            "[signing]\ntrust_dir = \"/\"\n[csi]\nenabled = true\nkubelet_dir = \"/proc\"\n";
        assert_eq!(check(there), Ok(()));
        for (text, words) in [
            (
                "[signing]\n\ntrust_dir = \"/no/keys\"",
                "line 3: signing.trust_dir names /no/keys: No such file",
            ),
            (
                "[signing]\ntrust_dir = \"/proc/version\"",
                "line 2: signing.trust_dir names /proc/version: it is no directory",
            ),
            (
                "[registries]\nca_file = \"/no/ca.pem\"",
                "line 2: registries.ca_file names /no/ca.pem: No such file",
            ),
            (
                "[csi]\nenabled = true\nkubelet_dir = \"/no/kubelet\"",
                "line 2: csi.enabled is true, and csi.kubelet_dir names /no/kubelet: No such file",
            ),
        ] {
            let error = check(text).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        // Who serves no volumes needs no kubelet.
        assert_eq!(check("[csi]\nkubelet_dir = \"/no/kubelet\""), Ok(()));
        let switched_off = "[csi]\nenabled = true\nkubelet_dir = \"/no/kubelet\"";
        assert_eq!(check_with(switched_off, false), Ok(()));
    }
}
