//! Bounds of what is exchanged with the kernel, with their reasons.

/// First buffer for a verifier log: the logs of most rejected programs fit.
pub const LOG_BYTES_FIRST: usize = 64 * 1024;

/// Largest buffer offered to the verifier. Kernels before 6.4 keep the head of a log that does not fit and drop the end,
/// where the cause stands; this much holds the log of any program that people have reported. What is kept of it is bounded
/// by [`ipc::limits::VERIFIER_LOG_BYTES`].
pub const LOG_BYTES_LAST: usize = 16 * 1024 * 1024;

/// `BPF_MPROG_MAX`: the kernel puts no more programs on one hook of tcx or netkit.
pub const HOOK_PROGRAMS: usize = 64;

/// `MAX_USED_MAPS`: the kernel lets a program use no more maps.
pub const PROGRAM_MAPS: usize = 64;

/// A load that the verifier broke off for a signal (`EAGAIN`) is repeated this often, as libbpf does.
pub const LOAD_ATTEMPTS: u32 = 5;

/// A tcx or netkit attach that lost against another process (`ESTALE`) is repeated this often. Each round means that somebody
/// else changed the hook within microseconds.
pub const ATTACH_ATTEMPTS: u32 = 16;

/// Names offered instead of one that does not exist.
pub const SUGGESTIONS: usize = 3;

/// As much is read of the tracer's list of functions: a kernel with all its modules lists some 100,000 names of 25 bytes.
pub const FUNCTION_LIST_BYTES: u64 = 16 * 1024 * 1024;

/// Programs whose memory is remembered, at some thirty bytes each; more than anybody lists at once.
pub const MEMLOCKS: usize = 16384;
