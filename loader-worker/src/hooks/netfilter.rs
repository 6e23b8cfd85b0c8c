//! Putting a program on a hook of netfilter.

use crate::kernel::{Error, link};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::netfilter::NetfilterPlace;
use rustix::io::Errno;
use std::os::fd::{BorrowedFd, OwnedFd};

/// Attaches; the kernel keeps the order among everything on the hook by priority.
pub fn create(
    program: BorrowedFd<'_>,
    place: &NetfilterPlace,
    program_id: u32,
) -> Result<OwnedFd, Failure> {
    link::create_netfilter(program, place).map_err(|error| refused(error, place, program_id))
}

fn refused(error: Error, place: &NetfilterPlace, program_id: u32) -> Failure {
    let (family, hook) = (place.family.name(), place.hook.name());
    match error.errno {
        Errno::BUSY => Failure::new(
            FailureCode::FailedPrecondition,
            Stage::Attach,
            format!(
                "something else runs at priority {} of the {family} {hook} hook",
                place.priority
            ),
        )
        .remedy("choose another priority: programs share none; tables of iptables are at -300, -150, -100, 0, 50, 100"),
        // What the kernel says when what puts fragments together is not built in and no module of it can be loaded.
        Errno::NOENT | Errno::INVAL | Errno::AFNOSUPPORT if place.defragment => Failure::new(
            FailureCode::Unsupported,
            Stage::Attach,
            format!("this kernel puts no fragments of {family} packets together: {error}"),
        )
        .remedy(format!(
            "load the module nf_defrag_{family}, or attach without --defrag"
        )),
        _ => error.into_failure(
            Stage::Attach,
            format!("attaching program {program_id} to the {family} {hook} hook of netfilter"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::messages::netfilter::{NetfilterFamily, NetfilterHook};

    #[test]
    fn refusals_say_what_is_in_the_way() {
        let of = |errno, defragment| {
            let place = NetfilterPlace {
                family: NetfilterFamily::Ipv6,
                hook: NetfilterHook::Input,
                priority: 7,
                defragment,
            };
            let failure = refused(Error::new("BPF_LINK_CREATE", errno), &place, 42);
            (failure.code, failure.cause)
        };
        assert_eq!(
            of(Errno::BUSY, false),
            (
                FailureCode::FailedPrecondition,
                "something else runs at priority 7 of the ipv6 input hook".to_owned()
            )
        );
        assert_eq!(of(Errno::NOENT, true).0, FailureCode::Unsupported);
        assert_eq!(of(Errno::INVAL, false).0, FailureCode::Internal);
        assert_eq!(of(Errno::NOMEM, true).0, FailureCode::ResourceExhausted);
    }
}
