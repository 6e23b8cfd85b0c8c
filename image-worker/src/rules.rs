//! What the administrator configured for images, as it comes from the supervisor.

use ipc::codec;
use ipc::limits::IMAGE_SETTINGS_BYTES;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::pull::{ImageSettings, RegistrySettings};
use oci::registry::{Patience, Settings};
use rustix::io::pread;
use signing::{Policy, Trust};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

/// What holds for images.
#[derive(Debug)]
pub struct Rules {
    /// How registries are reached.
    pub registries: Settings,
    /// Bytes that the cache may take.
    pub cache_bytes: u64,
    /// Who must have signed what; where it cannot be read nothing is accepted, and this says why.
    pub policy: Result<Policy, Failure>,
    /// Whether programs are loaded from files of clients.
    pub local_files: bool,
}

impl Rules {
    /// Reads the settings beside `Activate`; without any, the defaults hold, which accept no unsigned image.
    ///
    /// # Errors
    ///
    /// They are not what a supervisor of this version sends.
    pub fn read(settings: Option<impl AsFd>) -> Result<Self, Failure> {
        let settings = match settings {
            Some(memory) => {
                codec::decode(&bytes(memory)?).map_err(|error| broken(error.to_string()))?
            }
            None => ImageSettings::default(),
        };
        Ok(Self::new(settings))
    }

    /// As settings say.
    pub fn new(settings: ImageSettings) -> Self {
        let ImageSettings {
            registries,
            signing,
        } = settings;
        let trust = match signing.trust_dir.as_str() {
            "" => Ok(Trust::default()),
            directory if Path::new(directory).is_dir() => Trust::read(Path::new(directory)),
            _ => Ok(Trust::default()),
        };
        let policy = trust.and_then(|trust| Policy::new(&signing, &trust)).map_err(|error| {
            Failure::new(
                FailureCode::FailedPrecondition,
                Stage::Policy,
                format!("the configuration of signatures cannot be used: {error}"),
            )
            .remedy("correct [signing] in the configuration or the files in the trust directory, then restart bpfmand")
        });
        let cache_bytes = registries.cache_bytes;
        Self {
            registries: registry_settings(registries),
            cache_bytes,
            policy,
            local_files: signing.local_files,
        }
    }
}

fn registry_settings(settings: RegistrySettings) -> Settings {
    let answer = Duration::from_secs(settings.timeout.into());
    let patience = Patience::default();
    Settings {
        mirrors: settings.mirrors.into_iter().collect(),
        authorities: settings.authorities,
        https_proxy: settings.https_proxy,
        no_proxy: settings.no_proxy,
        patience: Patience {
            connect: patience.connect.min(answer),
            silence: patience.silence.min(answer),
            answer,
        },
    }
}

fn bytes(memory: impl AsFd) -> Result<Vec<u8>, Failure> {
    let mut bytes = vec![0; IMAGE_SETTINGS_BYTES + 1];
    let mut length = 0;
    // The position is shared with whoever has the other descriptors of the same memory.
    loop {
        let read = pread(&memory, &mut bytes[length..], length as u64)
            .map_err(|error| broken(error.to_string()))?;
        length += read;
        if length > IMAGE_SETTINGS_BYTES {
            return Err(broken("they are too long".to_owned()));
        }
        if read == 0 {
            bytes.truncate(length);
            return Ok(bytes);
        }
    }
}

fn broken(cause: String) -> Failure {
    Failure::new(
        FailureCode::Internal,
        Stage::Request,
        format!("the settings from the supervisor cannot be read: {cause}"),
    )
    .remedy("use the same version of bpfmand and its workers")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn memory(bytes: &[u8]) -> std::fs::File {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).expect("written");
        file
    }

    #[test]
    fn settings_are_read_whole() {
        let settings = ImageSettings {
            registries: RegistrySettings {
                timeout: 5,
                cache_bytes: 7,
                ..RegistrySettings::default()
            },
            ..ImageSettings::default()
        };
        let encoded = codec::encode(&settings, IMAGE_SETTINGS_BYTES).expect("encoded");
        let rules = Rules::read(Some(memory(&encoded))).expect("rules");
        assert_eq!(rules.cache_bytes, 7);
        assert_eq!(rules.registries.patience.silence, Duration::from_secs(5));
        assert!(Rules::read(Some(memory(&encoded[1..]))).is_err());
        assert!(Rules::read(Some(memory(&vec![0; IMAGE_SETTINGS_BYTES + 1]))).is_err());
        assert!(
            Rules::read(None::<std::fs::File>)
                .expect("defaults")
                .policy
                .is_ok()
        );
    }

    #[test]
    fn a_key_that_is_not_there_is_no_reason_to_accept_everything() {
        let mut settings = ImageSettings::default();
        settings.signing.signers.keys = vec!["missing.pub".to_owned()];
        let failure = Rules::new(settings).policy.expect_err("no policy");
        assert!(failure.cause.contains("missing.pub"), "{failure}");
    }
}
