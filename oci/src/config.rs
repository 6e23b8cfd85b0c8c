//! Image configurations: the machine that an image is for, and its labels (OCI image specification, config.md).

use crate::manifest::{Platform, check_count, or_default, parse};
use crate::{Error, limits};
use serde::Deserialize;
use std::collections::BTreeMap;

/// As much of a configuration as matters to bytecode.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// The machine; Docker leaves it out in some images.
    pub platform: Option<Platform>,
    /// The labels.
    pub labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    #[serde(default)]
    variant: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    config: Execution,
}

#[derive(Default, Deserialize)]
struct Execution {
    #[serde(default, rename = "Labels", deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
}

impl Config {
    /// Parses a configuration.
    ///
    /// # Errors
    ///
    /// Too large, or not what it must be.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        const WHAT: &str = "the image configuration";
        if bytes.len() as u64 > limits::CONFIG_BYTES {
            return Err(Error::too_many_bytes(WHAT, limits::CONFIG_BYTES));
        }
        let document: Document = parse(WHAT, bytes)?;
        check_count(
            "labels of the image",
            document.config.labels.len(),
            limits::LABELS,
        )?;
        let named = !document.architecture.is_empty() && !document.os.is_empty();
        Ok(Self {
            platform: named.then_some(Platform {
                architecture: document.architecture,
                os: document.os,
                variant: document.variant,
            }),
            labels: document.config.labels,
        })
    }

    /// Whether the image is for a machine. One that does not say for which is for every one: bytecode of one byte order
    /// is the same on all machines, and the object file itself is checked in any case.
    ///
    /// # Errors
    ///
    /// It is for another one.
    pub fn check_machine(&self, machine: &Platform) -> Result<(), Error> {
        match &self.platform {
            Some(platform) if !platform.fits(machine) => Err(Error::ForeignPlatform {
                wanted: machine.to_string(),
                found: crate::error::excerpt(&platform.to_string()),
            }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_machine_are_read() {
        let config = Config::parse(
            br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},
                "config":{"Labels":{"io.ebpf.programs":"{}"},"Env":["A=b"]}}"#,
        )
        .unwrap();
        assert_eq!(config.labels["io.ebpf.programs"], "{}");
        let platform = |architecture: &str| Platform {
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
            variant: Some("v8".to_owned()),
        };
        assert!(config.check_machine(&platform("amd64")).is_ok());
        assert!(config.check_machine(&platform("arm64")).is_err());
        for empty in ["{}", r#"{"config":null}"#, r#"{"config":{"Labels":null}}"#] {
            let config = Config::parse(empty.as_bytes()).unwrap();
            assert!(config.labels.is_empty());
            assert!(config.check_machine(&platform("arm64")).is_ok());
        }
    }

    #[test]
    fn what_is_no_configuration_is_refused() {
        for text in [
            "",
            "[]",
            "{\"config\":1}",
            "{\"config\":{\"Labels\":{\"a\":1}}}",
            "{",
        ] {
            assert!(Config::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn size_and_labels_are_bounded() {
        let padded = |bytes: u64| format!("{{{}}}", " ".repeat(bytes as usize - 2));
        assert!(Config::parse(padded(limits::CONFIG_BYTES).as_bytes()).is_ok());
        assert!(Config::parse(padded(limits::CONFIG_BYTES + 1).as_bytes()).is_err());
        let labelled = |count: usize| {
            let labels: Vec<String> = (0..count)
                .map(|label| format!("\"{label}\":\"\""))
                .collect();
            format!("{{\"config\":{{\"Labels\":{{{}}}}}}}", labels.join(","))
        };
        assert!(Config::parse(labelled(limits::LABELS).as_bytes()).is_ok());
        assert!(Config::parse(labelled(limits::LABELS + 1).as_bytes()).is_err());
    }
}
