//! Every bound of the links, with its reason. A test sends one more than each.

use std::time::Duration;

/// Largest object file that is compiled. The established implementation has the same limit; the largest objects in the
/// wild (Cilium, Tetragon) stay under 3 MiB.
pub const OBJECT_BYTES: u64 = 16 * 1024 * 1024;

/// Largest encoded [`crate::plan::LoadPlan`]: an object of the largest size whose every section is kept, plus tables.
pub const PLAN_BYTES: usize = 24 * 1024 * 1024;

/// Largest body of any frame. A list of two thousand programs with metadata fits. Lists are not cut: a load or an
/// attachment that would make one larger is refused.
pub const FRAME_BYTES: u32 = 4 * 1024 * 1024;

/// Largest body of a request that carries only names and numbers.
pub const SMALL_FRAME_BYTES: u32 = 4 * 1024;

/// Largest body of a load request: metadata and global data are what can be long in it.
pub const LOAD_FRAME_BYTES: u32 = 1024 * 1024;

/// Largest body of an attach request or of a status report: paths and labels, a row per process.
pub const ATTACH_FRAME_BYTES: u32 = 512 * 1024;

/// Largest body of a failure or of a report about one object: a whole verifier log fits.
pub const REPORT_FRAME_BYTES: u32 = 2 * 1024 * 1024;

/// Most descriptors beside one frame. The loader passes the pins of one map set to the helper in one frame.
pub const FRAME_DESCRIPTORS: u8 = 64;

/// Characters of a foreign build id that are repeated in a report. Ours are shorter; the sender chooses how long its is.
pub const BUILD_ID_CHARACTERS: usize = 64;

/// Bytes of what a peer did, in a report to the supervisor: it quotes what the peer sent, and must fit its row.
pub const FAULT_BYTES: usize = 1024;

/// Requests that one client connection may have in flight; the next one waits in the socket.
pub const CLIENT_WINDOW: usize = 16;

/// Client connections open at once; the next one is told to retry. Each costs a descriptor in two processes.
pub const CLIENT_SESSIONS: usize = 256;

/// Clients beyond [`CLIENT_SESSIONS`] that are being told so; further ones are closed without a word.
pub const CLIENT_REFUSALS: usize = 64;

/// gRPC connections open at once. Each costs a descriptor in two processes, too.
pub const GRPC_CONNECTIONS: usize = 512;

/// gRPC requests in flight at once, answers that are not taken yet included; the next one waits. Fewer than
/// [`WORKER_WINDOW`], so that other clients get through whatever is asked over gRPC.
pub const GRPC_REQUESTS: usize = 48;

/// Requests in flight between two workers.
pub const WORKER_WINDOW: usize = 64;

/// A client must finish its `Hello`, and each frame that it has begun, within this time.
pub const FRAME_DEADLINE: Duration = Duration::from_secs(5);

/// Longest time that a request may take. Loads of large programs spend seconds in the verifier.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(60);

/// Longest time that an image may take from its registry into the cache. Each answer of the registry has its own, shorter
/// bound.
pub const PULL_DEADLINE: Duration = Duration::from_secs(300);

/// Images that are waited for at once; the next one is told to retry. Fewer than [`WORKER_WINDOW`], so that registries that
/// do not answer leave room for what needs none.
pub const PULLS: usize = 48;

/// Bytes of an image reference. Registries stop at 255 for a name; host, tag and digest come to it.
pub const REFERENCE_BYTES: usize = 512;

/// Bytes of credentials for a registry: a user and a token of a cloud.
pub const CREDENTIAL_BYTES: usize = 64 * 1024;

/// Images in the cache. What is beyond is removed, the least recently used first.
pub const CACHED_IMAGES: usize = 1024;

/// Bytes of settings of the image worker: rules and certificates.
pub const IMAGE_SETTINGS_BYTES: usize = 4 * 1024 * 1024;

/// Longest time that a one-shot helper may take.
pub const HELPER_DEADLINE: Duration = Duration::from_secs(5);

/// Programs in one load request. A plan is made for all of them at once.
pub const LOAD_PROGRAMS: usize = 64;

/// Entries of one metadata table.
pub const METADATA_ENTRIES: usize = 64;

/// Bytes of one metadata key or value: the limit of a Kubernetes annotation key is 317, values are free text.
pub const METADATA_BYTES: usize = 4096;

/// Global variables set in one load request.
pub const GLOBALS: usize = 256;

/// Bytes of any name: program, map, function, interface, tracepoint. Mangled C++ and Go symbols can be long.
pub const NAME_BYTES: usize = 1024;

/// Bytes of the type of a map's keys or values in a message: the first members of a structure tell which one it is.
pub const MAP_TYPE_BYTES: usize = 256;

/// Functions or places of one link on several. The whole of a subsystem's entry points fits; the list stays readable, and
/// the record small.
pub const PROBE_PLACES: usize = 256;

/// Bytes of a path (`PATH_MAX`).
pub const PATH_BYTES: usize = 4096;

/// Bytes of a verifier log that are kept: the end of the log is where the cause stands, so the head is cut.
pub const VERIFIER_LOG_BYTES: usize = 1024 * 1024;

/// Maps of one volume: their descriptors are beside one frame.
pub const VOLUME_MAPS: usize = FRAME_DESCRIPTORS as usize;

/// Bytes of the id of a volume, and of the name of a map in one: what the name of a file may have.
pub const VOLUME_NAME_BYTES: usize = 255;
