//! Names as the kernel takes them.

/// `BPF_OBJ_NAME_LEN`, the NUL included.
pub const LENGTH: usize = 16;

/// The first 15 characters, each that the kernel refuses replaced by `_`.
pub fn object(name: &str) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    for (to, from) in bytes.iter_mut().take(LENGTH - 1).zip(name.bytes()) {
        *to = if from.is_ascii_alphanumeric() || from == b'_' || from == b'.' {
            from
        } else {
            b'_'
        };
    }
    bytes
}

/// The text before the first NUL.
pub fn text(bytes: &[u8]) -> String {
    let end = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifteen_characters_are_kept() {
        assert_eq!(text(&object("sixteen_letters_")), "sixteen_letters");
        assert_eq!(object("sixteen_letters_")[15], 0);
    }

    #[test]
    fn foreign_characters_are_replaced() {
        assert_eq!(text(&object("ns::f<é>")), "ns__f____");
    }
}
