//! Every bound of the command line, with its reason.

use std::time::Duration;

/// Pauses between attempts of a request that the service could not take. A worker is back within 150 ms of its death;
/// the sum stays under [`RETRY_TIME`].
pub const RETRY_PAUSES: [Duration; 6] = [
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
];

/// After this time no further attempt is begun: a user waits two seconds, then wants to know.
pub const RETRY_TIME: Duration = Duration::from_secs(2);

/// How long an answer is waited for: what the service allows itself, and one frame more.
pub const ANSWER_DEADLINE: Duration =
    ipc::limits::REQUEST_DEADLINE.saturating_add(ipc::limits::FRAME_DEADLINE);

/// How long the answer about an image is waited for: the registry's time comes before that of the load.
pub const IMAGE_DEADLINE: Duration = ipc::limits::PULL_DEADLINE.saturating_add(ANSWER_DEADLINE);

/// Time between two looks at how far a download is: often enough for a bar, and nothing is shown of what is faster.
pub const PROGRESS_PAUSE: Duration = Duration::from_millis(200);

/// Largest file with registry credentials that is read. One with hundreds of registries is 100 KiB.
pub const AUTH_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// Longest answer of a credential helper.
pub const HELPER_ANSWER_BYTES: u64 = 64 * 1024;

/// Largest `/proc/<pid>/maps` that is read: 65530 mappings (`vm.max_map_count`) of ordinary length are 8 MiB.
pub const PROC_MAPS_BYTES: u64 = 64 * 1024 * 1024;

/// Largest `/etc/group` that is read.
pub const GROUP_FILE_BYTES: u64 = 4 * 1024 * 1024;
