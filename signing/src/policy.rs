//! The policy: settings with their patterns compiled and their keys read.

use crate::error::PolicyError;
use crate::limits;
use crate::pattern::{Repositories, Text};
use crate::trust::{Key, Root, Trust};
use ipc::messages::signing::{Demand, Signers, SigningSettings, TrustedIdentity};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// Bytes of settings: more than all bounds together allow cannot come.
const SETTINGS_BYTES: usize = 4 * 1024 * 1024;

/// Who must have signed what.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(crate) verify: bool,
    local_files: bool,
    default: Terms,
    rules: Vec<Rule>,
    pub(crate) root: Option<Arc<Root>>,
    digest: [u8; 32],
}

#[derive(Clone, Debug)]
struct Rule {
    images: Repositories,
    terms: Terms,
}

/// What holds for an image.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) demand: Compiled,
    pub(crate) signed_as: Vec<Repositories>,
}

#[derive(Clone, Debug)]
pub(crate) enum Compiled {
    SignedBy(Trusted),
    Nothing,
    Refused,
}

/// Who is trusted.
#[derive(Clone, Debug)]
pub(crate) struct Trusted {
    pub(crate) keys: Vec<Key>,
    pub(crate) identities: Vec<(Text, Text)>,
    /// Whoever has a certificate of a trusted authority.
    pub(crate) anybody: bool,
    pub(crate) logged: bool,
    pub(crate) unsigned: bool,
}

impl Policy {
    /// Compiles settings against what the trust directory holds.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with a pattern, a key or a root: a policy is whole or there is none.
    pub fn new(settings: &SigningSettings, trust: &Trust) -> Result<Self, PolicyError> {
        if settings.rules.len() > limits::RULES {
            return Err(PolicyError::TooMany {
                what: "rules",
                limit: limits::RULES,
            });
        }
        let mut default = trusted(&settings.signers, trust)?;
        default.unsigned = settings.allow_unsigned;
        // As it was before there were rules: where unsigned images are accepted and nobody is named, any signer will do.
        default.anybody |= settings.allow_unsigned && settings.signers == Signers::default();
        let rules = settings
            .rules
            .iter()
            .map(|rule| {
                let demand = match &rule.demand {
                    Demand::SignedBy(signers)
                        if signers.keys.is_empty() && signers.identities.is_empty() =>
                    {
                        return Err(PolicyError::NoSigner(rule.images.clone()));
                    }
                    Demand::SignedBy(signers) => Compiled::SignedBy(trusted(signers, trust)?),
                    Demand::Nothing => Compiled::Nothing,
                    Demand::Refused => Compiled::Refused,
                };
                let signed_as = rule.signed_as.iter().map(|text| Repositories::parse(text));
                Ok(Rule {
                    images: Repositories::parse(&rule.images)?,
                    terms: Terms {
                        demand,
                        signed_as: signed_as.collect::<Result<_, _>>()?,
                    },
                })
            })
            .collect::<Result<_, PolicyError>>()?;
        Ok(Self {
            verify: settings.verify,
            local_files: settings.local_files,
            default: Terms {
                demand: Compiled::SignedBy(default),
                signed_as: Vec::new(),
            },
            rules,
            root: trust.root()?,
            digest: digest(settings, trust)?,
        })
    }

    /// SHA-256 over settings, keys and roots: verdicts of different policies are not mixed up by it.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Whether programs may be loaded from files of clients.
    pub fn allows_local_files(&self) -> bool {
        self.local_files
    }

    /// Whether signatures of this repository's images matter. If not, they need not be fetched.
    pub fn wants_signatures(&self, repository: &str) -> bool {
        self.verify && matches!(self.terms(repository).demand, Compiled::SignedBy(_))
    }

    /// The first rule that names the repository, else what holds for all.
    pub(crate) fn terms(&self, repository: &str) -> &Terms {
        self.rules
            .iter()
            .find(|rule| rule.images.contains(repository))
            .map_or(&self.default, |rule| &rule.terms)
    }
}

fn trusted(signers: &Signers, trust: &Trust) -> Result<Trusted, PolicyError> {
    if signers.keys.len().max(signers.identities.len()) > limits::SIGNERS {
        return Err(PolicyError::TooMany {
            what: "keys or identities of one rule",
            limit: limits::SIGNERS,
        });
    }
    let anybody = signers.identities.iter().any(TrustedIdentity::is_anybody);
    if anybody && signers.identities.len() > 1 {
        return Err(PolicyError::BadPattern {
            pattern: ".*".to_owned(),
            cause: "an identity that matches everybody makes the others meaningless: name one or the other"
                .to_owned(),
        });
    }
    Ok(Trusted {
        keys: signers
            .keys
            .iter()
            .map(|name| trust.key(name))
            .collect::<Result<_, _>>()?,
        identities: signers
            .identities
            .iter()
            .map(|identity| Ok((Text::new(&identity.subject)?, Text::new(&identity.issuer)?)))
            .collect::<Result<_, PolicyError>>()?,
        anybody: false,
        logged: signers.logged,
        unsigned: false,
    })
}

