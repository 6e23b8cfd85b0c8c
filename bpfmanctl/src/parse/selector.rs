//! Kubernetes label selectors: `tier=front`, `tier!=front`, `tier in (a,b)`, `tier notin (a,b)`, `tier`, `!tier`,
//! `replicas>3`, joined by commas.

use std::collections::BTreeMap;

/// Requirements that all have to hold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct LabelSelector(Vec<Requirement>);

#[derive(Clone, Debug, Eq, PartialEq)]
struct Requirement {
    key: String,
    condition: Condition,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Condition {
    Exists,
    Absent,
    In(Vec<String>),
    /// Holds as well where the label is absent.
    NotIn(Vec<String>),
    Above(i64),
    Below(i64),
}

impl LabelSelector {
    /// Whether labels fit.
    pub(crate) fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|requirement| {
            let value = labels.get(&requirement.key);
            let number = || value.and_then(|value| value.parse::<i64>().ok());
            match &requirement.condition {
                Condition::Exists => value.is_some(),
                Condition::Absent => value.is_none(),
                Condition::In(values) => value.is_some_and(|value| values.contains(value)),
                Condition::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
                Condition::Above(bound) => number().is_some_and(|number| number > *bound),
                Condition::Below(bound) => number().is_some_and(|number| number < *bound),
            }
        })
    }
}

/// A selector; the empty one fits everything.
pub(crate) fn label_selector(text: &str) -> Result<LabelSelector, String> {
    let invalid = |cause: String| format!("invalid selector \"{text}\": {cause}");
    if text.trim().is_empty() {
        return Ok(LabelSelector(Vec::new()));
    }
    requirements(text)
        .map_err(invalid)?
        .into_iter()
        .map(|part| requirement(part).map_err(invalid))
        .collect::<Result<_, _>>()
        .map(LabelSelector)
}

/// Splits at commas outside parentheses.
fn requirements(text: &str) -> Result<Vec<&str>, String> {
    let mut parts = Vec::new();
    let (mut start, mut inside) = (0, false);
    for (position, c) in text.char_indices() {
        match c {
            '(' if inside => return Err("'(' inside a list".to_owned()),
            '(' => inside = true,
            ')' if !inside => return Err("')' without '('".to_owned()),
            ')' => inside = false,
            ',' if !inside => {
                parts.push(&text[start..position]);
                start = position + 1;
            }
            _ => {}
        }
    }
    if inside {
        return Err("'(' without ')'".to_owned());
    }
    parts.push(&text[start..]);
    Ok(parts)
}

fn requirement(part: &str) -> Result<Requirement, String> {
    let part = part.trim();
    if let Some(key) = part.strip_prefix('!') {
        return Ok(Requirement {
            key: word("key", key)?,
            condition: Condition::Absent,
        });
    }
    if let Some(list) = part.strip_suffix(')') {
        return set(list, part);
    }
    let Some(position) = part.find(['=', '!', '<', '>']) else {
        return Ok(Requirement {
            key: word("key", part)?,
            condition: Condition::Exists,
        });
    };
    let (key, rest) = part.split_at(position);
    let key = word("key", key)?;
    let number = |value: &str| {
        value
            .trim()
            .parse()
            .map_err(|_| format!("\"{}\" is not a number", value.trim()))
    };
    let value = |value: &str| value_of(value).map(|value| vec![value]);
    let condition = if let Some(rest) = rest.strip_prefix("!=") {
        Condition::NotIn(value(rest)?)
    } else if let Some(rest) = rest.strip_prefix("==").or_else(|| rest.strip_prefix('=')) {
        Condition::In(value(rest)?)
    } else if let Some(rest) = rest.strip_prefix('>') {
        Condition::Above(number(rest)?)
    } else if let Some(rest) = rest.strip_prefix('<') {
        Condition::Below(number(rest)?)
    } else {
        return Err(format!("\"{part}\" has no operator that is known"));
    };
    Ok(Requirement { key, condition })
}

/// `key in (a,b` or `key notin (a,b`: the closing parenthesis is cut off.
fn set(text: &str, part: &str) -> Result<Requirement, String> {
    let unknown = || format!("\"{part}\" is neither KEY in (…) nor KEY notin (…)");
    let (head, list) = text.split_once('(').ok_or_else(unknown)?;
    let mut words = head.split_whitespace();
    let (Some(key), Some(operator), None) = (words.next(), words.next(), words.next()) else {
        return Err(unknown());
    };
    let values = list
        .split(',')
        .map(value_of)
        .collect::<Result<Vec<_>, _>>()?;
    let condition = match operator {
        "in" => Condition::In(values),
        "notin" => Condition::NotIn(values),
        _ => return Err(unknown()),
    };
    Ok(Requirement {
        key: word("key", key)?,
        condition,
    })
}

fn value_of(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        Ok(String::new())
    } else {
        word("value", text)
    }
}

fn word(what: &str, text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err(format!("a {what} is missing"));
    }
    if text.contains(|c: char| c.is_whitespace() || "=!<>(),".contains(c)) {
        return Err(format!("\"{text}\" is not a {what}"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(selector: &str, labels: &[(&str, &str)]) -> bool {
        let labels = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        label_selector(selector).unwrap().matches(&labels)
    }

    #[test]
    fn every_operator() {
        let labels = [("tier", "front"), ("replicas", "3"), ("canary", "")];
        for fits in [
            "",
            "tier=front",
            "tier==front",
            "tier = front",
            "tier!=back",
            "owner!=acme",
            "tier",
            "!owner",
            "tier in (back, front)",
            "tier notin (back)",
            "owner notin (acme)",
            "canary=",
            "canary in ()",
            "replicas>2",
            "replicas<4",
            "tier=front,replicas>2,!owner",
            "tier in (a,front),replicas",
        ] {
            assert!(matches(fits, &labels), "{fits}");
        }
        for fails in [
            "tier=back",
            "tier!=front",
            "owner",
            "owner=",
            "!tier",
            "tier in (a,b)",
            "tier notin (front)",
            "replicas>3",
            "replicas<3",
            "tier>1",
            "owner>1",
            "tier=front,owner",
        ] {
            assert!(!matches(fails, &labels), "{fails}");
        }
    }

    #[test]
    fn what_is_no_selector() {
        for bad in [
            "=x",
            "!",
            ",",
            "tier,",
            "a b",
            "tier in (a",
            "tier in a)",
            "tier out (a)",
            "in (a)",
            "tier in ((a))",
            "a=b=c",
            "a=b c",
            "replicas>x",
            "a!b",
            "a in (b) c",
            "!a=b",
            ")",
            "(",
        ] {
            let error = label_selector(bad).unwrap_err();
            assert!(
                error.starts_with(&format!("invalid selector \"{bad}\": ")),
                "{error}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,60}|[a-c=!<>(), in]{0,30}") {
            if let Ok(selector) = label_selector(&text) {
                selector.matches(&BTreeMap::new());
            }
        }
    }
}
