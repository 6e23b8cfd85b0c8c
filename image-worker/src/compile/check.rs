//! Is this an object at all? Each way in which it may not be is its own error.

use super::bytes::u16_at;
use super::error::CompileError;
use ipc::limits::OBJECT_BYTES;

const CLASS_64: u8 = 2;
const LITTLE_ENDIAN: u8 = 1;
const BIG_ENDIAN: u8 = 2;
const RELOCATABLE: u16 = 1;
const MACHINE_BPF: u16 = 247;

/// Checks size and identification of an object file, nothing behind its header.
pub fn check(object: &[u8]) -> Result<(), CompileError> {
    if object.is_empty() {
        return Err(CompileError::Empty);
    }
    if object.len() as u64 > OBJECT_BYTES {
        return Err(CompileError::TooLarge);
    }
    if !object.starts_with(b"\x7fELF") {
        return Err(CompileError::NotElf);
    }
    let truncated = || CompileError::Truncated("the ELF header".to_owned());
    let &[_, _, _, _, class, order, ..] = object else {
        return Err(truncated());
    };
    if class != CLASS_64 {
        return Err(CompileError::Not64Bit);
    }
    match order {
        LITTLE_ENDIAN => {}
        BIG_ENDIAN => return Err(CompileError::BigEndian),
        other => {
            return Err(CompileError::Malformed(format!(
                "the ELF header has byte order {other}"
            )));
        }
    }
    let kind = u16_at(object, 16).ok_or_else(truncated)?;
    let machine = u16_at(object, 18).ok_or_else(truncated)?;
    if machine != MACHINE_BPF {
        return Err(CompileError::WrongMachine(machine));
    }
    if kind != RELOCATABLE {
        return Err(CompileError::NotRelocatable(kind));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(offset: usize, value: u8) -> Vec<u8> {
        let mut object = bpf::COUNTER.to_vec();
        object[offset] = value;
        object
    }

    #[test]
    fn good_objects_pass() {
        for (name, object) in bpf::ALL {
            assert_eq!(check(object), Ok(()), "{name}");
        }
    }

    #[test]
    fn each_defect_has_its_own_error() {
        assert_eq!(check(&[]), Err(CompileError::Empty));
        assert_eq!(check(b"#!/bin/sh\n"), Err(CompileError::NotElf));
        assert_eq!(check(&changed(0, 0)), Err(CompileError::NotElf));
        assert_eq!(
            check(b"\x7fELF"),
            Err(CompileError::Truncated("the ELF header".into()))
        );
        assert_eq!(
            check(&bpf::COUNTER[..18]),
            Err(CompileError::Truncated("the ELF header".into()))
        );
        assert_eq!(check(&changed(4, 1)), Err(CompileError::Not64Bit));
        assert_eq!(check(&changed(5, 2)), Err(CompileError::BigEndian));
        assert!(matches!(
            check(&changed(5, 7)),
            Err(CompileError::Malformed(_))
        ));
        assert_eq!(check(&changed(18, 62)), Err(CompileError::WrongMachine(62)));
        assert_eq!(check(&changed(16, 3)), Err(CompileError::NotRelocatable(3)));
    }

    #[test]
    fn one_byte_over_the_limit_is_too_large() {
        let mut object = bpf::COUNTER.to_vec();
        object.resize(OBJECT_BYTES as usize, 0);
        assert_eq!(check(&object), Ok(()));
        object.push(0);
        assert_eq!(check(&object), Err(CompileError::TooLarge));
    }
}
