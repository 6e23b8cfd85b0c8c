//! The trust directory: public keys and trusted roots, pinned on disk.
//!
//! - `trusted_root.json`: certificate authorities, transparency logs, certificate logs and time stamp authorities, in the
//!   form of <https://github.com/sigstore/protobuf-specs> that every client of sigstore understands; or
//! - `fulcio.pem`, `rekor.pub`, and if certificates have timestamps `ctfe.pub`: the same as plain PEM, for one's own
//!   authority. Where no certificate log is trusted, none is asked for.
//! - any other file: a public key (PEM) that the configuration may name.

use crate::error::PolicyError;
use crate::limits;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sigstore_verify::Verifier;
use sigstore_verify::crypto::{KeyAlgorithm, SigningScheme};
use sigstore_verify::trust_root::TrustedRoot;
use sigstore_verify::types::DerPublicKey;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

const ROOT: &str = "trusted_root.json";
const FULCIO: &str = "fulcio.pem";
const REKOR: &str = "rekor.pub";
const CTFE: &str = "ctfe.pub";

/// What is in the trust directory.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Trust {
    files: BTreeMap<String, Vec<u8>>,
}

impl Trust {
    /// Reads the directory. One that does not exist is empty: then nobody is trusted.
    ///
    /// # Errors
    ///
    /// When anything in it cannot be read or is too much. Folders and names that are no text are left out.
    pub fn read(directory: &Path) -> Result<Self, PolicyError> {
        let unreadable = |path: &Path, source| PolicyError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(unreadable(directory, error)),
        };
        let mut files = BTreeMap::new();
        for entry in entries {
            let path = entry.map_err(|error| unreadable(directory, error))?.path();
            // Through links, too: the directory of a mounted Kubernetes secret consists of them.
            let metadata = fs::metadata(&path).map_err(|error| unreadable(&path, error))?;
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            if !metadata.is_file() {
                continue;
            }
            let mut bytes = Vec::new();
            File::open(&path)
                .and_then(|file| {
                    file.take(limits::TRUST_FILE_BYTES + 1)
                        .read_to_end(&mut bytes)
                })
                .map_err(|error| unreadable(&path, error))?;
            files.insert(name.to_owned(), bytes);
            if files.len() > limits::TRUST_FILES {
                break;
            }
        }
        Self::new(files)
    }

    /// Of these files.
    ///
    /// # Errors
    ///
    /// [`PolicyError::TooMany`], [`PolicyError::TooLarge`].
    pub fn new(files: BTreeMap<String, Vec<u8>>) -> Result<Self, PolicyError> {
        if files.len() > limits::TRUST_FILES {
            return Err(PolicyError::TooMany {
                what: "files in the trust directory",
                limit: limits::TRUST_FILES,
            });
        }
        let long = |bytes: &Vec<u8>| bytes.len() as u64 > limits::TRUST_FILE_BYTES;
        if let Some((name, _)) = files.iter().find(|(_, bytes)| long(bytes)) {
            return Err(PolicyError::TooLarge(name.clone()));
        }
        Ok(Self { files })
    }

    /// The files by name.
    pub fn into_files(self) -> BTreeMap<String, Vec<u8>> {
        self.files
    }

    /// A key by the name of its file.
    pub(crate) fn key(&self, name: &str) -> Result<Key, PolicyError> {
        let bytes = self
            .files
            .get(name)
            .ok_or_else(|| PolicyError::NoKey(name.to_owned()))?;
        Key::parse(name, bytes)
    }

    /// The trusted root, if there is one.
    pub(crate) fn root(&self) -> Result<Option<Arc<Root>>, PolicyError> {
        let root = match (self.files.get(ROOT), self.files.get(FULCIO)) {
            (Some(bytes), _) => Root::parse(ROOT, bytes)?,
            (None, Some(fulcio)) => Root::of_pem(
                fulcio,
                self.files.get(REKOR).map(Vec::as_slice),
                self.files.get(CTFE).map(Vec::as_slice),
            )?,
            (None, None) => return Ok(None),
        };
        Ok(Some(Arc::new(root)))
    }

    /// Feeds every file with its name and length.
    pub(crate) fn digest(&self, digest: &mut Sha256) {
        for (name, bytes) in &self.files {
            digest.update((name.len() as u64).to_le_bytes());
            digest.update(name);
            digest.update((bytes.len() as u64).to_le_bytes());
            digest.update(bytes);
        }
    }
}

/// A public key.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) spki: DerPublicKey,
    pub(crate) scheme: SigningScheme,
}

impl Key {
    fn parse(name: &str, bytes: &[u8]) -> Result<Self, PolicyError> {
        let bad = |cause: String| PolicyError::BadKey {
            name: name.to_owned(),
            cause,
        };
        let text = str::from_utf8(bytes).map_err(|error| bad(error.to_string()))?;
        let spki = DerPublicKey::from_pem(text).map_err(|error| bad(error.to_string()))?;
        let algorithm = KeyAlgorithm::from_spki(&spki).map_err(|error| bad(error.to_string()))?;
        Ok(Self {
            name: name.to_owned(),
            scheme: algorithm.default_signing_scheme(),
            spki,
        })
    }

    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(self.spki.as_bytes()).into()
    }
}

/// What certificates, log entries and time stamps are checked against.
pub(crate) struct Root {
    pub(crate) verifier: Verifier,
    /// Whether certificates must have a timestamp of a certificate log.
    pub(crate) certificate_logs: bool,
}

