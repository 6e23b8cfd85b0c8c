//! Putting a program on an interface as its only XDP program.

use super::{MADE_ELSEWHERE, Site};
use crate::kernel::link;
use ipc::messages::attach::XdpMode;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use rustix::io::Errno;
use std::os::fd::{BorrowedFd, OwnedFd};

/// What clients of other implementations know.
const TAKEN: &str = "interface already has an XDP program attached";

/// By the driver; if that refuses for a reason of its own, by the kernel's generic code.
pub fn create(program: BorrowedFd<'_>, site: Site<'_>) -> Result<(OwnedFd, XdpMode), Failure> {
    match link::create_xdp(program, site.ifindex, XdpMode::Native) {
        Ok(link) => return Ok((link, XdpMode::Native)),
        // A program in the same mode, or in the other.
        Err(error) if is_taken(error.errno) => return Err(taken(site)),
        Err(_) => {}
    }
    match link::create_xdp(program, site.ifindex, XdpMode::Generic) {
        Ok(link) => Ok((link, XdpMode::Generic)),
        Err(error) if is_taken(error.errno) => Err(taken(site)),
        Err(error) => Err(site.refused(error, site.interface)),
    }
}

/// The refusal of an attach because of what is on the interface, for who wants to take part in it.
pub fn taken_by(what: &str) -> Failure {
    let cause = format!("{TAKEN}: {what}");
    Failure::new(FailureCode::FailedPrecondition, Stage::Attach, cause)
        .remedy("detach it first (`ip link show` and `xdp-loader status` tell more)")
}

/// The refusal of an attach because of a chain of bpfman's with these links that came along with the interface.
pub fn taken_by_own(program_id: u32, links: &[String]) -> Failure {
    let links = links.join(", ");
    let cause =
        format!("{TAKEN}: program {program_id}, bpfman's own (link {links}), {MADE_ELSEWHERE}");
    Failure::new(FailureCode::FailedPrecondition, Stage::Attach, cause)
        .remedy(format!("detach link {links} first"))
}

/// Whether an attach was refused because of what is on the interface, and by what.
pub fn is_refusal_by_occupant(failure: &Failure) -> bool {
    failure.code == FailureCode::FailedPrecondition && failure.cause.starts_with(TAKEN)
}

/// Whether an attach was refused because of a program that is on the interface.
pub fn is_refusal_of_a_taken_hook(failure: &Failure) -> bool {
    failure.code == FailureCode::FailedPrecondition && failure.cause == TAKEN
}

fn is_taken(errno: Errno) -> bool {
    matches!(errno, Errno::BUSY | Errno::EXIST)
}

fn taken(site: Site<'_>) -> Failure {
    let interface = site.interface;
    Failure::new(FailureCode::FailedPrecondition, Stage::Attach, TAKEN).remedy(format!(
        "detach the one on {interface} first (ip link show dev {interface})"
    ))
}
