//! What may be opened, connected to and signalled.
//!
//! All rights up to [`NEWEST`] are handled, so everything not granted is refused; a kernel that knows fewer enforces the
//! ones it knows, and the report says how many. The profile's minimum is what nobody may go below.

use crate::{Access, EnterError, Landlock, Network, PathRule, Profile};
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus,
    PathBeneath, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope, make_bitflags,
};
use rustix::fs::{Mode, OFlags, fstat, open};
use rustix::io::Errno;
use std::os::fd::OwnedFd;

/// The newest ABI whose rights are all handled; what a newer one adds is left alone until it was tried.
pub(crate) const NEWEST: u8 = 6;
const NEWEST_ABI: ABI = ABI::V6;

/// What the kernel enforces from then on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Restriction {
    /// ABI of the kernel.
    pub(crate) abi: u8,
    /// ABI up to which rights are enforced.
    pub(crate) enforced: u8,
    /// Whether that is all that was asked for.
    pub(crate) full: bool,
}

/// The rights behind a shorthand. The test below spells them out, so that a new version of the crate cannot widen them.
pub(crate) fn rights(access: Access) -> BitFlags<AccessFs> {
    let read = make_bitflags!(AccessFs::{ReadFile | ReadDir});
    let write = make_bitflags!(AccessFs::{
        WriteFile | Truncate | MakeReg | MakeDir | RemoveFile | RemoveDir | Refer
    });
    match access {
        Access::MakeDirectories => AccessFs::MakeDir.into(),
        Access::Read => read,
        Access::ReadWrite => read | write,
        Access::ReadWriteSockets => read | write | AccessFs::MakeSock,
    }
}

pub(crate) fn restrict(profile: &Profile) -> Result<Restriction, EnterError> {
    let Landlock::AtLeast(minimum) = profile.landlock else {
        return Ok(Restriction {
            abi: 0,
            enforced: 0,
            full: false,
        });
    };
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST_ABI))?
        .handle_access(match profile.network {
            Network::None => AccessNet::from_all(NEWEST_ABI),
            Network::TcpConnect => AccessNet::BindTcp.into(),
        })?
        .scope(Scope::from_all(NEWEST_ABI))?
        .create()?;
    for rule in &profile.paths {
        if let Some((descriptor, rights)) = reach(profile.role, rule)? {
            ruleset = ruleset.add_rule(PathBeneath::new(descriptor, rights))?;
        }
    }
    let status = ruleset.restrict_self()?;

    let abi = match status.landlock {
        LandlockStatus::Available {
            effective_abi,
            kernel_abi,
        } => u8::try_from(kernel_abi.unwrap_or(effective_abi as i32)).unwrap_or(u8::MAX),
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => 0,
    };
    let enforced = match status.ruleset {
        RulesetStatus::NotEnforced => 0,
        RulesetStatus::PartiallyEnforced | RulesetStatus::FullyEnforced => abi.min(NEWEST),
    };
    if enforced < minimum {
        return Err(EnterError::LandlockTooOld {
            found: enforced,
            demanded: minimum,
        });
    }
    Ok(Restriction {
        abi,
        enforced,
        full: status.ruleset == RulesetStatus::FullyEnforced,
    })
}

/// The object of a rule, opened with the identity that will use it, and the rights that apply to its type.
fn reach(
    role: &'static str,
    rule: &PathRule,
) -> Result<Option<(OwnedFd, BitFlags<AccessFs>)>, EnterError> {
    let missing = |error: Errno| EnterError::PathMissing {
        role,
        path: rule.path.clone(),
        source: error.into(),
    };
    let descriptor = match open(&rule.path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
        Ok(descriptor) => descriptor,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) if !rule.required => return Ok(None),
        Err(error) => return Err(missing(error)),
    };
    let mode = fstat(&descriptor).map_err(missing)?.st_mode;
    let rights = if mode & libc::S_IFMT == libc::S_IFDIR {
        rights(rule.access)
    } else {
        rights(rule.access) & AccessFs::from_file(NEWEST_ABI)
    };
    Ok(Some((descriptor, rights)))
}

#[cfg(test)]
mod tests {
    use super::*;

    // From the kernel's include/uapi/linux/landlock.h.
    const WRITE_FILE: u64 = 1 << 1;
    const READ_FILE: u64 = 1 << 2;
    const READ_DIR: u64 = 1 << 3;
    const REMOVE_DIR: u64 = 1 << 4;
    const REMOVE_FILE: u64 = 1 << 5;
    const MAKE_DIR: u64 = 1 << 7;
    const MAKE_REG: u64 = 1 << 8;
    const MAKE_SOCK: u64 = 1 << 9;
    const REFER: u64 = 1 << 13;
    const TRUNCATE: u64 = 1 << 14;

    #[test]
    fn shorthands_expand_to_exactly_these_bits() {
        let read = READ_FILE | READ_DIR;
        let write = WRITE_FILE | TRUNCATE | MAKE_REG | MAKE_DIR | REMOVE_FILE | REMOVE_DIR | REFER;
        assert_eq!(rights(Access::MakeDirectories).bits(), MAKE_DIR);
        assert_eq!(rights(Access::Read).bits(), read);
        assert_eq!(rights(Access::ReadWrite).bits(), read | write);
        assert_eq!(
            rights(Access::ReadWriteSockets).bits(),
            read | write | MAKE_SOCK
        );
    }

    #[test]
    fn everything_that_the_newest_abi_knows_is_handled() {
        // Bits 0 (EXECUTE) to 15 (IOCTL_DEV).
        assert_eq!(AccessFs::from_all(NEWEST_ABI).bits(), (1 << 16) - 1);
        assert_eq!(AccessNet::from_all(NEWEST_ABI).bits(), 0b11);
        assert_eq!(Scope::from_all(NEWEST_ABI).bits(), 0b11);
        assert_eq!(NEWEST_ABI as u8, NEWEST);
    }
}
