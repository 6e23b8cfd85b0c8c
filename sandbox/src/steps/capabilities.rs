//! The five capability sets and the secure bits.

use crate::{EnterError, kernel};
use caps::{CapSet, Capability, CapsHashSet};
use rustix::thread::{
    CapabilitiesSecureBits, capabilities_secure_bits, set_capabilities_secure_bits,
};
use std::io;

const STEP: &str = "capabilities";
const REMEDY: &str = "start bpfmand as root with CAP_SETPCAP and the capabilities of its workers";

/// The kernel keeps capabilities in 64 bits.
const HIGHEST: u8 = 63;

/// Makes effective whatever is permitted: the next steps need CAP_SETPCAP, CAP_SETGID and CAP_SETUID.
pub(crate) fn raise_permitted() -> Result<(), EnterError> {
    let permitted =
        caps::read(None, CapSet::Permitted).map_err(failed("read the permitted set"))?;
    set(CapSet::Effective, &permitted)
}

/// Numbers are walked up to the kernel's highest, which may be newer than the list that the caps crate knows.
pub(crate) fn empty_bounding() -> Result<(), EnterError> {
    for number in 0..=HIGHEST {
        match kernel::in_bounding_set(number) {
            None => break,
            Some(false) => {}
            Some(true) => kernel::drop_from_bounding_set(number).map_err(EnterError::refused(
                STEP,
                format!("take capability {number} out of the bounding set"),
                REMEDY,
            ))?,
        }
    }
    Ok(())
}

/// Takes all meaning from user id 0, irrevocably: no capability comes or goes by exec or setuid. This is what makes
/// "root with exactly these capabilities" possible.
pub(crate) fn lock_secure_bits() -> Result<(), EnterError> {
    let locked = CapabilitiesSecureBits::NO_ROOT
        | CapabilitiesSecureBits::NO_ROOT_LOCKED
        | CapabilitiesSecureBits::NO_SETUID_FIXUP
        | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
        | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
    if capabilities_secure_bits() == Ok(locked) {
        return Ok(());
    }
    set_capabilities_secure_bits(locked).map_err(EnterError::refused(
        STEP,
        "lock the secure bits",
        REMEDY,
    ))
}

/// Permitted and effective become exactly these; inheritable and ambient become empty.
pub(crate) fn keep_only(capabilities: &[Capability]) -> Result<(), EnterError> {
    let kept: CapsHashSet = capabilities.iter().copied().collect();
    caps::clear(None, CapSet::Ambient).map_err(failed("clear the ambient set"))?;
    set(CapSet::Inheritable, &CapsHashSet::new())?;
    // Effective must never exceed permitted, so it is lowered first.
    set(CapSet::Effective, &kept)?;
    set(CapSet::Permitted, &kept)
}

fn set(which: CapSet, value: &CapsHashSet) -> Result<(), EnterError> {
    caps::set(None, which, value).map_err(failed(&format!("set the {which:?} set to {value:?}")))
}

fn failed(what: &str) -> impl FnOnce(caps::errors::CapsError) -> EnterError {
    let what = what.to_owned();
    move |error| EnterError::Refused {
        step: STEP,
        what,
        source: io::Error::other(error),
        remedy: REMEDY,
    }
}
