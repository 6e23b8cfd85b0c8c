//! `[registries]` of the configuration: how the image worker reaches registries, and how much it keeps.

use super::PrepareError;
use ipc::codec;
use ipc::limits::IMAGE_SETTINGS_BYTES;
use ipc::messages::pull::{ImageSettings, RegistrySettings};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Keys of the table, for reports of unknown ones.
pub(super) const KEYS: [&str; 6] = [
    "mirrors",
    "ca_file",
    "https_proxy",
    "no_proxy",
    "timeout",
    "cache_bytes",
];

/// Most bytes of a file with certificate authorities; that of a distribution has 200 KiB.
const AUTHORITIES_BYTES: u64 = 1024 * 1024;

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

impl Registries {
    /// As the image worker is told, with what is in the files that the table names.
    ///
    /// # Errors
    ///
    /// A file cannot be read or is too long.
    pub fn settings(&self) -> Result<RegistrySettings, PrepareError> {
        let defaults = RegistrySettings::default();
        Ok(RegistrySettings {
            mirrors: self.mirrors.clone().into_iter().collect(),
            authorities: match &self.ca_file {
                Some(path) => authorities(path)?,
                None => Vec::new(),
            },
            https_proxy: self.https_proxy.clone(),
            no_proxy: self.no_proxy.clone(),
            timeout: self.timeout.unwrap_or(defaults.timeout),
            cache_bytes: self.cache_bytes.unwrap_or(defaults.cache_bytes),
        })
    }
}

fn authorities(path: &Path) -> Result<Vec<u8>, PrepareError> {
    let unfit = |cause: String| PrepareError::Unfit {
        stage: "configuration",
        path: path.to_owned(),
        cause,
        remedy: "correct registries.ca_file: a file of certificates (PEM)".to_owned(),
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(AUTHORITIES_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| unfit(format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > AUTHORITIES_BYTES {
        return Err(unfit(format!("is larger than {AUTHORITIES_BYTES} bytes")));
    }
    Ok(bytes)
}

/// Settings of the image worker, in memory that nobody can change any more.
///
/// # Errors
///
/// They are too long, or there is no memory.
pub fn memory(settings: &ImageSettings) -> Result<OwnedFd, PrepareError> {
    let sealed = || -> io::Result<OwnedFd> {
        let bytes = codec::encode(settings, IMAGE_SETTINGS_BYTES).map_err(io::Error::other)?;
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let mut file = File::from(memfd_create("bpfman-settings", flags)?);
        file.write_all(&bytes)?;
        fcntl_add_seals(
            &file,
            SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL,
        )?;
        Ok(file.into())
    };
    sealed().map_err(|error| PrepareError::Unfit {
        stage: "configuration",
        path: "[registries] and [signing]".into(),
        cause: format!("cannot be passed on: {error}"),
        remedy: "shorten them".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Seek as _;

    fn parse(text: &str) -> Result<Registries, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn the_table_is_passed_on_whole() {
        let directory = tempfile::tempdir().unwrap();
        let ca = directory.path().join("ca.pem");
        std::fs::write(&ca, "certificates").unwrap();
        let text = format!(
            "ca_file = \"{}\"\nhttps_proxy = \"http://p:3128\"\nno_proxy = \"a,b\"\ntimeout = 5\ncache_bytes = 7\n\
             [mirrors]\n\"docker.io\" = [\"mirror.example\"]\n",
            ca.display()
        );
        let settings = parse(&text).unwrap().settings().unwrap();
        assert_eq!(
            settings,
            RegistrySettings {
                mirrors: vec![("docker.io".to_owned(), vec!["mirror.example".to_owned()])],
                authorities: b"certificates".to_vec(),
                https_proxy: Some("http://p:3128".to_owned()),
                no_proxy: Some("a,b".to_owned()),
                timeout: 5,
                cache_bytes: 7,
            }
        );
        assert_eq!(
            parse("").unwrap().settings().unwrap(),
            RegistrySettings::default()
        );
        let whole = ImageSettings {
            registries: settings,
            ..ImageSettings::default()
        };
        let mut file = File::from(memory(&whole).unwrap());
        let mut bytes = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        assert_eq!(codec::decode::<ImageSettings>(&bytes).unwrap(), whole);
        assert!(file.set_len(0).is_err());
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
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        let with = |path: &Path| {
            Registries {
                ca_file: Some(path.to_owned()),
                ..Registries::default()
            }
            .settings()
        };
        assert!(with(&path).is_err());
        std::fs::write(&path, vec![b'#'; AUTHORITIES_BYTES as usize]).unwrap();
        assert!(with(&path).is_ok());
        std::fs::write(&path, vec![b'#'; AUTHORITIES_BYTES as usize + 1]).unwrap();
        assert!(with(&path).is_err());
    }
}
