//! Every bound, with its reason. A test tries one more than each.

/// Signatures of one image that are looked at. Each release signs once or twice; whoever may push may add many.
pub const MATERIALS: usize = 32;

/// Bytes of one signature with all that comes along: payload, bundle, certificates. A bundle with a proof and two
/// certificates has 10 KiB; attestations, which are none of ours, are longer.
pub const MATERIAL_BYTES: usize = 128 * 1024;

/// Log entries of one signature. Clients make one.
pub const LOG_ENTRIES: usize = 4;

/// Certificates of one signature: leaf, two intermediates, root, and as many again during a change of keys.
pub const CERTIFICATES: usize = 8;

/// Hashes of one Merkle proof: a log of 2^64 entries has no more.
pub const PROOF_HASHES: usize = 64;

/// Time stamps of one signature.
pub const TIMESTAMPS: usize = 4;

/// Files of the trust directory that are read.
pub const TRUST_FILES: usize = 64;

/// Bytes of one of them: the public trusted root has 7 KiB.
pub const TRUST_FILE_BYTES: u64 = 1024 * 1024;

/// Rules of a policy.
pub const RULES: usize = 256;

/// Keys or identities of one rule.
pub const SIGNERS: usize = 64;

/// Bytes of a pattern, an identity, a name.
pub const TEXT_BYTES: usize = 1024;

/// Memory of one compiled regular expression.
pub const REGEXP_BYTES: usize = 256 * 1024;

/// Bytes of a private key's file.
pub const PRIVATE_KEY_BYTES: u64 = 64 * 1024;
