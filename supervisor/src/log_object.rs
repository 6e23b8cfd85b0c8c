//! A log line as one flat JSON object, under the names that the established service's have.

use crate::prepare::log::timestamp;
use sandbox::logging::line::{Entry, Value};
use serde::Serialize;
use std::collections::BTreeMap;

/// Names that no field may take: who writes, and when, is not for the writer to say.
const OWN: [&str; 6] = ["time", "level", "msg", "component", "pid", "target"];

#[derive(Serialize)]
struct Object<'a> {
    /// RFC 3339, UTC.
    time: &'a str,
    level: &'a str,
    msg: &'a str,
    component: &'a str,
    pid: u32,
    #[serde(skip_serializing_if = "str::is_empty")]
    target: &'a str,
    #[serde(flatten)]
    fields: BTreeMap<String, serde_json::Value>,
}

/// One line, with its end. A field with a name of the line's own has `_` behind it; of fields with one name the last counts.
pub(crate) fn object(component: &str, pid: u32, entry: &Entry) -> String {
    let fields = entry.fields.iter().map(|(name, value)| {
        let mark = if OWN.contains(&name.as_str()) {
            "_"
        } else {
            ""
        };
        let value = match value {
            Value::Text(text) => text.as_str().into(),
            Value::Unsigned(number) => (*number).into(),
            Value::Signed(number) => (*number).into(),
            Value::Truth(truth) => (*truth).into(),
        };
        (format!("{name}{mark}"), value)
    });
    let object = Object {
        time: &timestamp(),
        level: entry.level,
        msg: &entry.message,
        component,
        pid,
        target: &entry.target,
        fields: fields.collect(),
    };
    // Strings and numbers can always be written.
    let mut line = serde_json::to_string(&object).unwrap_or_default();
    line.push('\n');
    line
}

/// A line that did not come from a logger: a process in trouble says so without one.
pub(crate) fn unlogged(line: &str) -> Entry {
    Entry {
        level: "ERROR",
        message: line.to_owned(),
        ..Entry::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(line: &str) -> serde_json::Value {
        let object = object("loader", 7, &Entry::split(line).unwrap());
        assert_eq!(object.matches('\n').count(), 1, "{object:?}");
        serde_json::from_str(&object).unwrap()
    }

    #[test]
    fn an_entry_is_one_flat_object() {
        let mut value = value("WARN a::b: opened\u{1d}count=3\u{1f}name=say \"hi\"\u{1e}");
        let time = value["time"].take();
        assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
        let expected = serde_json::json!({
            "time": null, "level": "WARN", "msg": "opened", "component": "loader", "pid": 7, "target": "a::b", "count": 3,
            "name": "say \"hi\"\n",
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn no_field_takes_the_place_of_what_is_known() {
        for name in OWN {
            let forged = value(&format!("INFO a: x\u{1f}{name}=forged"));
            assert_ne!(forged[name], "forged", "{name}");
            assert_eq!(forged[format!("{name}_")], "forged");
        }
        let twice = value("INFO a: x\u{1f}k=1\u{1f}k=2\u{1f}time_=3\u{1f}time=4");
        assert_eq!((&twice["k"], &twice["time_"]), (&"2".into(), &"4".into()));
    }

    #[test]
    fn what_is_not_logged_is_an_error_without_a_module() {
        let line = object("image", 7, &unlogged("thread panicked"));
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["level"], "ERROR");
        assert_eq!(value["msg"], "thread panicked");
        assert_eq!(value.get("target"), None);
    }
}
