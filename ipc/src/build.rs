//! Which build this is. Links between bpfman's own processes demand equal builds; clients negotiate a version.

/// The version of the workspace, as `bpfmanctl version` prints it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Version of the message set between processes of one build and of the client protocol. Raised when a variant is added.
pub const PROTOCOL_VERSION: u16 = 2;

/// Oldest client protocol version that the API worker still answers.
pub const OLDEST_CLIENT_VERSION: u16 = 1;

/// Identifies the build: version, and a digest of this crate's sources (`build.rs`). Processes that differ in it are refused
/// at `Hello`, so that a binary left over from another build is not taken for one of this.
pub const BUILD_ID: &str = env!("BPFMAN_BUILD_ID");
