//! `[registries]`: how the image worker reaches registries, and how much it keeps.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The table. Whether hosts and certificates are what they should be is seen by the image worker, which uses them.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
pub struct Registries {
    /// Places to ask before a registry, by registry.
    #[serde(default)]
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// Certificate authorities (PEM) besides those of the system.
    pub ca_file: Option<PathBuf>,
    /// URL of a proxy for https.
    pub https_proxy: Option<String>,
    /// Hosts without proxy, separated by commas.
    pub no_proxy: Option<String>,
    /// Seconds that one answer of a registry may take.
    #[serde(default, deserialize_with = "seconds")]
    pub timeout: Option<u32>,
    /// Bytes that the image cache may take.
    pub cache_bytes: Option<u64>,
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
    fn what_is_wrong_is_refused() {
        for text in [
            "timeout = 0",
            "timeout = 3601",
            "timeout = \"5\"",
            "cache_bytes = -1",
            "mirrors = 1",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
