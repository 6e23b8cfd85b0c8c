//! `[signing]` of the configuration: who must have signed an image.

use ipc::messages::signing::{
    Demand, Pattern, Signers, SigningRule, SigningSettings, TrustedIdentity,
};
use serde::Deserialize;
use std::path::Path;

/// Where keys and roots are, unless the configuration says otherwise; it need not exist.
pub const DEFAULT_TRUST_DIR: &str = "/etc/bpfman/trust";

/// The table, checked.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(try_from = "Table")]
pub struct Signing {
    /// What the image worker is told.
    pub settings: SigningSettings,
    /// Whether the directory was named: then it must exist.
    pub trust_dir_named: bool,
}

impl Default for Signing {
    fn default() -> Self {
        Self {
            settings: SigningSettings {
                trust_dir: DEFAULT_TRUST_DIR.to_owned(),
                ..SigningSettings::default()
            },
            trust_dir_named: false,
        }
    }
}

impl Signing {
    /// The trust directory, if it has to be read: one that was not named need not exist.
    pub fn trust_dir(&self) -> Option<&Path> {
        let path = Path::new(&self.settings.trust_dir);
        (self.trust_dir_named || path.is_dir()).then_some(path)
    }
}

#[derive(Deserialize)]
struct Table {
    #[serde(default = "yes")]
    verify_enabled: bool,
    #[serde(default)]
    allow_unsigned: bool,
    #[serde(default)]
    local_files: LocalFiles,
    trust_dir: Option<String>,
    #[serde(flatten)]
    signers: SignersTable,
    #[serde(default)]
    rules: Vec<RuleTable>,
}

fn yes() -> bool {
    true
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LocalFiles {
    #[default]
    Allow,
    Refuse,
}

#[derive(Deserialize)]
struct SignersTable {
    #[serde(default)]
    keys: Vec<String>,
    #[serde(default)]
    require_log: bool,
    #[serde(default)]
    trusted_identities: Vec<IdentityTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentityTable {
    certificate_identity: Option<String>,
    certificate_identity_regexp: Option<String>,
    certificate_oidc_issuer: Option<String>,
    certificate_oidc_issuer_regexp: Option<String>,
}

/// A key that is unknown here would make a rule weaker than its author thinks: it is an error.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleTable {
    images: String,
    #[serde(default)]
    require: Require,
    #[serde(default)]
    keys: Vec<String>,
    #[serde(default)]
    require_log: bool,
    #[serde(default)]
    trusted_identities: Vec<IdentityTable>,
    #[serde(default)]
    signed_as: Vec<String>,
}

#[derive(Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Require {
    #[default]
    Signature,
    Nothing,
    Refuse,
}

impl TryFrom<Table> for Signing {
    type Error = String;

    fn try_from(table: Table) -> Result<Self, String> {
        let trust_dir_named = table.trust_dir.is_some();
        let trust_dir = table
            .trust_dir
            .unwrap_or_else(|| DEFAULT_TRUST_DIR.to_owned());
        if !Path::new(&trust_dir).is_absolute() {
            return Err("signing.trust_dir must be an absolute path".to_owned());
        }
        Ok(Self {
            settings: SigningSettings {
                verify: table.verify_enabled,
                allow_unsigned: table.allow_unsigned,
                local_files: matches!(table.local_files, LocalFiles::Allow),
                signers: table.signers.try_into()?,
                rules: table
                    .rules
                    .into_iter()
                    .map(SigningRule::try_from)
                    .collect::<Result<_, _>>()?,
                trust_dir,
            },
            trust_dir_named,
        })
    }
}

impl TryFrom<SignersTable> for Signers {
    type Error = String;

    fn try_from(table: SignersTable) -> Result<Self, String> {
        if let Some(path) = table.keys.iter().find(|name| name.contains('/')) {
            return Err(format!(
                "the key \"{path}\" must be the name of a file in signing.trust_dir"
            ));
        }
        Ok(Self {
            keys: table.keys,
            logged: table.require_log,
            identities: table
                .trusted_identities
                .into_iter()
                .map(TrustedIdentity::try_from)
                .collect::<Result<_, _>>()?,
        })
    }
}

impl TryFrom<IdentityTable> for TrustedIdentity {
    type Error = String;

    fn try_from(table: IdentityTable) -> Result<Self, String> {
        let one = |what: &str, exact, regexp| match (exact, regexp) {
            (Some(exact), None) => Ok(Pattern::Exact(exact)),
            (None, Some(regexp)) => Ok(Pattern::Regexp(regexp)),
            (Some(_), Some(_)) => Err(format!(
                "a trusted identity has {what} and {what}_regexp: give one of them"
            )),
            (None, None) => Err(format!("a trusted identity needs {what} or {what}_regexp")),
        };
        Ok(Self {
            subject: one(
                "certificate_identity",
                table.certificate_identity,
                table.certificate_identity_regexp,
            )?,
            issuer: one(
                "certificate_oidc_issuer",
                table.certificate_oidc_issuer,
                table.certificate_oidc_issuer_regexp,
            )?,
        })
    }
}

