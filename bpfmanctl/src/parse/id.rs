//! Ids.

/// A kernel program id.
pub(crate) fn program_id(text: &str) -> Result<u32, String> {
    decimal(text).ok_or_else(|| format!("invalid program ID \"{text}\": must be a decimal number"))
}

/// One of bpfman's link ids.
pub(crate) fn link_id(text: &str) -> Result<u64, String> {
    decimal(text).ok_or_else(|| format!("invalid link ID \"{text}\": must be a decimal number"))
}

/// Digits only: `str::parse` would take a sign as well.
fn decimal<T: std::str::FromStr>(text: &str) -> Option<T> {
    let text = text.trim();
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_decimal() {
        assert_eq!(program_id(" 512 "), Ok(512));
        assert_eq!(program_id("4294967295"), Ok(u32::MAX));
        assert_eq!(link_id("18446744073709551615"), Ok(u64::MAX));
        for bad in ["", "x", "-1", "+1", "0x10", "1.5", "4294967296", "1 2"] {
            assert_eq!(
                program_id(bad),
                Err(format!(
                    "invalid program ID \"{bad}\": must be a decimal number"
                ))
            );
        }
        assert_eq!(
            link_id("18446744073709551616").unwrap_err(),
            "invalid link ID \"18446744073709551616\": must be a decimal number"
        );
    }
}
