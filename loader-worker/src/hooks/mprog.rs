//! Putting a program on a hook of tcx or netkit, in its place among those that are there.

use super::{MADE_ELSEWHERE, Site, mprog_order};
use crate::kernel::limits::ATTACH_ATTEMPTS;
use crate::kernel::{Error, link, query};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::mprog::{MprogHook, MprogMember};
use rustix::io::Errno;
use std::os::fd::{BorrowedFd, OwnedFd};

/// Looks at the hook, decides, attaches provided that nobody has changed the hook meanwhile; else looks again.
/// `siblings` are bpfman's programs there, in running order.
pub fn create(
    program: BorrowedFd<'_>,
    site: Site<'_>,
    hook: MprogHook,
    priority: i32,
    siblings: &[MprogMember],
) -> Result<OwnedFd, Failure> {
    let name = format!("{} {}", site.interface, hook.name());
    let refused = |error: Error| {
        no_netkit(error.errno, hook, site.interface).unwrap_or_else(|| site.refused(error, &name))
    };
    let attempt = || {
        let present = query::mprog(site.ifindex, hook).map_err(refused)?;
        let place = mprog_order::place(siblings, &present.programs, priority);
        match link::create_mprog(program, site.ifindex, hook, place, present.revision) {
            Ok(link) => Ok(Some(link)),
            // Somebody else changed the hook in between.
            Err(error) if error.errno == Errno::STALE => Ok(None),
            // The kernel takes a program once. Records do not tell: what they say may be gone.
            Err(error) if error.errno == Errno::EXIST => {
                Err(duplicate(site.program_id, &name, siblings))
            }
            Err(error) => Err(refused(error)),
        }
    };
    until_it_is_first(&name, attempt)
}

/// The programs on a hook, in running order; `None` where the interface has no such hook.
pub fn programs(ifindex: u32, hook: MprogHook) -> Result<Option<Vec<u32>>, Failure> {
    match query::mprog(ifindex, hook) {
        Ok(found) => Ok(Some(found.programs)),
        // Other devices, and the peer of a pair, have no hooks of netkit.
        Err(error)
            if matches!(hook, MprogHook::Netkit(_))
                && matches!(error.errno, Errno::NXIO | Errno::ACCESS) =>
        {
            Ok(None)
        }
        Err(error) => Err(error.into_failure(Stage::Query, hook.name())),
    }
}

/// Repeats an attempt, which looks at the hook anew each time, until nobody has changed the hook under it.
fn until_it_is_first<T>(
    hook: &str,
    mut attempt: impl FnMut() -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    for _ in 0..ATTACH_ATTEMPTS {
        if let Some(made) = attempt()? {
            return Ok(made);
        }
    }
    Err(Failure::new(
        FailureCode::Unavailable,
        Stage::Attach,
        format!("{hook} was changed by others {ATTACH_ATTEMPTS} times while attaching"),
    )
    .remedy("retry"))
}

/// The refusal of a program that came along with the interface by a link of bpfman's.
pub fn taken_by_moved(program_id: u32, link: u64) -> Failure {
    Failure::new(
        FailureCode::AlreadyExists,
        Stage::Attach,
        format!("program {program_id} is already on this hook by link {link}, {MADE_ELSEWHERE}"),
    )
    .remedy(format!("detach link {link} first"))
}

/// What the kernel says of interfaces that have no such hook.
fn no_netkit(errno: Errno, hook: MprogHook, interface: &str) -> Option<Failure> {
    let MprogHook::Netkit(_) = hook else {
        return None;
    };
    let (cause, remedy) = match errno {
        Errno::NXIO => (
            format!("interface \"{interface}\" is no netkit device"),
            "name the primary device of a netkit pair, or attach by tcx",
        ),
        Errno::ACCESS => (
            format!("interface \"{interface}\" is the peer of a netkit pair"),
            "name the primary device; its hook \"peer\" is this end",
        ),
        _ => return None,
    };
    Some(Failure::new(FailureCode::InvalidArgument, Stage::Attach, cause).remedy(remedy))
}

fn duplicate(program_id: u32, hook: &str, siblings: &[MprogMember]) -> Failure {
    let refused = |by: &str| {
        Failure::new(
            FailureCode::AlreadyExists,
            Stage::Attach,
            format!("program {program_id} is already attached to {hook} {by}"),
        )
    };
    let own = |sibling: &&MprogMember| sibling.program_id == program_id;
    match siblings.iter().find(own) {
        Some(sibling) => refused(&format!("as link {}", sibling.link_id)).remedy("detach it first"),
        None => refused("by a link that bpfman did not make"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An attempt that loses this often, and the attempts that were made.
    fn after(lost: u32) -> (Result<u32, Failure>, u32) {
        let mut made = 0;
        let outcome = until_it_is_first("eth0 ingress", || {
            made += 1;
            Ok((made > lost).then_some(made))
        });
        (outcome, made)
    }

    #[test]
    fn a_lost_race_is_run_again_until_the_bound() {
        for lost in [0, 1, ATTACH_ATTEMPTS - 1] {
            let (outcome, made) = after(lost);
            assert_eq!(outcome.ok(), Some(lost + 1));
            assert_eq!(made, lost + 1);
        }
        let (outcome, made) = after(ATTACH_ATTEMPTS);
        let failure = outcome.unwrap_err();
        assert_eq!(failure.code, FailureCode::Unavailable);
        assert_eq!(
            failure.to_string(),
            "attach: eth0 ingress was changed by others 16 times while attaching; retry"
        );
        assert_eq!(made, ATTACH_ATTEMPTS);
    }

    #[test]
    fn a_refusal_is_no_lost_race() {
        let mut made = 0;
        let outcome: Result<u32, Failure> = until_it_is_first("eth0 ingress", || {
            made += 1;
            Err(duplicate(7, "eth0 ingress", &[]))
        });
        assert_eq!(outcome.unwrap_err().code, FailureCode::AlreadyExists);
        assert_eq!(made, 1);
    }
}
