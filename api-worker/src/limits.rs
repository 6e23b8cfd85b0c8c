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
