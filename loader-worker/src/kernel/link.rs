//! Links: programs on their hooks.

use super::program::{KPROBE_MULTI, UPROBE_MULTI, XDP};
use super::{Error, sys};
use ipc::messages::attach::{ProbePlace, XdpMode};
use ipc::messages::mprog::MprogHook;
use ipc::messages::netfilter::NetfilterPlace;
use rustix::io::Errno;
use std::ffi::CString;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// Where a program goes among those on a hook of tcx or netkit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// Before all others, foreign ones included.
    Head,
    /// Directly before the program with this kernel id.
    Before(u32),
    /// Directly after the program with this kernel id.
    After(u32),
}

/// Puts a program on a hook of tcx or netkit, provided that the hook is still at `revision` (else `ESTALE`).
pub fn create_mprog(
    program: BorrowedFd<'_>,
    ifindex: u32,
    hook: MprogHook,
    place: Place,
    revision: u64,
) -> Result<OwnedFd, Error> {
    const BEFORE: u32 = 1 << 3;
    const AFTER: u32 = 1 << 4;
    const ID: u32 = 1 << 5;
    let (flags, anchor) = match place {
        Place::Head => (BEFORE, 0),
        Place::Before(program) => (BEFORE | ID, program),
        Place::After(program) => (AFTER | ID, program),
    };
    sys::link::create_mprog(
        program,
        ifindex,
        hook.attach_type(),
        flags,
        anchor,
        revision,
    )
    .map_err(created)
}

/// Puts a program on an interface, in the mode that is asked for or not at all.
pub fn create_xdp(program: BorrowedFd<'_>, ifindex: u32, mode: XdpMode) -> Result<OwnedFd, Error> {
    const SKB: u32 = 1 << 1;
    const DRIVER: u32 = 1 << 2;
    let flags = match mode {
        XdpMode::Generic => SKB,
        XdpMode::Native => DRIVER,
    };
    sys::link::create_xdp(program, ifindex, XDP, flags).map_err(created)
}

/// Puts a program behind a perf event. The link keeps the event open.
pub fn create_perf_event(
    program: BorrowedFd<'_>,
    perf_event: BorrowedFd<'_>,
    cookie: u64,
) -> Result<OwnedFd, Error> {
    const PERF_EVENT: u32 = 41;
    sys::link::create_perf_event(program, perf_event, PERF_EVENT, cookie).map_err(created)
}

/// Puts a program where it was loaded for: at a kernel function, a security hook, a tracepoint, behind an iterator.
pub fn create_tracing(program: BorrowedFd<'_>, attach_type: u32) -> Result<OwnedFd, Error> {
    sys::link::create_tracing(program, attach_type).map_err(created)
}

/// Puts a program in the place of a function of another program (freplace). `function` is the type id of the function in
/// the BTF of `target`, which the caller must know: looking it up takes CAP_SYS_ADMIN.
pub fn create_replacing(
    program: BorrowedFd<'_>,
    target: BorrowedFd<'_>,
    function: u32,
) -> Result<OwnedFd, Error> {
    sys::link::create_replacing(program, target, function).map_err(created)
}

/// Puts a program on the look-up of sockets in a network namespace.
pub fn create_sk_lookup(
    program: BorrowedFd<'_>,
    namespace: BorrowedFd<'_>,
) -> Result<OwnedFd, Error> {
    const SK_LOOKUP: u32 = 36;
    sys::link::create_on_descriptor(program, namespace, SK_LOOKUP).map_err(created)
}

/// Puts a program on a hook of netfilter, in the network namespace that this thread is in. `EBUSY`: something else runs
/// there at this priority.
pub fn create_netfilter(program: BorrowedFd<'_>, place: &NetfilterPlace) -> Result<OwnedFd, Error> {
    const NETFILTER: u32 = 45;
    const DEFRAGMENT: u32 = 1;
    let hook = (place.family.number(), place.hook.number());
    let flags = if place.defragment { DEFRAGMENT } else { 0 };
    sys::link::create_netfilter(program, NETFILTER, hook, place.priority, flags).map_err(created)
}

