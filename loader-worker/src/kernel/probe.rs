//! What this kernel can do, found by trying, never by its version number. Each answer is remembered for the life of the
//! process, because it cannot change.

use super::link;
use super::program::{KPROBE_MULTI, UPROBE_MULTI};
use super::{Error, name, program, sys};
use ipc::messages::attach::Direction;
use ipc::messages::mprog::{MprogHook, NetkitHook};
use ipc::plan::ProgramPlan;
use rustix::io::Errno;
use std::os::fd::AsFd;
use std::sync::OnceLock;

/// Why a feature is not there, for the user.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct Missing(String);

/// Links on uprobes of one file (`uprobe_multi`, from 6.6 on), which unlike perf events need no CAP_SYS_ADMIN.
///
/// Kernels whose links watch a thread when asked to watch a process are taken for kernels without.
pub fn uprobe_multi() -> &'static Result<(), Missing> {
    static ANSWER: OnceLock<Result<(), Missing>> = OnceLock::new();
    ANSWER.get_or_init(|| {
        try_uprobe_multi().map_err(|reason| Missing(format!("no uprobe_multi links: {reason}")))
    })
}

/// Links on several functions of the kernel (`kprobe_multi`, from 5.18 on), which unlike perf events need no CAP_SYS_ADMIN.
pub fn kprobe_multi() -> &'static Result<(), Missing> {
    static ANSWER: OnceLock<Result<(), Missing>> = OnceLock::new();
    ANSWER.get_or_init(|| {
        // A kernel that knows the link type looks for the function (ESRCH).
        match try_kprobe_multi("a name that no function has") {
            Err(error) if error.errno == Errno::SRCH => Ok(()),
            Err(error) => Err(Missing(format!(
                "this kernel has no kprobe_multi links: {error}"
            ))),
            Ok(()) => Err(Missing(
                "this kernel takes anything for the name of a function".to_owned(),
            )),
        }
    })
}

/// Whether a link on several functions can be made for this one: an empty program is put there for a moment.
pub fn has_function(name: &str) -> bool {
    !matches!(try_kprobe_multi(name), Err(error) if error.errno == Errno::SRCH)
}

fn try_kprobe_multi(function: &str) -> Result<(), Error> {
    let program = load_empty_probe(KPROBE_MULTI)?;
    link::create_kprobe_multi(program.as_fd(), &[function.to_owned()], false).map(drop)
}

/// Several programs on one interface hook by links (tcx, from 6.6 on).
pub fn tcx() -> &'static Result<(), Missing> {
    static ANSWER: OnceLock<Result<(), Missing>> = OnceLock::new();
    ANSWER.get_or_init(|| {
        let hook = MprogHook::Tcx(Direction::Ingress);
        try_mprog(hook).map_err(|reason| Missing(format!("this kernel has no tcx: {reason}")))
    })
}

/// Programs on pairs of netkit devices (from 6.7 on, where it is built in).
pub fn netkit() -> &'static Result<(), Missing> {
    static ANSWER: OnceLock<Result<(), Missing>> = OnceLock::new();
    ANSWER.get_or_init(|| {
        let hook = MprogHook::Netkit(NetkitHook::Primary);
        try_mprog(hook).map_err(|reason| Missing(format!("this kernel has no netkit: {reason}")))
    })
}

/// Whether the kernel takes programs such as this one at all: an empty one of the same type for the same place. Not
/// remembered, because it is only asked when a program was refused, and one place may be special.
pub fn takes(plan: &ProgramPlan) -> Result<(), Missing> {
    let program = sys::program::Load {
        expected_attach_type: plan.expected_attach_type,
        attach_btf_id: plan.attach_btf_id,
        ..empty(plan.prog_type)
    };
    let place = plan
        .attach_function
        .as_deref()
        .filter(|_| plan.kind.is_cgroup())
        .map_or_else(String::new, |hook| format!(" at {hook}"));
    match program::load_with_log(&program) {
        // What the verifier finds wrong with an empty program it would not find without knowing the type.
        Err(error) if error.verifier_log.is_none() => Err(Missing(format!(
            "this kernel takes no {} programs{place}: an empty one is refused as well ({error})",
            plan.kind
        ))),
        _ => Ok(()),
    }
}

/// The LSM that runs programs of kind lsm, among those that the kernel was booted with.
pub fn lsm() -> &'static Result<(), Missing> {
    static ANSWER: OnceLock<Result<(), Missing>> = OnceLock::new();
    // Where securityfs is not mounted nobody knows.
    ANSWER.get_or_init(|| std::fs::read_to_string(LSM_LIST).map_or(Ok(()), |list| has_bpf(&list)))
}

const LSM_LIST: &str = "/sys/kernel/security/lsm";

fn has_bpf(list: &str) -> Result<(), Missing> {
    if list.trim().split(',').any(|name| name == "bpf") {
        return Ok(());
    }
    Err(Missing(format!(
        "the kernel was booted without the LSM \"bpf\" ({LSM_LIST}: {})",
        list.trim()
    )))
}

fn try_uprobe_multi() -> Result<(), String> {
    let program = load_empty_probe(UPROBE_MULTI).map_err(|error| error.to_string())?;
    let attach = |pid| {
        sys::link::create_uprobe_multi(program.as_fd(), UPROBE_MULTI, c"/", (&[0], &[]), 0, pid)
            .err()
            .ok_or_else(|| "a directory was accepted as target".to_owned())
    };
    // A kernel that knows the link type looks at the path, and a directory is no target (EBADF).
    match attach(0)? {
        Errno::BADF => {}
        errno => return Err(format!("BPF_LINK_CREATE: {errno}")),
    }
    // With the repaired filter of processes came the check that refuses a negative one.
    match attach(u32::MAX)? {
        Errno::INVAL => Ok(()),
        _ => Err("its filter by process is broken".to_owned()),
    }
}

/// A program for links on several places.
fn load_empty_probe(expected_attach_type: u32) -> Result<std::os::fd::OwnedFd, Error> {
    const KPROBE: u32 = 2;
    program::load_with_log(&sys::program::Load {
        expected_attach_type,
        ..empty(KPROBE)
    })
}

/// `r0 = 0; exit`.
fn empty(prog_type: u32) -> sys::program::Load<'static> {
    const RETURN_ZERO: [u8; 16] = [0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0];
    sys::program::Load {
        prog_type,
        expected_attach_type: 0,
        flags: 0,
        name: name::object("bpfman_probe"),
        license: c"GPL",
        instructions: &RETURN_ZERO,
        btf: None,
        func_info: (0, &[]),
        line_info: (0, &[]),
        attach_btf_id: 0,
        target: None,
    }
}

fn try_mprog(hook: MprogHook) -> Result<(), String> {
    // No interface has this index. A kernel with the hook looks for it (ENODEV); one without does not know it (EINVAL).
    const NOWHERE: u32 = i32::MAX as u32;
    match sys::program::query_mprog(NOWHERE, hook.attach_type(), &mut [0], &mut [0]) {
        Ok(_) | Err(Errno::NODEV) => Ok(()),
        Err(errno) => Err(format!("BPF_PROG_QUERY: {errno}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lsm_must_be_in_the_list() {
        assert!(has_bpf("lockdown,capability,landlock,bpf\n").is_ok());
        assert!(has_bpf("bpf").is_ok());
        let missing = has_bpf("lockdown,capability,ebpf\n").unwrap_err();
        assert!(missing.to_string().contains("lockdown,capability,ebpf)"));
    }
}
