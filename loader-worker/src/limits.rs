//! Bounds of the loader, with their reasons. Those of the links are in [`ipc::limits`].

use std::time::Duration;

/// Client sessions known at once; the API worker accepts no more connections than this.
pub const SESSIONS: usize = ipc::limits::CLIENT_SESSIONS + ipc::limits::GRPC_CONNECTIONS;

/// Supplementary groups taken from one client (`NGROUPS_MAX` of the kernel).
pub const PEER_GROUPS: usize = 65536;

/// Loads that wait for their plan, and plans that wait for their load, together. The API worker keeps at most
/// [`ipc::limits::WORKER_WINDOW`] requests in flight, so a well-behaved one never reaches it.
pub const JOINS: usize = ipc::limits::WORKER_WINDOW;

/// How long one half of a load waits for the other.
pub const JOIN_DEADLINE: Duration = ipc::limits::REQUEST_DEADLINE;

/// Requests of the API worker that are read and not yet answered: its window, and room for what it says without
/// awaiting an answer. The next one waits in the socket.
pub const REQUESTS: usize = ipc::limits::WORKER_WINDOW + 16;

/// Deliveries of the image worker that are read and not yet looked at.
pub const DELIVERIES: usize = 16;

/// Maps of one object. The largest objects in the wild (Tetragon) have about one hundred.
pub const PLAN_MAPS: usize = 256;

/// Maps created by one load request, over all its programs: each costs a descriptor until the load is done.
pub const LOAD_MAPS: usize = 1024;

/// Elements of maps set by one load request, over all its programs: each costs a system call.
pub const LOAD_ELEMENTS: usize = 4096;

/// Bytes of instructions of one program: the verifier's limit of a million, 8 bytes each.
pub const INSTRUCTION_BYTES: usize = 8 * 1_000_000;

/// Bytes of one BTF blob (`BTF_MAX_SIZE` of the kernel is 16 MiB).
pub const BTF_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of one record of `.BTF.ext`; 8 and 16 are what compilers write, the kernel takes more (`MAX_FUNCINFO_REC_SIZE`).
pub const INFO_RECORD_BYTES: u32 = 252;

/// Bytes of a map's name where it becomes a file name in bpffs (`NAME_MAX`).
pub const PIN_NAME_BYTES: usize = 255;

/// Managed programs. That their list fits one frame is checked beside, by [`crate::room`].
pub const PROGRAMS: usize = 2048;

/// Encoded bytes of what the kernel tells about a program: 64 map ids (`MAX_USED_MAPS`), a name, numbers.
pub const KERNEL_PROGRAM_BYTES: usize = 512;

/// Encoded bytes of what the kernel tells about a link.
pub const KERNEL_LINK_BYTES: usize = 64;

/// Hooks with members of others that an unload leaves in one step. It holds the new head of each open until all are on
/// their hooks, with the links of up to 10 members and a socket: 1536 of the 4096 descriptors that the loader may have.
pub const HOOKS_AT_ONCE: usize = 128;

/// How long a change waits for libxdp's lock: xdp-loader makes and loads many dispatchers in that time.
pub const LIBXDP_LOCK_WAIT: Duration = Duration::from_secs(5);

/// How long a list or report waits for it, which can do without.
pub const LIBXDP_LOOK_WAIT: Duration = Duration::from_millis(200);

/// Between two attempts to take it.
pub const LIBXDP_LOCK_PAUSE: Duration = Duration::from_millis(100);

/// A change of a dispatcher of libxdp that lost against somebody who does not take the lock is repeated this often, as libxdp
/// does.
pub const LIBXDP_SWAPS: u32 = 10;

/// How long the kernel may take to end a network namespace that has lost its name. It is a matter of milliseconds, of seconds
/// where many end at once.
pub const NAMESPACE_END: Duration = Duration::from_secs(5);

/// Managed links: a dispatcher-sized handful for each program.
pub const LINKS: usize = 16384;

/// Bytes of one stored record: a load request at its limit and the loader's own fields.
pub const RECORD_BYTES: usize = 2 * 1024 * 1024;

/// Files of our bpffs subtree that are looked at when it is compared with the store.
pub const PINS: usize = 65536;

/// Findings told in one report; the report says when there are more.
pub const FINDINGS: usize = 256;
