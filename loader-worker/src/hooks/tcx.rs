//! Putting a program on a tcx hook, in its place among those that are there.

use super::{Site, tcx_order};
use crate::kernel::limits::ATTACH_ATTEMPTS;
use crate::kernel::{link, query};
use ipc::messages::attach::Direction;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::helper::TcxMember;
use rustix::io::Errno;
use std::os::fd::{BorrowedFd, OwnedFd};

/// Looks at the hook, decides, attaches provided that nobody has changed the hook meanwhile; else looks again.
/// `siblings` are bpfman's programs there, in running order.
pub fn create(
    program: BorrowedFd<'_>,
    site: Site<'_>,
    direction: Direction,
    priority: i32,
    siblings: &[TcxMember],
) -> Result<OwnedFd, Failure> {
    let name = format!("{} {}", site.interface, direction.name());
    for _ in 0..ATTACH_ATTEMPTS {
        let hook =
            query::tcx(site.ifindex, direction).map_err(|error| site.refused(error, &name))?;
        let place = tcx_order::place(siblings, &hook.programs, priority);
        match link::create_tcx(program, site.ifindex, direction, place, hook.revision) {
            Ok(link) => return Ok(link),
            // Somebody else changed the hook in between: look again.
            Err(error) if error.errno == Errno::STALE => {}
            // The kernel takes a program once. Records do not tell: what they say may be gone.
            Err(error) if error.errno == Errno::EXIST => {
                return Err(duplicate(site.program_id, &name, siblings));
            }
            Err(error) => return Err(site.refused(error, &name)),
        }
    }
    Err(Failure::new(
        FailureCode::Unavailable,
        Stage::Attach,
        format!("{name} was changed by others {ATTACH_ATTEMPTS} times while attaching"),
    )
    .remedy("retry"))
}

fn duplicate(program_id: u32, hook: &str, siblings: &[TcxMember]) -> Failure {
    let refused = |by: &str| {
        Failure::new(
            FailureCode::AlreadyExists,
            Stage::Attach,
            format!("program {program_id} is already attached to {hook} {by}"),
        )
    };
    let own = |sibling: &&TcxMember| sibling.program_id == program_id;
    match siblings.iter().find(own) {
        Some(sibling) => refused(&format!("as link {}", sibling.link_id)).remedy("detach it first"),
        None => refused("by a link that bpfman did not make"),
    }
}
