//! Every key there is, with its default; what a file says of each, and which of its keys are none.

use crate::error::KeyError;
use crate::kinds::{Kind, is_not};
use crate::place::line;
use crate::signing;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A key, or a table of keys.
enum Known {
    /// A key: what its value must be, and its default in TOML; none for keys that have no value unless they are given.
    Key(Kind, Option<&'static str>),
    /// These keys.
    Table(&'static [(&'static str, Known)]),
    /// These keys and never others: leaving one out that is not understood would make the service trust more.
    Closed(&'static [(&'static str, Known)]),
    /// Any names, each with this.
    Names(&'static Known),
    /// A list of tables with these keys and never others, and what is wrong with one of them as a whole; empty unless it is
    /// given.
    List(&'static [(&'static str, Known)], Check),
}

/// Says what is wrong with a table whose keys and values are in order by themselves.
type Check = fn(Spanned<DeValue<'_>>) -> Option<String>;

use Kind::{Number, Text, Texts, Truth, Word};
use Known::{Closed, Key, List, Names, Table};

/// The largest number that TOML has.
const MOST: u64 = i64::MAX as u64;

const IDENTITIES: Known = List(
    &[
        ("certificate_identity", Key(Text, None)),
        ("certificate_identity_regexp", Key(Text, None)),
        ("certificate_oidc_issuer", Key(Text, None)),
        ("certificate_oidc_issuer_regexp", Key(Text, None)),
    ],
    signing::identity_fault,
);

const KEYS: &[(&str, Known)] = &[
    (
        "logging",
        Table(&[
            ("level", Key(Text, Some("\"info\""))),
            ("format", Key(Word(&["text", "json"]), Some("\"text\""))),
            ("components", Names(&Key(Text, None))),
        ]),
    ),
    (
        "signing",
        Closed(&[
            ("verify_enabled", Key(Truth, Some("true"))),
            ("allow_unsigned", Key(Truth, Some("false"))),
            (
                "local_files",
                Key(Word(&["allow", "refuse"]), Some("\"allow\"")),
            ),
            ("trust_dir", Key(Text, Some("\"/etc/bpfman/trust\""))),
            ("keys", Key(Texts, Some("[]"))),
            ("require_log", Key(Truth, Some("false"))),
            ("trusted_identities", IDENTITIES),
            (
                "rules",
                List(
                    &[
                        ("images", Key(Text, None)),
                        (
                            "require",
                            Key(Word(&["signature", "nothing", "refuse"]), None),
                        ),
                        ("keys", Key(Texts, None)),
                        ("require_log", Key(Truth, None)),
                        ("trusted_identities", IDENTITIES),
                        ("signed_as", Key(Texts, None)),
                    ],
                    signing::rule_fault,
                ),
            ),
        ]),
    ),
    (
        "registries",
        Closed(&[
            ("mirrors", Names(&Key(Texts, None))),
            ("ca_file", Key(Text, None)),
            ("https_proxy", Key(Text, None)),
            ("no_proxy", Key(Text, None)),
            ("timeout", Key(Number(1..=3600), Some("120"))),
            ("cache_bytes", Key(Number(0..=MOST), Some("536870912"))),
        ]),
    ),
    (
        "csi",
        Closed(&[
            ("enabled", Key(Truth, Some("false"))),
            ("kubelet_dir", Key(Text, Some("\"/var/lib/kubelet\""))),
        ]),
    ),
    (
        "interfaces",
        Names(&Table(&[(
            "xdp_mode",
            Key(Word(&["skb", "drv", "hw"]), None),
        )])),
    ),
    (
        "database",
        Table(&[
            ("max_retries", Key(Number(0..=u32::MAX as u64), Some("10"))),
            ("millisec_delay", Key(Number(0..=MOST), Some("1000"))),
        ]),
    ),
];

/// A key with its value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Value {
    /// The whole key, as in `logging.level`.
    pub key: String,
    /// As it is written in TOML; tables in lists are only counted.
    pub text: String,
    /// Where it comes from.
    pub origin: Origin,
}

impl Value {
    /// A text without its quotes; nothing for other values, and for texts with escapes, which levels do not need.
    pub(crate) fn as_text(&self) -> Option<&str> {
        let quoted = |quote| self.text.strip_prefix(quote)?.strip_suffix(quote);
        quoted('"').or_else(|| quoted('\''))
    }
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Origin {
    /// Nothing was said.
    Default,
    /// A line of the file, from 1.
    File(usize),
}

/// A key that this version does not know, and that looks like none that it knows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unknown {
    /// Line of the file, from 1.
    pub line: usize,
    /// The whole key.
    pub key: String,
}

