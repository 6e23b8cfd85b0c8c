//! What a value must be, and whether it is.

use serde_json::Value;
use std::collections::BTreeMap;

use Shape::{Any, Bool, I32, Keys, List, Map, Null, OrNull, Some as Partly, Text, Time, U32, U64};

/// What a value must be.
pub(super) enum Shape {
    Bool,
    U32,
    U64,
    I32,
    Text,
    /// RFC 3339.
    Time,
    /// Always null.
    Null,
    /// Null in one sample at least, and not null in another one.
    OrNull(&'static Shape),
    List(&'static Shape),
    /// Any keys.
    Map(&'static Shape),
    /// Exactly these keys.
    Keys(&'static [(&'static str, Shape)]),
    /// These keys; the second list may be left out, the third one is ours.
    Some(
        &'static [(&'static str, Shape)],
        &'static [(&'static str, Shape)],
        &'static [&'static str],
    ),
    /// Checked by the test itself.
    Any,
}

/// What samples have shown of places that may be null: whether null, whether a value.
#[derive(Default)]
pub(super) struct Seen(BTreeMap<String, (bool, bool)>);

impl Seen {
    pub(super) fn check(&mut self, shape: &Shape, value: &Value, path: &str) {
        let fits = match shape {
            Bool => value.is_boolean(),
            U32 => value
                .as_u64()
                .is_some_and(|number| number <= u64::from(u32::MAX)),
            U64 => value.is_u64(),
            I32 => value
                .as_i64()
                .is_some_and(|number| i32::try_from(number).is_ok()),
            Text => value.is_string(),
            Time => value.as_str().is_some_and(is_time),
            Null => value.is_null(),
            Any => true,
            OrNull(shape) => {
                let seen = self.0.entry(path.to_owned()).or_default();
                if value.is_null() {
                    seen.0 = true;
                } else {
                    seen.1 = true;
                    self.check(shape, value, path);
                }
                true
            }
            List(shape) => {
                for item in value
                    .as_array()
                    .unwrap_or_else(|| panic!("{path}: {value}"))
                {
                    self.check(shape, item, &format!("{path}[]"));
                }
                true
            }
            Map(shape) => {
                for item in object(value, path).values() {
                    self.check(shape, item, &format!("{path}{{}}"));
                }
                true
            }
            Keys(keys) => {
                self.object(keys, &[], &[], value, path);
                true
            }
            Partly(keys, optional, own) => {
                self.object(keys, optional, own, value, path);
                true
            }
        };
        assert!(fits, "{path}: {value}");
    }

    fn object(
        &mut self,
        keys: &[(&str, Shape)],
        optional: &[(&str, Shape)],
        own: &[&str],
        value: &Value,
        path: &str,
    ) {
        let found = object(value, path);
        for (name, shape) in keys {
            let value = found
                .get(*name)
                .unwrap_or_else(|| panic!("{path}.{name} is missing"));
            self.check(shape, value, &format!("{path}.{name}"));
        }
        for (name, shape) in optional {
            if let Some(value) = found.get(*name) {
                self.check(shape, value, &format!("{path}.{name}"));
            }
        }
        for name in found.keys() {
            let known = keys.iter().chain(optional).any(|(known, _)| known == name);
            assert!(
                known || own.contains(&name.as_str()),
                "{path}.{name} is not known"
            );
        }
    }

    /// A rule about null of which samples show one half only is not tested.
    pub(super) fn both(&self, except: &[&str]) {
        for (path, seen) in &self.0 {
            assert!(
                *seen == (true, true) || except.contains(&path.as_str()),
                "{path}: null {}, a value {}",
                seen.0,
                seen.1
            );
        }
    }
}

fn object<'a>(value: &'a Value, path: &str) -> &'a serde_json::Map<String, Value> {
    value
        .as_object()
        .unwrap_or_else(|| panic!("{path}: {value}"))
}

fn is_time(text: &str) -> bool {
    let digits: String = text
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    digits == "0000-00-00T00:00:00Z"
}
