//! `KEY=VALUE`.

/// A label: the key is trimmed, the value taken as it is.
pub(crate) fn key_value(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').map(|(key, value)| (key.trim(), value));
    match pair {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("invalid label \"{text}\": must be KEY=VALUE")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_split_at_the_first_equals_sign() {
        let pair = |key: &str, value: &str| Ok((key.to_owned(), value.to_owned()));
        assert_eq!(key_value("owner=acme"), pair("owner", "acme"));
        assert_eq!(key_value(" owner = a=b "), pair("owner", " a=b "));
        assert_eq!(key_value("owner="), pair("owner", ""));
        for bad in ["", "owner", "=x", "  =x"] {
            assert_eq!(
                key_value(bad),
                Err(format!("invalid label \"{bad}\": must be KEY=VALUE"))
            );
        }
    }
}
