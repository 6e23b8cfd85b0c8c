//! What the kernel tells of links by their kind.

use ipc::messages::attach::LinkNumbers;
use ipc::messages::program::ProgramKind;

pub(super) fn of(kind: ProgramKind) -> LinkNumbers {
    match kind {
        ProgramKind::Kprobe | ProgramKind::Kretprobe => LinkNumbers::Kprobe {
            address: 0xffff_ffff_8100_1000,
            missed: 2,
        },
        ProgramKind::KprobeMulti | ProgramKind::KretprobeMulti => LinkNumbers::KprobeMulti {
            count: 3,
            flags: 1,
            missed: 4,
        },
        ProgramKind::Netfilter => LinkNumbers::Netfilter {
            family: 10,
            hook: 2,
            priority: -50,
            flags: 1,
        },
        _ => LinkNumbers::None,
    }
}