impl Root {
    fn parse(name: &str, bytes: &[u8]) -> Result<Self, PolicyError> {
        let bad = |cause: String| PolicyError::BadRoot {
            name: name.to_owned(),
            cause,
        };
        let root: TrustedRoot =
            serde_json::from_slice(bytes).map_err(|error| bad(error.to_string()))?;
        if root.certificate_authorities.is_empty() || root.tlogs.is_empty() {
            return Err(bad(
                "it has no certificate authority or no transparency log".to_owned(),
            ));
        }
        Ok(Self {
            verifier: Verifier::new(&root).map_err(|error| bad(error.to_string()))?,
            certificate_logs: !root.ctlogs.is_empty(),
        })
    }

    fn of_pem(
        fulcio: &[u8],
        rekor: Option<&[u8]>,
        ctfe: Option<&[u8]>,
    ) -> Result<Self, PolicyError> {
        let rekor = rekor.ok_or_else(|| PolicyError::NoKey(REKOR.to_owned()))?;
        let blocks = pem::parse_many(fulcio).map_err(|error| PolicyError::BadRoot {
            name: FULCIO.to_owned(),
            cause: error.to_string(),
        })?;
        let certificates: Vec<Value> = blocks
            .iter()
            .filter(|block| block.tag() == "CERTIFICATE")
            .map(|block| json!({"rawBytes": base64(block.contents())}))
            .collect();
        let ctlogs: Vec<Value> = ctfe
            .map(|bytes| log(CTFE, bytes))
            .transpose()?
            .into_iter()
            .collect();
        let root = json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log(REKOR, rekor)?],
            "ctlogs": ctlogs,
            "certificateAuthorities": [{"uri": "", "certChain": {"certificates": certificates}}],
        });
        Self::parse(FULCIO, root.to_string().as_bytes())
    }
}

impl std::fmt::Debug for Root {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Root").finish_non_exhaustive()
    }
}

/// A log of which nothing is known but its key.
fn log(name: &str, bytes: &[u8]) -> Result<Value, PolicyError> {
    let key = Key::parse(name, bytes)?;
    Ok(json!({
        "baseUrl": "",
        "hashAlgorithm": "SHA2_256",
        "publicKey": {"rawBytes": base64(key.spki.as_bytes()), "keyDetails": ""},
        "logId": {"keyId": base64(&key.fingerprint())},
    }))
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_does_not_exist_is_empty() {
        let directory = tempfile::tempdir().unwrap();
        let trust = Trust::read(&directory.path().join("none")).unwrap();
        assert_eq!(trust, Trust::default());
        assert!(matches!(trust.key("a.pub"), Err(PolicyError::NoKey(_))));
        assert!(trust.root().unwrap().is_none());
    }

    #[test]
    fn files_and_their_sizes_are_bounded() {
        let directory = tempfile::tempdir().unwrap();
        for index in 0..limits::TRUST_FILES {
            fs::write(directory.path().join(format!("{index}.pub")), "").unwrap();
        }
        fs::create_dir(directory.path().join("folder")).unwrap();
        let read = Trust::read(directory.path()).unwrap();
        assert_eq!(read.files.len(), limits::TRUST_FILES);
        fs::write(directory.path().join("more.pub"), "").unwrap();
        assert!(matches!(
            Trust::read(directory.path()),
            Err(PolicyError::TooMany { .. })
        ));
        for (bytes, fits) in [
            (limits::TRUST_FILE_BYTES, true),
            (limits::TRUST_FILE_BYTES + 1, false),
        ] {
            let directory = tempfile::tempdir().unwrap();
            fs::write(directory.path().join("a.pub"), vec![0; bytes as usize]).unwrap();
            assert_eq!(Trust::read(directory.path()).is_ok(), fits);
        }
    }

    #[test]
    fn the_root_of_the_public_service_is_understood() {
        let public = sigstore_verify::trust_root::SIGSTORE_PRODUCTION_TRUSTED_ROOT;
        let files = [(ROOT.to_owned(), public.as_bytes().to_vec())];
        let root = Trust::new(files.into()).unwrap().root().unwrap().unwrap();
        assert!(root.certificate_logs);
    }

    #[test]
    fn what_is_no_key_and_no_root_is_an_error() {
        let files = [
            (
                "a.pub",
                "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
            ),
            ("b.pub", "no key"),
            (ROOT, "{}"),
        ];
        let files = files.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
        let trust = Trust::new(files.into()).unwrap();
        for name in ["a.pub", "b.pub", ROOT] {
            assert!(
                matches!(trust.key(name), Err(PolicyError::BadKey { .. })),
                "{name}"
            );
        }
        assert!(matches!(trust.root(), Err(PolicyError::BadRoot { .. })));
        let empty = json!({"mediaType": "", "tlogs": [], "certificateAuthorities": []}).to_string();
        let trust = Trust::new([(ROOT.to_owned(), empty.into_bytes())].into()).unwrap();
        assert!(
            trust
                .root()
                .unwrap_err()
                .to_string()
                .contains("no certificate authority")
        );
        let trust = Trust::new([(FULCIO.to_owned(), Vec::new())].into()).unwrap();
        assert!(matches!(trust.root(), Err(PolicyError::NoKey(name)) if name == REKOR));
    }
}
