//! The capabilities that pass through the spawner, each with its reason.

use caps::errors::CapsError;
use caps::{CapSet, Capability, CapsHashSet};

/// What the workers and helpers need between their exec and the end of `sandbox::enter`, and what ending them needs.
const PERMITTED: [(Capability, &str); 10] = [
    (
        Capability::CAP_BPF,
        "loader: bpf(2) is refused to everybody else (unprivileged_bpf_disabled)",
    ),
    (
        Capability::CAP_PERFMON,
        "loader: tracing programs, pointer arithmetic in the verifier",
    ),
    (
        Capability::CAP_NET_ADMIN,
        "loader: loading XDP and TC programs, netlink filters; one-shot helper: the same in another network namespace",
    ),
    (
        Capability::CAP_SYS_ADMIN,
        "one-shot helpers: perf events that no smaller capability opens, entering a network namespace, volumes of pods, XDP programs of others",
    ),
    (
        Capability::CAP_SYS_PTRACE,
        "one-shot helper: the root directory of a process in a container, for clients that are root",
    ),
    (
        Capability::CAP_CHOWN,
        "one-shot helpers: the group of map pins, of volumes too",
    ),
    (
        Capability::CAP_SETUID,
        "every worker: leaves root; one-shot helper: becomes the client whose path it opens",
    ),
    (
        Capability::CAP_SETGID,
        "every worker: leaves root's group, drops supplementary groups; one-shot helper: takes those of the client",
    ),
    (
        Capability::CAP_SETPCAP,
        "every worker: cuts its own bounding set",
    ),
    (
        Capability::CAP_KILL,
        "spawner: ends workers of other users; raised for the call alone",
    ),
];

/// The permitted set as a mask, as /proc shows it.
pub fn permitted_mask() -> u64 {
    PERMITTED
        .iter()
        .fold(0, |mask, (capability, _)| mask | capability.bitmask())
}

/// Cuts bounding and permitted set to [`PERMITTED`], empties all others.
pub(super) fn reduce() -> Result<(), CapsError> {
    let keep: CapsHashSet = PERMITTED
        .iter()
        .map(|(capability, _)| *capability)
        .collect();
    for capability in caps::read(None, CapSet::Bounding)?.difference(&keep) {
        caps::drop(None, CapSet::Bounding, *capability)?;
    }
    caps::clear(None, CapSet::Ambient)?;
    caps::clear(None, CapSet::Inheritable)?;
    caps::clear(None, CapSet::Effective)?;
    // A container may withhold some of them; the worker that misses one says so.
    let have = caps::read(None, CapSet::Permitted)?;
    caps::set(
        None,
        CapSet::Permitted,
        &keep.intersection(&have).copied().collect(),
    )
}

/// Runs `act` with CAP_KILL effective.
pub(super) fn with_kill<T>(act: impl FnOnce() -> T) -> Result<T, CapsError> {
    caps::raise(None, CapSet::Effective, Capability::CAP_KILL)?;
    let outcome = act();
    caps::clear(None, CapSet::Effective)?;
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_capability_has_a_reason_and_stands_once() {
        assert!(PERMITTED.iter().all(|(_, reason)| reason.len() > 10));
        assert_eq!(permitted_mask().count_ones() as usize, PERMITTED.len());
    }

    #[test]
    fn nothing_that_no_worker_needs_is_among_them() {
        // What else there is would take it to files and devices, past modes. With those that it has, it could become anything: it
        // is kept from that by having none in effect, and by what it reads.
        let refused = [
            Capability::CAP_DAC_OVERRIDE,
            Capability::CAP_DAC_READ_SEARCH,
            Capability::CAP_FOWNER,
            Capability::CAP_SYS_MODULE,
            Capability::CAP_MKNOD,
            Capability::CAP_SYS_RAWIO,
        ];
        assert!(
            refused
                .iter()
                .all(|capability| permitted_mask() & capability.bitmask() == 0)
        );
    }
}