/// What a file says.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// In the order of the keys here.
    pub(crate) values: Vec<Value>,
    pub(crate) unknown: Vec<Unknown>,
    pub(crate) wrong: Vec<KeyError>,
}

/// What is so when nothing is said.
pub(crate) fn defaults() -> Vec<Value> {
    let mut found = Found::default();
    Walk {
        text: "",
        found: &mut found,
    }
    .table(None, KEYS, false, "");
    found.values
}

/// Compares a file with the keys there are.
pub(crate) fn walk(text: &str, table: &DeTable<'_>) -> Found {
    let mut found = Found::default();
    Walk {
        text,
        found: &mut found,
    }
    .table(Some(table), KEYS, false, "");
    found
}

struct Walk<'a> {
    text: &'a str,
    found: &'a mut Found,
}

impl Walk<'_> {
    fn table(
        &mut self,
        table: Option<&DeTable<'_>>,
        known: &'static [(&'static str, Known)],
        closed: bool,
        prefix: &str,
    ) {
        for (name, kind) in known {
            let entry = table.and_then(|table| {
                table
                    .iter()
                    .find(|(key, _)| key.get_ref().as_ref() == *name)
                    .map(|(_, value)| value)
            });
            self.entry(entry, kind, format!("{prefix}{name}"));
        }
        self.unknown(table, known, closed, prefix);
    }

    /// Keys of a table that are not among these.
    fn unknown(
        &mut self,
        table: Option<&DeTable<'_>>,
        known: &'static [(&'static str, Known)],
        closed: bool,
        prefix: &str,
    ) {
        let keys = table.into_iter().flat_map(DeTable::iter);
        for (key, _) in keys.filter(|(key, _)| {
            known
                .iter()
                .all(|(name, _)| key.get_ref().as_ref() != *name)
        }) {
            let line = self.line(key.span());
            let name = key.get_ref();
            let suggestion = self.suggest(name, known, prefix);
            let key = format!("{prefix}{name}");
            if suggestion.is_empty() && !closed {
                self.found.unknown.push(Unknown { line, key });
            } else {
                let cause = format!("is not known{suggestion}");
                self.found.wrong.push(KeyError { line, key, cause });
            }
        }
    }

    fn entry(&mut self, entry: Option<&Spanned<DeValue<'_>>>, kind: &'static Known, key: String) {
        let table = match entry.map(Spanned::get_ref) {
            Some(DeValue::Table(table)) => Some(table),
            _ => None,
        };
        let prefix = format!("{key}.");
        if let (Table(_) | Closed(_) | Names(_), Some(value), None) = (kind, entry, table) {
            let cause = is_not(self.written(value), &format!("a table: [{key}]"));
            return self.fault(value, &key, Some(cause));
        }
        match kind {
            Key(kind, default) => {
                self.check(kind, entry, &key);
                self.value(entry, *default, key);
            }
            List(known, check) => {
                self.members(entry, known, *check, &prefix);
                self.value(entry, Some("[]"), key);
            }
            Table(known) => self.table(table, known, false, &prefix),
            Closed(known) => self.table(table, known, true, &prefix),
            Names(kind) => {
                for (name, value) in table.into_iter().flat_map(DeTable::iter) {
                    self.entry(Some(value), kind, format!("{prefix}{}", name.get_ref()));
                }
            }
        }
    }

    fn value(
        &mut self,
        entry: Option<&Spanned<DeValue<'_>>>,
        default: Option<&'static str>,
        key: String,
    ) {
        let (text, origin) = match (entry, default) {
            (Some(value), _) => (self.shown(value), Origin::File(self.line(value.span()))),
            (None, Some(default)) => (default.to_owned(), Origin::Default),
            (None, None) => return,
        };
        self.found.values.push(Value { key, text, origin });
    }

    fn check(&mut self, kind: &Kind, entry: Option<&Spanned<DeValue<'_>>>, key: &str) {
        if let Some(value) = entry {
            let fault = kind.fault(value.get_ref(), self.written(value));
            self.fault(value, key, fault);
        }
    }

    fn fault(&mut self, value: &Spanned<DeValue<'_>>, key: &str, fault: Option<String>) {
        let line = self.line(value.span());
        self.found.wrong.extend(fault.map(|cause| KeyError {
            line,
            key: key.to_owned(),
            cause,
        }));
    }

    fn written(&self, value: &Spanned<DeValue<'_>>) -> &str {
        self.text.get(value.span()).unwrap_or_default()
    }

    /// Unknown keys and wrong values of the tables in a list, and of the tables in their lists; their values are not shown.
    fn members(
        &mut self,
        list: Option<&Spanned<DeValue<'_>>>,
        known: &'static [(&'static str, Known)],
        check: Check,
        prefix: &str,
    ) {
        let Some(value) = list else {
            return;
        };
        let key = prefix.trim_end_matches('.');
        let DeValue::Array(list) = value.get_ref() else {
            let cause = is_not(self.written(value), &format!("tables: [[{key}]]"));
            return self.fault(value, key, Some(cause));
        };
        for member in list {
            let DeValue::Table(table) = member.get_ref() else {
                let cause = is_not(self.written(member), &format!("a table: [[{key}]]"));
                self.fault(member, key, Some(cause));
                continue;
            };
            let before = self.found.wrong.len();
            self.unknown(Some(table), known, true, prefix);
            for (name, kind) in known {
                let (inner, key) = (table.get(*name), format!("{prefix}{name}"));
                match kind {
                    List(known, check) => self.members(inner, known, *check, &format!("{key}.")),
                    Key(kind, _) => self.check(kind, inner, &key),
                    Table(_) | Closed(_) | Names(_) => {}
                }
            }
            if self.found.wrong.len() == before {
                let fault = check(member.clone()).map(|fault| format!("is wrong: {fault}"));
                self.fault(member, key, fault);
            }
        }
    }

    /// The key that may be meant: one that is spelt almost so, or one of this name in a table, which was forgotten.
    fn suggest(&self, name: &str, known: &'static [(&'static str, Known)], prefix: &str) -> String {
        let near = suggestion(name, known.iter().map(|(name, _)| *name));
        if !near.is_empty() || !prefix.is_empty() {
            return near;
        }
        let elsewhere = KEYS.iter().find(|(_, kind)| match kind {
            Table(keys) | Closed(keys) => keys.iter().any(|(key, _)| *key == name),
            Key(..) | Names(_) | List(..) => false,
        });
        elsewhere.map_or_else(String::new, |(table, _)| {
            format!(" outside of a table; did you mean \"{table}.{name}\"?")
        })
    }

    fn line(&self, span: Range<usize>) -> usize {
        line(self.text, span.start)
    }

    fn shown(&self, value: &Spanned<DeValue<'_>>) -> String {
        match value.get_ref() {
            DeValue::Array(list)
                if list
                    .iter()
                    .any(|value| matches!(value.get_ref(), DeValue::Table(_))) =>
            {
                format!("({} of them)", list.len())
            }
            _ => self.written(value).to_owned(),
        }
    }
}

