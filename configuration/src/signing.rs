//! `[signing]` of the configuration: who must have signed an image.

use ipc::messages::signing::{
    Demand, Pattern, Signers, SigningRule, SigningSettings, TrustedIdentity,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};

/// Where keys and roots are, unless the configuration says otherwise; it need not exist.
pub const DEFAULT_TRUST_DIR: &str = "/etc/bpfman/trust";

/// The table, checked.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(from = "Table")]
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
    trust_dir: Option<TrustDir>,
    #[serde(default)]
    keys: Vec<KeyName>,
    #[serde(default)]
    require_log: bool,
    #[serde(default)]
    trusted_identities: Identities,
    #[serde(default)]
    rules: Vec<Rule>,
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

// What is checked by itself is a type of its own: then the error is at its line, and not at that of the table.

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct TrustDir(String);

impl TryFrom<String> for TrustDir {
    type Error = &'static str;

    fn try_from(path: String) -> Result<Self, Self::Error> {
        match Path::new(&path).is_absolute() {
            true => Ok(Self(path)),
            false => Err("it must be an absolute path"),
        }
    }
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct KeyName(String);

impl TryFrom<String> for KeyName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        match name.contains('/') {
            true => Err(format!(
                "\"{name}\" must be the name of a file in signing.trust_dir"
            )),
            false => Ok(Self(name)),
        }
    }
}

#[derive(Deserialize)]
#[serde(try_from = "IdentityTable")]
struct Identity(TrustedIdentity);

#[derive(Default, Deserialize)]
#[serde(try_from = "Vec<Identity>")]
struct Identities(Vec<TrustedIdentity>);

impl TryFrom<Vec<Identity>> for Identities {
    type Error = &'static str;

    fn try_from(identities: Vec<Identity>) -> Result<Self, Self::Error> {
        let identities: Vec<_> = identities.into_iter().map(|identity| identity.0).collect();
        match identities.len() > 1 && identities.iter().any(TrustedIdentity::is_anybody) {
            true => Err(
                "an identity that matches everybody makes the others meaningless: name one or the other",
            ),
            false => Ok(Self(identities)),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentityTable {
    certificate_identity: Option<String>,
    certificate_identity_regexp: Option<String>,
    certificate_oidc_issuer: Option<String>,
    certificate_oidc_issuer_regexp: Option<String>,
}

#[derive(Deserialize)]
#[serde(try_from = "RuleTable")]
struct Rule(SigningRule);

/// A key that is unknown here would make a rule weaker than its author thinks: it is an error.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleTable {
    images: String,
    #[serde(default)]
    require: Require,
    #[serde(default)]
    keys: Vec<KeyName>,
    #[serde(default)]
    require_log: bool,
    #[serde(default)]
    trusted_identities: Identities,
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

impl From<Table> for Signing {
    fn from(table: Table) -> Self {
        Self {
            trust_dir_named: table.trust_dir.is_some(),
            settings: SigningSettings {
                verify: table.verify_enabled,
                allow_unsigned: table.allow_unsigned,
                local_files: matches!(table.local_files, LocalFiles::Allow),
                signers: signers(table.keys, table.require_log, table.trusted_identities),
                rules: table.rules.into_iter().map(|rule| rule.0).collect(),
                trust_dir: table
                    .trust_dir
                    .map_or_else(|| DEFAULT_TRUST_DIR.to_owned(), |path| path.0),
            },
        }
    }
}

/// What is wrong with a trusted identity.
pub(crate) fn identity_fault(table: Spanned<DeValue<'_>>) -> Option<String> {
    fault::<Identity>(table)
}

/// What is wrong with a rule.
pub(crate) fn rule_fault(table: Spanned<DeValue<'_>>) -> Option<String> {
    fault::<Rule>(table)
}

fn fault<T: DeserializeOwned>(table: Spanned<DeValue<'_>>) -> Option<String> {
    let read = T::deserialize(ValueDeserializer::from(table));
    read.err().map(|error| error.message().to_owned())
}

fn signers(keys: Vec<KeyName>, logged: bool, identities: Identities) -> Signers {
    Signers {
        keys: keys.into_iter().map(|key| key.0).collect(),
        logged,
        identities: identities.0,
    }
}

impl TryFrom<IdentityTable> for Identity {
    type Error = String;

    fn try_from(table: IdentityTable) -> Result<Self, String> {
        let one = |what: &str, exact: Option<String>, regexp: Option<String>| match (exact, regexp)
        {
            (Some(text), None) | (None, Some(text)) if text.is_empty() => {
                Err(format!("a trusted identity has an empty {what}"))
            }
            (Some(exact), None) => Ok(Pattern::Exact(exact)),
            (None, Some(regexp)) => match expression_fault(&regexp) {
                Some(fault) => Err(format!("{what}_regexp \"{regexp}\": {fault}")),
                None => Ok(Pattern::Regexp(regexp)),
            },
            (Some(_), Some(_)) => Err(format!(
                "a trusted identity has {what} and {what}_regexp: give one of them"
            )),
            (None, None) => Err(format!("a trusted identity needs {what} or {what}_regexp")),
        };
        Ok(Self(TrustedIdentity {
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
        }))
    }
}

/// What is wrong with a regular expression (syntax of the crate `regex`). The image worker compiles it, which may still be
/// too much for it.
fn expression_fault(text: &str) -> Option<String> {
    let parsed = regex_syntax::ast::parse::Parser::new().parse(text);
    parsed.err().map(|error| error.kind().to_string())
}

impl TryFrom<RuleTable> for Rule {
    type Error = String;

    fn try_from(table: RuleTable) -> Result<Self, String> {
        let images = table.images;
        let nobody = table.keys.is_empty() && table.trusted_identities.0.is_empty();
        let demand = match table.require {
            Require::Signature if nobody => {
                return Err(format!(
                    "the rule for \"{images}\" requires a signature and names neither keys nor trusted_identities"
                ));
            }
            Require::Signature => Demand::SignedBy(signers(
                table.keys,
                table.require_log,
                table.trusted_identities,
            )),
            Require::Nothing | Require::Refuse if !nobody => {
                return Err(format!(
                    "the rule for \"{images}\" names signers, and does not require a signature"
                ));
            }
            Require::Nothing => Demand::Nothing,
            Require::Refuse => Demand::Refused,
        };
        Ok(Self(SigningRule {
            images,
            demand,
            signed_as: table.signed_as,
        }))
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
            (
                "[[trusted_identities]]\ncertificate_identity_regexp = \"((\"\ncertificate_oidc_issuer = \"c\"",
                "certificate_identity_regexp \"((\": unclosed group",
            ),
            (
                "[[trusted_identities]]\ncertificate_identity = \"\"\ncertificate_oidc_issuer = \"c\"",
                "empty certificate_identity",
            ),
            (
                "[[trusted_identities]]\ncertificate_identity_regexp = \".*\"\ncertificate_oidc_issuer_regexp = \".*\"\n\
                 [[trusted_identities]]\ncertificate_identity = \"a\"\ncertificate_oidc_issuer = \"c\"",
                "matches everybody",
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