impl TryFrom<RuleTable> for SigningRule {
    type Error = String;

    fn try_from(table: RuleTable) -> Result<Self, String> {
        let images = table.images;
        let nobody = table.keys.is_empty() && table.trusted_identities.is_empty();
        let demand = match table.require {
            Require::Signature if nobody => {
                return Err(format!(
                    "the rule for \"{images}\" requires a signature and names neither keys nor trusted_identities"
                ));
            }
            Require::Signature => Demand::SignedBy(
                SignersTable {
                    keys: table.keys,
                    require_log: table.require_log,
                    trusted_identities: table.trusted_identities,
                }
                .try_into()?,
            ),
            Require::Nothing | Require::Refuse if !nobody => {
                return Err(format!(
                    "the rule for \"{images}\" names signers, and does not require a signature"
                ));
            }
            Require::Nothing => Demand::Nothing,
            Require::Refuse => Demand::Refused,
        };
        Ok(Self {
            images,
            demand,
            signed_as: table.signed_as,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Signing, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn without_a_table_nobody_is_trusted() {
        assert_eq!(parse("").unwrap(), Signing::default());
        let settings = Signing::default().settings;
        assert!(settings.verify && !settings.allow_unsigned && settings.local_files);
    }

    #[test]
    fn a_file_of_the_established_implementation_is_understood() {
        let signing = parse(
            "allow_unsigned = true\nverify_enabled = true\n\
             [[trusted_identities]]\ncertificate_identity_regexp = \"https://github.com/bpfman/.*\"\n\
             certificate_oidc_issuer = \"https://token.actions.githubusercontent.com\"\n",
        )
        .unwrap();
        assert!(signing.settings.allow_unsigned);
        assert_eq!(
            signing.settings.signers.identities,
            [TrustedIdentity {
                subject: Pattern::Regexp("https://github.com/bpfman/.*".to_owned()),
                issuer: Pattern::Exact("https://token.actions.githubusercontent.com".to_owned()),
            }]
        );
    }

    #[test]
    fn rules_are_read_in_their_order() {
        let signing = parse(
            "local_files = \"refuse\"\ntrust_dir = \"/proc/no/keys\"\nkeys = [\"a.pub\"]\nrequire_log = true\n\
             [[rules]]\nimages = \"localhost:5000/*\"\nrequire = \"nothing\"\n\
             [[rules]]\nimages = \"quay.io/x/*\"\nkeys = [\"x.pub\"]\nsigned_as = [\"ghcr.io/x/*\"]\n\
             [[rules]]\nimages = \"*\"\nrequire = \"refuse\"\n",
        )
        .unwrap();
        assert_eq!(signing.trust_dir(), Some(Path::new("/proc/no/keys")));
        let settings = signing.settings;
        assert!(signing.trust_dir_named && !settings.local_files && settings.signers.logged);
        assert_eq!(settings.trust_dir, "/proc/no/keys");
        let demands: Vec<_> = settings.rules.iter().map(|rule| &rule.demand).collect();
        let with_key = Signers {
            keys: vec!["x.pub".to_owned()],
            ..Signers::default()
        };
        assert_eq!(
            demands,
            [
                &Demand::Nothing,
                &Demand::SignedBy(with_key),
                &Demand::Refused
            ]
        );
        assert_eq!(settings.rules[1].signed_as, ["ghcr.io/x/*"]);
    }

    #[test]
    fn what_is_ambiguous_or_weaker_than_it_looks_is_an_error() {
        for (text, reason) in [
            ("trust_dir = \"keys\"", "absolute"),
            ("keys = [\"/etc/a.pub\"]", "name of a file"),
            ("local_files = \"maybe\"", "maybe"),
            ("verify_enabled = \"no\"", "boolean"),
            (
                "[[trusted_identities]]\ncertificate_identity = \"a\"",
                "certificate_oidc_issuer",
            ),
            (
                "[[trusted_identities]]\ncertificate_oidc_issuer = \"a\"",
                "certificate_identity",
            ),
            (
                "[[trusted_identities]]\ncertificate_identity = \"a\"\ncertificate_identity_regexp = \"b\"\n\
                 certificate_oidc_issuer = \"c\"",
                "give one of them",
            ),
            (
                "[[trusted_identities]]\ncertificate_identiy = \"a\"",
                "unknown field",
            ),
            ("[[rules]]\nimages = \"*\"", "neither keys nor"),
            ("[[rules]]\nrequire = \"nothing\"", "images"),
            (
                "[[rules]]\nimages = \"*\"\nrequire = \"nothing\"\nkeys = [\"a\"]",
                "does not require",
            ),
            ("[[rules]]\nimages = \"*\"\nkey = [\"a\"]", "unknown field"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
