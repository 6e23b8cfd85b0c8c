//! Bounds of the API worker beside those of the links (`ipc::limits`).

use std::time::Duration;

/// How long a request waits for a worker that is being restarted. A restart takes some ten milliseconds; a worker that
/// is not back after this time is in back-off, and the client is told to retry.
pub const PEER_WAIT: Duration = Duration::from_secs(1);

/// How long it waits before it asks the supervisor whether the worker comes back at all. Longer than a restart, so that the
/// supervisor is not asked by every client while it restarts one.
pub const PEER_PATIENCE: Duration = Duration::from_millis(200);

/// How often a request that may be repeated is sent to a new incarnation of a worker that died under it.
pub const ATTEMPTS: usize = 3;

/// How long requests in flight may take to finish when the service stops.
pub const DRAIN: Duration = Duration::from_secs(2);

/// Bytes of a list of all programs, maps or links in the kernel: sixteen thousand of the longest records. The answer to the
/// client must fit a frame besides, which is checked when it is sent.
pub const INVENTORY_BYTES: usize = 16384 * 328;

/// Connections of one process over gRPC: half of all, so that no process keeps everybody else out. A program that opens one
/// for each of two hundred threads is served.
pub const GRPC_PROCESS_CONNECTIONS: usize = 256;

/// Requests of one process in flight over gRPC: half of all, for the same reason.
pub const GRPC_PROCESS_REQUESTS: usize = 24;

/// Lists and other questions of one process that are worked on at a time over gRPC: enough to ask the next while an answer is
/// under way, too few to keep a small machine busy.
pub const GRPC_PROCESS_READS: usize = 2;

/// How many times longer than it took to make it an answer that is not taken keeps the place of its request: who asks and does
/// not listen has less than two thousandths of the service's time.
pub const GRPC_UNTAKEN_TIMES: u32 = 1024;

/// The longest such time: a client that crashed comes again.
pub const GRPC_UNTAKEN_BOUND: Duration = Duration::from_secs(30);

/// How long the place of a gRPC connection is kept over which the client took no answer: connections cost something, too.
pub const GRPC_UNUSED_REST: Duration = Duration::from_secs(5);

/// Requests that one gRPC connection may have open; HTTP/2 tells the client.
pub const GRPC_STREAMS: u32 = 16;

/// How long a gRPC connection may be open before its first request. Clients connect when they have one.
pub const GRPC_FIRST_REQUEST: Duration = Duration::from_secs(30);

/// How long a gRPC connection may be open without a request before it is asked to come again, which clients' libraries do
/// by themselves: its place is for others.
pub const GRPC_IDLE: Duration = Duration::from_secs(600);

/// How long a gRPC client may be silent before it is asked whether it is still there.
pub const GRPC_PING_INTERVAL: Duration = Duration::from_secs(30);

/// How long it has to answer that.
pub const GRPC_PING_ANSWER: Duration = Duration::from_secs(10);

/// How long a client may take to read an answer. The largest takes milliseconds.
pub const GRPC_ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// Bytes of a gRPC request: what the same request may have over IPC, in a form that is not longer.
pub const GRPC_REQUEST_BYTES: usize = ipc::limits::LOAD_FRAME_BYTES as usize;

/// Bytes of a gRPC answer: the default of most clients' libraries, and what a frame of the loader may have.
pub const GRPC_REPLY_BYTES: usize = ipc::limits::FRAME_BYTES as usize;

/// Bytes of the headers of a gRPC request; those of real clients have a few hundred.
pub const GRPC_HEADER_BYTES: u32 = 16 * 1024;

/// Bytes of an answer that are handed to the connection at once.
pub const GRPC_CHUNK_BYTES: usize = 16 * 1024;

/// Bytes that a request may have under way to a client that does not read.
pub const GRPC_SEND_BYTES: usize = 64 * 1024;

/// Bytes that a client may have under way before they are read: for each request and for the connection.
pub const GRPC_WINDOW_BYTES: u32 = 256 * 1024;

/// Requests that a client may have begun and taken back before they were looked at.
pub const GRPC_RESETS: usize = 20;

/// Bytes of a gRPC status: clients' libraries take 8 KiB of trailers, and what is no plain letter is sent as three.
pub const GRPC_STATUS_BYTES: usize = 2048;

/// Pause after a gRPC client that there is no place for: a flood of them must not keep a processor busy.
pub const GRPC_REFUSAL_PAUSE: Duration = Duration::from_millis(1);
