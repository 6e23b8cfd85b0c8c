//! `KEY=VALUE` and `NAME=HEX`.

use ipc::messages::program::GlobalValue;

/// A label: the key is trimmed, the value taken as it is.
pub(crate) fn key_value(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').map(|(key, value)| (key.trim(), value));
    match pair {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("invalid label \"{text}\": must be KEY=VALUE")),
    }
}

/// A global variable with its bytes in hexadecimal.
pub(crate) fn global(text: &str) -> Result<GlobalValue, String> {
    let (name, value) = text
        .split_once('=')
        .map(|(name, value)| (name.trim(), value))
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| format!("invalid global \"{text}\": must be NAME=HEX"))?;
    let digits = value
        .strip_prefix("0x")
        .or_else(|| value.strip_prefix("0X"))
        .unwrap_or(value);
    let bytes =
        hex(digits).map_err(|cause| format!("invalid value for global \"{name}\": {cause}"))?;
    Ok(GlobalValue {
        name: name.to_owned(),
        bytes,
    })
}

fn hex(digits: &str) -> Result<Vec<u8>, String> {
    let values = digits
        .chars()
        .map(|digit| {
            digit
                .to_digit(16)
                .ok_or_else(|| format!("{digit:?} is not a hexadecimal digit"))
        })
        .collect::<Result<Vec<u32>, String>>()?;
    if values.len() % 2 != 0 {
        return Err("an odd number of hexadecimal digits".to_owned());
    }
    // Two digits make at most 255.
    Ok(values
        .chunks_exact(2)
        .map(|pair| (pair[0] * 16 + pair[1]) as u8)
        .collect())
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

    #[test]
    fn globals_are_hexadecimal() {
        let bytes = |text| global(text).map(|value| (value.name, value.bytes));
        assert_eq!(
            bytes("limit=0x10Ff"),
            Ok(("limit".to_owned(), vec![0x10, 0xff]))
        );
        assert_eq!(bytes("limit=0X00"), Ok(("limit".to_owned(), vec![0])));
        assert_eq!(bytes("limit=00"), Ok(("limit".to_owned(), vec![0])));
        assert_eq!(bytes("limit="), Ok(("limit".to_owned(), vec![])));
        assert_eq!(bytes("limit=0x"), Ok(("limit".to_owned(), vec![])));
        assert_eq!(
            bytes("limit=123"),
            Err(
                "invalid value for global \"limit\": an odd number of hexadecimal digits"
                    .to_owned()
            )
        );
        assert_eq!(
            bytes("limit=0xzz"),
            Err("invalid value for global \"limit\": 'z' is not a hexadecimal digit".to_owned())
        );
        assert!(bytes("limit=+1").is_err());
        assert!(bytes("=00").is_err());
        assert!(bytes("limit").is_err());
    }
}
