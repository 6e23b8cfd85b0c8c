//! `NAME=HEX` and `NAME:TYPE=VALUE`.

use super::suggestion;
use ipc::messages::program::{GlobalType, GlobalValue, TypedGlobal};

/// A global variable with its value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct GlobalArgument {
    pub(crate) value: GlobalValue,
    /// What the value was given as; `None` for plain bytes.
    pub(crate) given_as: Option<GlobalType>,
}

impl GlobalArgument {
    /// The type as the service wants it.
    pub(crate) fn typed(&self) -> Option<TypedGlobal> {
        self.given_as.map(|given_as| TypedGlobal {
            name: self.value.name.clone(),
            given_as,
        })
    }
}

/// A global variable with its bytes in hexadecimal, or with a value of a type.
pub(crate) fn global(text: &str) -> Result<GlobalArgument, String> {
    let invalid = |cause: &str| format!("invalid global \"{text}\": {cause}");
    let (name, value) = text
        .split_once('=')
        .map(|(name, value)| (name.trim(), value))
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| invalid("must be NAME=HEX or NAME:TYPE=VALUE"))?;
    let (name, given_as) = match name.split_once(':') {
        None => (name, None),
        Some(("", _)) => return Err(invalid("the name is empty")),
        Some((name, kind)) => (name, Some(type_of(name, kind)?)),
    };
    let bytes = match given_as {
        None => hex(value),
        Some(given_as) => typed(value, given_as),
    };
    let bytes = bytes.map_err(|cause| format!("invalid value for global \"{name}\": {cause}"))?;
    Ok(GlobalArgument {
        value: GlobalValue {
            name: name.to_owned(),
            bytes,
        },
        given_as,
    })
}

fn type_of(name: &str, kind: &str) -> Result<GlobalType, String> {
    let names = GlobalType::ALL.map(GlobalType::name);
    let found = GlobalType::ALL
        .into_iter()
        .find(|known| known.name() == kind);
    found.ok_or_else(|| {
        format!(
            "invalid type \"{kind}\" of global \"{name}\"{}; known are {}",
            suggestion(kind, names),
            names.join(", ")
        )
    })
}

/// The bytes as they stand in memory.
fn typed(text: &str, given_as: GlobalType) -> Result<Vec<u8>, String> {
    macro_rules! number {
        ($number:ty) => {
            integer(text)
                .and_then(|value| <$number>::try_from(value).ok())
                .map(|value| value.to_ne_bytes().to_vec())
                .ok_or_else(|| {
                    format!(
                        "\"{text}\" is no {given_as}, which is a number from {} to {}",
                        <$number>::MIN,
                        <$number>::MAX
                    )
                })
        };
    }
    match given_as {
        GlobalType::U8 => number!(u8),
        GlobalType::U16 => number!(u16),
        GlobalType::U32 => number!(u32),
        GlobalType::U64 => number!(u64),
        GlobalType::I8 => number!(i8),
        GlobalType::I16 => number!(i16),
        GlobalType::I32 => number!(i32),
        GlobalType::I64 => number!(i64),
        GlobalType::Bool => match text {
            "true" | "1" => Ok(vec![1]),
            "false" | "0" => Ok(vec![0]),
            _ => Err(format!("\"{text}\" is neither true nor false")),
        },
        GlobalType::Char if text.len() == 1 => Ok(text.as_bytes().to_vec()),
        GlobalType::Char => Err(format!("\"{text}\" is not one character of one byte")),
        GlobalType::String if text.contains('\0') => Err("a text has no NUL in it".to_owned()),
        GlobalType::String => Ok(text.as_bytes().to_vec()),
    }
}

/// In decimal or, after `0x`, in hexadecimal.
fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let hexadecimal = digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"));
    let (digits, radix) = match hexadecimal {
        Some(digits) => (digits, 16),
        None => (digits, 10),
    };
    // The standard library takes a sign, of which there is none or one already.
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let value = i128::from_str_radix(digits, radix).ok()?;
    Some(if negative { -value } else { value })
}

fn hex(text: &str) -> Result<Vec<u8>, String> {
    let digits = text
        .strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))
        .unwrap_or(text);
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
    fn globals_are_hexadecimal() {
        let bytes = |text| global(text).map(|global| (global.value.name, global.value.bytes));
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

    #[test]
    fn typed_values_become_the_bytes_of_their_type() {
        let of = |text: &str| global(text).map(|global| (global.value.bytes, global.given_as));
        let as_ = |bytes: &[u8], given_as| Ok((bytes.to_vec(), Some(given_as)));
        assert_eq!(of("n:u8=255"), as_(&[255], GlobalType::U8));
        assert_eq!(
            of("n:u16=0x1234"),
            as_(&0x1234_u16.to_ne_bytes(), GlobalType::U16)
        );
        assert_eq!(of("n:u32=5"), as_(&5_u32.to_ne_bytes(), GlobalType::U32));
        assert_eq!(
            of("n:u64=18446744073709551615"),
            as_(&[255; 8], GlobalType::U64)
        );
        assert_eq!(of("n:i8=-128"), as_(&[128], GlobalType::I8));
        assert_eq!(of("n:i64=-0x1"), as_(&[255; 8], GlobalType::I64));
        assert_eq!(of("n:bool=true"), as_(&[1], GlobalType::Bool));
        assert_eq!(of("n:bool=0"), as_(&[0], GlobalType::Bool));
        assert_eq!(of("n:char=="), as_(b"=", GlobalType::Char));
        assert_eq!(of("n:string=a b"), as_(b"a b", GlobalType::String));
        assert_eq!(of("n:string="), as_(b"", GlobalType::String));
        assert_eq!(of("n=05"), Ok((vec![5], None)));
        for (refused, cause) in [
            ("n:u8=256", "from 0 to 255"),
            ("n:u32=-1", "is no u32"),
            ("n:i16=32768", "from -32768 to 32767"),
            ("n:u32=", "is no u32"),
            ("n:u32=+5", "is no u32"),
            ("n:i32=--5", "is no i32"),
            ("n:u64=0x-5", "is no u64"),
            ("n:bool=yes", "neither true nor false"),
            ("n:char=ab", "not one character"),
            ("n:char=ä", "not one character"),
            ("n:i32_t=5", "known are u8"),
            (":u32=5", "the name is empty"),
        ] {
            let error = of(refused).unwrap_err();
            assert!(error.contains(cause), "{refused}: {error}");
        }
    }
}