fn digest(settings: &SigningSettings, trust: &Trust) -> Result<[u8; 32], PolicyError> {
    let encoded =
        ipc::codec::encode(settings, SETTINGS_BYTES).map_err(|_| PolicyError::TooMany {
            what: "bytes of settings",
            limit: SETTINGS_BYTES,
        })?;
    let mut digest = Sha256::new();
    digest.update((encoded.len() as u64).to_le_bytes());
    digest.update(&encoded);
    trust.digest(&mut digest);
    Ok(digest.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::messages::signing::{Pattern, SigningRule};

    fn rule(images: &str, demand: Demand) -> SigningRule {
        SigningRule {
            images: images.to_owned(),
            demand,
            signed_as: Vec::new(),
        }
    }

    fn identity(subject: &str) -> TrustedIdentity {
        TrustedIdentity {
            subject: Pattern::Regexp(subject.to_owned()),
            issuer: Pattern::Regexp(".*".to_owned()),
        }
    }

    fn signers(identities: Vec<TrustedIdentity>) -> Signers {
        Signers {
            identities,
            ..Signers::default()
        }
    }

    #[test]
    fn the_first_rule_counts() {
        let settings = SigningSettings {
            rules: vec![
                rule("quay.io/a/b", Demand::Nothing),
                rule("quay.io/a/*", Demand::Refused),
                rule("quay.io/a/c", Demand::Nothing),
            ],
            ..SigningSettings::default()
        };
        let policy = Policy::new(&settings, &Trust::default()).unwrap();
        assert!(matches!(
            policy.terms("quay.io/a/b").demand,
            Compiled::Nothing
        ));
        assert!(matches!(
            policy.terms("quay.io/a/c").demand,
            Compiled::Refused
        ));
        assert!(matches!(
            policy.terms("quay.io/b").demand,
            Compiled::SignedBy(_)
        ));
        assert!(policy.wants_signatures("quay.io/b") && !policy.wants_signatures("quay.io/a/b"));
        let off = SigningSettings {
            verify: false,
            ..settings
        };
        let off = Policy::new(&off, &Trust::default()).unwrap();
        assert!(!off.wants_signatures("quay.io/b"));
        assert_ne!(policy.digest(), off.digest());
    }

    #[test]
    fn a_policy_that_means_nothing_is_refused() {
        let nobody = rule("*", Demand::SignedBy(Signers::default()));
        let everybody_and_one = signers(vec![identity(".*"), identity("one@example.com")]);
        for settings in [
            SigningSettings {
                rules: vec![nobody],
                ..SigningSettings::default()
            },
            SigningSettings {
                signers: everybody_and_one,
                ..SigningSettings::default()
            },
            SigningSettings {
                signers: signers(vec![identity("")]),
                ..SigningSettings::default()
            },
            SigningSettings {
                signers: Signers {
                    keys: vec!["missing.pub".to_owned()],
                    ..Signers::default()
                },
                ..SigningSettings::default()
            },
        ] {
            assert!(Policy::new(&settings, &Trust::default()).is_err());
        }
    }

    #[test]
    fn rules_and_signers_are_bounded() {
        for (count, fits) in [(limits::RULES, true), (limits::RULES + 1, false)] {
            let settings = SigningSettings {
                rules: vec![rule("quay.io/a", Demand::Nothing); count],
                ..SigningSettings::default()
            };
            assert_eq!(Policy::new(&settings, &Trust::default()).is_ok(), fits);
        }
        for (count, fits) in [(limits::SIGNERS, true), (limits::SIGNERS + 1, false)] {
            let settings = SigningSettings {
                signers: signers(vec![identity("a@example.com"); count]),
                ..SigningSettings::default()
            };
            assert_eq!(Policy::new(&settings, &Trust::default()).is_ok(), fits);
        }
    }

    #[test]
    fn files_of_the_trust_directory_are_part_of_the_digest() {
        let settings = SigningSettings::default();
        let of = |files: &[(&str, &str)]| {
            let files = files
                .iter()
                .map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()));
            let trust = Trust::new(files.collect()).unwrap();
            Policy::new(&settings, &trust).unwrap().digest()
        };
        let digests = [
            of(&[]),
            of(&[("a", "b")]),
            of(&[("a", "c")]),
            of(&[("ab", "")]),
            of(&[("a", ""), ("b", "")]),
        ];
        for (index, digest) in digests.iter().enumerate() {
            assert!(!digests[..index].contains(digest));
        }
    }
}
