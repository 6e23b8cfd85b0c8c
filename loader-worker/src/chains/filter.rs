//! The filter that carries the head of a clsact hook.

use super::direction;
use super::reach::Way;
use super::rebuild::FilterPlace;
use crate::kernel::Error;
use crate::kernel::clsact::{self, Blocks, Put, Qdisc};
use ipc::messages::attach::Direction;
use ipc::messages::chain::{Dispatcher, Filter, HookKey};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use rustix::io::Errno;
use std::os::fd::BorrowedFd;

/// Name of the filter on a clsact hook, whatever its program.
const FILTER_NAME: &str = "tc_dispatcher";

/// Where the filter of a clsact hook is, or goes; `None` for XDP.
pub fn place(
    key: HookKey,
    interface: &str,
    before: Option<&Dispatcher>,
    way: &Way,
) -> Result<Option<Filter>, Failure> {
    let Some(direction) = direction(key.kind) else {
        return Ok(None);
    };
    if let Some(filter) = before.and_then(|before| before.filter) {
        return Ok(Some(filter));
    }
    let failed = |error: Error| {
        way.vanished(key.ifindex, interface)
            .unwrap_or_else(|| error.into_failure(Stage::Attach, format!("filters of {interface}")))
    };
    let blocks = ensure_clsact(way, key.ifindex, interface)?;
    let block = match direction {
        Direction::Ingress => blocks.ingress,
        Direction::Egress => blocks.egress,
    };
    if let Some(block) = block {
        return Err(shared(block, direction, interface));
    }
    let found = way
        .with(|socket| clsact::filters(socket, key.ifindex, direction))
        .map_err(failed)?;
    Ok(Some(clsact::free_place(&found)))
}

/// Sees that clsact is on the interface, and nothing else in its place.
fn ensure_clsact(way: &Way, ifindex: u32, interface: &str) -> Result<Blocks, Failure> {
    let failed = |error: Error| {
        if let Some(failure) = way.vanished(ifindex, interface) {
            return failure;
        }
        let missing = error.errno == Errno::NOENT;
        let failure = error.into_failure(Stage::Attach, format!("clsact on {interface}"));
        if missing {
            Failure {
                code: FailureCode::Unsupported,
                ..failure
            }
            .remedy("the kernel has no clsact: load the module sch_ingress")
        } else {
            failure
        }
    };
    let qdisc = || way.with(|socket| clsact::qdisc(socket, ifindex));
    match qdisc().map_err(failed)? {
        Qdisc::Clsact(blocks) => Ok(blocks),
        Qdisc::None => match way.with(|socket| clsact::add_qdisc(socket, ifindex)) {
            // Somebody was faster; who that was is looked at once more.
            Err(error) if error.errno == Errno::EXIST => match qdisc().map_err(failed)? {
                Qdisc::Clsact(blocks) => Ok(blocks),
                _ => Err(failed(error)),
            },
            added => added.map(|()| Blocks::default()).map_err(failed),
        },
        Qdisc::Other(kind) => Err(Failure::new(
            FailureCode::FailedPrecondition,
            Stage::Attach,
            format!("{interface} has a qdisc of kind \"{kind}\" where clsact would be"),
        )
        .remedy(format!(
            "replace it by clsact, if nothing needs it: tc qdisc show dev {interface}"
        ))),
    }
}

/// The kernel puts no filter of one interface among those that several share.
fn shared(block: u32, direction: Direction, interface: &str) -> Failure {
    let direction = direction.name();
    let cause = format!(
        "the {direction} filters of {interface} are those of block {block}, which interfaces share; a chain is of one interface"
    );
    Failure::new(FailureCode::FailedPrecondition, Stage::Attach, cause).remedy(format!(
        "attach it as tcx, or make clsact anew without {direction}_block, if nothing needs it: tc qdisc show dev {interface}"
    ))
}

/// Puts a program where a filter of bpfman's is or goes.
pub fn put(place: FilterPlace, head: BorrowedFd<'_>, put: Put, way: &Way) -> Result<(), Error> {
    let hook = (place.ifindex, place.direction);
    way.with(|socket| clsact::put(socket, hook, place.filter, head, FILTER_NAME, put))
}
