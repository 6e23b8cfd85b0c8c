//! What a value must be, and how to say that it is not.

use crate::keys::suggestion;
use std::ops::RangeInclusive;
use toml::de::DeValue;

/// Kinds of values.
pub(crate) enum Kind {
    /// Text in quotes.
    Text,
    /// One of these words, in quotes.
    Word(&'static [&'static str]),
    /// True or false.
    Truth,
    /// A whole number.
    Number(RangeInclusive<u64>),
    /// A list of texts.
    Texts,
}

impl Kind {
    /// What is wrong with a value; `written` is how it stands in the file.
    pub(crate) fn fault(&self, value: &DeValue<'_>, written: &str) -> Option<String> {
        let must = match (self, value) {
            (Kind::Text, DeValue::String(_)) | (Kind::Truth, DeValue::Boolean(_)) => return None,
            (Kind::Word(known), DeValue::String(word)) => return unknown(word, known),
            (Kind::Number(range), DeValue::Integer(_)) if within(range, written) => return None,
            (Kind::Texts, DeValue::Array(list))
                if list
                    .iter()
                    .all(|value| matches!(value.get_ref(), DeValue::String(_))) =>
            {
                return None;
            }
            (Kind::Text, _) => "text in quotes".to_owned(),
            (Kind::Word(known), _) => format!("one of {}", quoted(known)),
            (Kind::Truth, _) => "true or false, without quotes".to_owned(),
            (Kind::Number(range), _) => {
                format!("a whole number from {} to {}", range.start(), range.end())
            }
            (Kind::Texts, _) => "a list of texts, as in [\"a\", \"b\"]".to_owned(),
        };
        Some(is_not(written, &must))
    }
}

/// The words for a value of another kind.
pub(crate) fn is_not(written: &str, must: &str) -> String {
    let line = written.lines().next().unwrap_or_default();
    let shown: String = line.chars().take(40).collect();
    let cut = if shown.len() < written.len() {
        "..."
    } else {
        ""
    };
    format!("is {shown}{cut}; it must be {must}")
}

fn unknown(word: &str, known: &[&'static str]) -> Option<String> {
    (!known.contains(&word)).then(|| {
        format!(
            "is \"{word}\", which is not known{}; known are {}",
            suggestion(word, known.iter().copied()),
            quoted(known)
        )
    })
}

fn quoted(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    quoted.join(", ")
}

/// Other spellings than decimal ones are left to the types.
fn within(range: &RangeInclusive<u64>, written: &str) -> bool {
    let number = written.replace('_', "").parse::<i128>();
    number.map_or(true, |number| {
        u64::try_from(number).is_ok_and(|number| range.contains(&number))
    })
}