/// Puts a program on a hook of a control group, after those that are there. `EBADF`: the directory is none of cgroup v2.
pub fn create_cgroup(
    program: BorrowedFd<'_>,
    directory: BorrowedFd<'_>,
    attach_type: u32,
) -> Result<OwnedFd, Error> {
    sys::link::create_on_descriptor(program, directory, attach_type).map_err(created)
}

/// Puts a program on a tracepoint that is named without its group.
pub fn open_raw_tracepoint(program: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, Error> {
    let failed = |errno| Error::new("BPF_RAW_TRACEPOINT_OPEN", errno);
    let name = CString::new(name).map_err(|_| failed(Errno::INVAL))?;
    sys::link::open_raw_tracepoint(program, &name).map_err(failed)
}

/// Puts a program on places of a file, which is named by an open descriptor of it. Semaphores are raised as long as the
/// link is there.
pub fn create_uprobe_multi(
    program: BorrowedFd<'_>,
    target: BorrowedFd<'_>,
    places: &[ProbePlace],
    pid: Option<i32>,
    retprobe: bool,
) -> Result<OwnedFd, Error> {
    const RETURN: u32 = 1;
    let pid =
        u32::try_from(pid.unwrap_or(0)).map_err(|_| Error::new("process id", Errno::INVAL))?;
    let flags = if retprobe { RETURN } else { 0 };
    let offsets: Vec<u64> = places.iter().map(|place| place.offset).collect();
    let mut semaphores: Vec<u64> = places.iter().map(|place| place.semaphore).collect();
    if semaphores.iter().all(|semaphore| *semaphore == 0) {
        semaphores.clear();
    }
    sys::link::create_uprobe_multi(
        program,
        UPROBE_MULTI,
        &descriptor_path(target),
        (&offsets, &semaphores),
        flags,
        pid,
    )
    .map_err(created)
}

/// Puts a program on functions of the kernel. `ESRCH`: at least one of them is not there.
pub fn create_kprobe_multi(
    program: BorrowedFd<'_>,
    functions: &[String],
    retprobe: bool,
) -> Result<OwnedFd, Error> {
    const RETURN: u32 = 1;
    let functions: Vec<CString> = functions
        .iter()
        .map(|function| CString::new(function.as_str()))
        .collect::<Result<_, _>>()
        .map_err(|_| Error::new("a kernel function's name", Errno::INVAL))?;
    let flags = if retprobe { RETURN } else { 0 };
    sys::link::create_kprobe_multi(program, KPROBE_MULTI, &functions, flags).map_err(created)
}

/// Replaces the program of a link. With `old`, only if that is the present one.
pub fn update(
    link: BorrowedFd<'_>,
    new: BorrowedFd<'_>,
    old: Option<BorrowedFd<'_>>,
) -> Result<(), Error> {
    const REPLACE: u32 = 1 << 2;
    let flags = if old.is_some() { REPLACE } else { 0 };
    sys::link::update(link, new, old, flags).map_err(|errno| Error::new("BPF_LINK_UPDATE", errno))
}

/// Takes the program off its hook at once, whoever else holds the link. Links of perf events and uprobes do not know
/// this (`EOPNOTSUPP`).
pub fn detach(link: BorrowedFd<'_>) -> Result<(), Error> {
    sys::link::detach(link).map_err(|errno| Error::new("BPF_LINK_DETACH", errno))
}

/// The path by which the kernel finds the file behind a descriptor of this process.
pub(super) fn descriptor_path(descriptor: BorrowedFd<'_>) -> CString {
    // A number has no NUL in it.
    CString::new(format!("/proc/self/fd/{}", descriptor.as_raw_fd())).unwrap_or_default()
}

fn created(errno: Errno) -> Error {
    Error::new("BPF_LINK_CREATE", errno)
}
