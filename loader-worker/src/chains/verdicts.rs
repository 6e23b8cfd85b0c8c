//! What programs of a hook may say, and after which of it a chain goes on. Pure.
//!
//! A verdict has one bit in the mask of its place in the chain. Those of clsact begin at -1, so their bit is one above the
//! verdict; the value that means "as if I were not here" has bit 31 on both.

use ipc::messages::chain::HookKind;
use ipc::messages::failure::{Failure, FailureCode, Stage};

/// aborted, drop, pass, tx, redirect, dispatcher_return.
const XDP: &[i32] = &[0, 1, 2, 3, 4, 31];
/// unspec, ok, reclassify, shot, pipe, stolen, queued, repeat, redirect, trap, dispatcher_return.
const TC: &[i32] = &[-1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 30];

/// pass and dispatcher_return.
const XDP_DEFAULT: [i32; 2] = [2, 31];
/// pipe and dispatcher_return.
const TC_DEFAULT: [i32; 2] = [3, 30];

/// What a member says that leaves the packet to the next one: pass, pipe.
pub fn go_on(hook: HookKind) -> i32 {
    match hook {
        HookKind::Xdp => XDP_DEFAULT[0],
        HookKind::TcIngress | HookKind::TcEgress => TC_DEFAULT[0],
    }
}

/// What is added to a verdict to have its bit.
pub fn bit_of_zero(hook: HookKind) -> i32 {
    match hook {
        HookKind::Xdp => 0,
        HookKind::TcIngress | HookKind::TcEgress => 1,
    }
}

/// The verdicts of a hook, ascending.
pub fn known(hook: HookKind) -> &'static [i32] {
    match hook {
        HookKind::Xdp => XDP,
        HookKind::TcIngress | HookKind::TcEgress => TC,
    }
}

/// The verdicts for the record: the default for none, ascending, each once.
pub fn recorded(hook: HookKind, proceed_on: &[i32]) -> Result<Vec<i32>, Failure> {
    if let Some(unknown) = proceed_on
        .iter()
        .find(|verdict| !known(hook).contains(verdict))
    {
        let family = match hook {
            HookKind::Xdp => "XDP",
            HookKind::TcIngress | HookKind::TcEgress => "TC",
        };
        return Err(Failure::new(
            FailureCode::InvalidArgument,
            Stage::Request,
            format!("{unknown} is no {family} verdict"),
        ));
    }
    let default = match hook {
        HookKind::Xdp => XDP_DEFAULT,
        HookKind::TcIngress | HookKind::TcEgress => TC_DEFAULT,
    };
    let mut verdicts = if proceed_on.is_empty() {
        default.to_vec()
    } else {
        proceed_on.to_vec()
    };
    verdicts.sort_unstable();
    verdicts.dedup();
    Ok(verdicts)
}

/// The mask of recorded verdicts.
pub fn mask(hook: HookKind, verdicts: &[i32]) -> u32 {
    verdicts.iter().fold(0, |mask, verdict| {
        // Recorded verdicts have bits from 0 to 31.
        mask | 1_u32.wrapping_shl((verdict + bit_of_zero(hook)).unsigned_abs())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_checked_and_sorted() {
        assert_eq!(recorded(HookKind::Xdp, &[]).unwrap(), [2, 31]);
        assert_eq!(recorded(HookKind::Xdp, &[31, 0, 31]).unwrap(), [0, 31]);
        assert_eq!(recorded(HookKind::TcIngress, &[]).unwrap(), [3, 30]);
        assert_eq!(recorded(HookKind::TcEgress, &[0, -1]).unwrap(), [-1, 0]);
        for unknown in [-1, 5, 30, 32] {
            let failure = recorded(HookKind::Xdp, &[unknown]).unwrap_err();
            assert_eq!(failure.code, FailureCode::InvalidArgument);
            assert_eq!(failure.cause, format!("{unknown} is no XDP verdict"));
        }
        for unknown in [-2, 9, 29, 31] {
            assert!(recorded(HookKind::TcIngress, &[unknown]).is_err());
        }
    }

    #[test]
    fn masks_are_those_of_the_contract() {
        assert_eq!(mask(HookKind::Xdp, &[2, 31]), 0x8000_0004);
        assert_eq!(mask(HookKind::TcIngress, &[3, 30]), 0x8000_0010);
        assert_eq!(mask(HookKind::TcIngress, &[0]), 0x2);
        assert_eq!(mask(HookKind::TcIngress, &[-1]), 0x1);
    }
}
