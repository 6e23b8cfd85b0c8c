//! `[registries]` of the configuration: how the image worker reaches registries, and how much it keeps.

use super::PrepareError;
use configuration::Registries;
use ipc::codec;
use ipc::limits::IMAGE_SETTINGS_BYTES;
use ipc::messages::pull::{ImageSettings, RegistrySettings};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;

/// As the image worker is told, with what is in the files that the table names.
///
/// # Errors
///
/// A file cannot be read or is too long.
pub fn settings(table: &Registries) -> Result<RegistrySettings, PrepareError> {
    let defaults = RegistrySettings::default();
    let unfit = |error: io::Error| PrepareError::Unfit {
        stage: "configuration",
        path: table.ca_file.clone().unwrap_or_default(),
        cause: format!("cannot be read: {error}"),
        remedy: "correct registries.ca_file: a file of certificates (PEM)".to_owned(),
    };
    Ok(RegistrySettings {
        mirrors: table.mirrors.clone().into_iter().collect(),
        authorities: table.authorities().map_err(unfit)?,
        https_proxy: table.https_proxy.clone(),
        no_proxy: table.no_proxy.clone(),
        timeout: table.timeout.unwrap_or(defaults.timeout),
        cache_bytes: table.cache_bytes.unwrap_or(defaults.cache_bytes),
    })
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
    use std::io::{Read as _, Seek as _};

    #[test]
    fn the_table_is_passed_on_whole() {
        let directory = tempfile::tempdir().unwrap();
        let ca = directory.path().join("ca.pem");
        std::fs::write(&ca, "certificates").unwrap();
        let table = Registries {
            mirrors: [("docker.io".to_owned(), vec!["mirror.example".to_owned()])].into(),
            ca_file: Some(ca),
            https_proxy: Some("http://p:3128".to_owned()),
            no_proxy: Some("a,b".to_owned()),
            timeout: Some(5),
            cache_bytes: Some(7),
        };
        let settings = settings(&table).unwrap();
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
            super::settings(&Registries::default()).unwrap(),
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
}
