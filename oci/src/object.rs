//! What an object file with bytecode looks like from outside (ELF header). Whoever compiles it looks closer.

use crate::Error;

/// `EM_BPF`.
const MACHINE: u16 = 247;
/// `ET_REL`.
const RELOCATABLE: u16 = 1;
/// `ELFCLASS64`.
const CLASS_64: u8 = 2;
/// `ELFDATA2LSB` and `ELFDATA2MSB`.
const ORDER: u8 = if cfg!(target_endian = "little") { 1 } else { 2 };

/// Refuses what is no object file for BPF in this machine's byte order.
///
/// # Errors
///
/// [`Error::Layer`] with what it is instead.
pub fn check(object: &[u8]) -> Result<(), Error> {
    let unfit = |cause: String| Err(Error::Layer(format!("holds an ELF file that {cause}")));
    let Some(header) = object
        .get(..64)
        .filter(|header| header.starts_with(b"\x7fELF"))
    else {
        return unfit("is cut off".to_owned());
    };
    if header[4] != CLASS_64 {
        return unfit("is not a 64-bit one".to_owned());
    }
    if header[5] != ORDER {
        return unfit("is for machines of the other byte order".to_owned());
    }
    let number = |at: usize| u16::from_ne_bytes([header[at], header[at + 1]]);
    if number(18) != MACHINE {
        return unfit(format!(
            "is for machine type {} and not for BPF ({MACHINE})",
            number(18)
        ));
    }
    if number(16) != RELOCATABLE {
        return unfit("is no relocatable object".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bytecode_for_this_byte_order_passes() {
        let mut good = [0; 64];
        good[..4].copy_from_slice(b"\x7fELF");
        (good[4], good[5]) = (CLASS_64, ORDER);
        good[16..18].copy_from_slice(&RELOCATABLE.to_ne_bytes());
        good[18..20].copy_from_slice(&MACHINE.to_ne_bytes());
        assert!(check(&good).is_ok());
        assert!(check(&good[..63]).is_err());
        for (at, byte) in [(0, 0), (4, 1), (5, 3 - ORDER), (16, 9), (18, 62)] {
            let mut bad = good;
            bad[at] = byte;
            assert!(check(&bad).is_err(), "{at}");
        }
    }
}