/// Words that offer the name which is spelt almost so; empty when there is none.
pub(crate) fn suggestion<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let near = |known: &str| {
        let distance = strsim::damerau_levenshtein(&name.to_lowercase(), known);
        let length = name.chars().count().max(known.chars().count());
        (distance * 3 <= length + 1).then_some(distance)
    };
    let best = known
        .into_iter()
        .filter_map(|known| Some((near(known)?, known)))
        .min();
    best.map_or_else(String::new, |(_, known)| {
        format!("; did you mean \"{known}\"?")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys with their defaults as a file.
    fn as_file() -> String {
        defaults()
            .into_iter()
            .map(|value| format!("{} = {}\n", value.key, value.text))
            .collect()
    }

    #[test]
    fn defaults_shown_are_those_in_effect() {
        let loaded = crate::parse(&as_file()).unwrap();
        assert_eq!(loaded.config.logging, crate::Logging::default());
        assert_eq!(loaded.config.database, crate::Database::default());
        assert_eq!(loaded.config.csi, crate::Csi::default());
        let registries = ipc::messages::pull::RegistrySettings::default();
        assert_eq!(loaded.config.registries.timeout, Some(registries.timeout));
        assert_eq!(
            loaded.config.registries.cache_bytes,
            Some(registries.cache_bytes)
        );
        let mut signing = loaded.config.signing;
        // The directory is named here, which the default is not.
        signing.trust_dir_named = false;
        assert_eq!(signing, crate::Signing::default());
        assert_eq!(loaded.values.len(), defaults().len());
        assert!(
            loaded
                .values
                .iter()
                .enumerate()
                .all(|(index, value)| value.origin == Origin::File(index + 1))
        );
    }

    #[test]
    fn what_is_spelt_almost_so_is_offered() {
        for (name, known) in [
            ("lvl", "level"),
            ("Level", "level"),
            ("max_retry", "max_retries"),
            ("allow_unsinged", "allow_unsigned"),
        ] {
            assert_eq!(
                suggestion(name, [known, "other"]),
                format!("; did you mean \"{known}\"?")
            );
        }
        assert_eq!(suggestion("colour", ["level", "format", "components"]), "");
    }
}
