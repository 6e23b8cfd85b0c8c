//! Bounds on what registries may send, each with its reason and a test one past it.

use std::time::Duration;

/// Bytes of a reference as written. Registries stop at 255 for a name; host, tag and digest come to it.
pub const REFERENCE_BYTES: usize = 512;

/// Bytes of a repository's name: what the distribution specification asks registries to take.
pub const REPOSITORY_BYTES: usize = 255;

/// Bytes of a tag (distribution specification).
pub const TAG_BYTES: usize = 128;

/// Bytes of a manifest or an index. The distribution specification asks registries to take 4 MiB.
pub const MANIFEST_BYTES: u64 = 4 * 1024 * 1024;

/// Bytes of an image configuration: labels are all that matters of it here.
pub const CONFIG_BYTES: u64 = 1024 * 1024;

/// Manifests of one index: platforms and attestations of them.
pub const INDEX_MANIFESTS: usize = 256;

/// Layers of one image. Bytecode is in one; container tools may add some.
pub const LAYERS: usize = 32;

/// Annotations of a manifest, or labels of a configuration.
pub const LABELS: usize = 256;

/// Bytes of the label that lists programs or maps.
pub const LABEL_BYTES: usize = 64 * 1024;

/// Programs or maps that a label lists.
pub const LABEL_ENTRIES: usize = 1024;

/// Bytes of a name in such a label: symbols of Go and C++ can be long.
pub const LABEL_NAME_BYTES: usize = 1024;

/// Bytes of a media type (RFC 6838: 127 for each half).
pub const MEDIA_TYPE_BYTES: usize = 255;

/// Bytes of the object file in a layer. The loader's limit for files; the established implementation has the same.
pub const OBJECT_BYTES: u64 = 16 * 1024 * 1024;

/// Bytes of a layer as it is sent: an object of the largest size that does not compress, with its archive around it.
pub const LAYER_BYTES: u64 = OBJECT_BYTES + 1024 * 1024;

/// Bytes of a layer when it is decompressed: a few objects of the largest size, for other machines or with sources.
pub const UNPACKED_BYTES: u64 = 4 * OBJECT_BYTES;

/// Entries of the archive in a layer.
pub const ENTRIES: usize = 1024;

/// Bytes of an entry's path (`PATH_MAX`).
pub const ENTRY_PATH_BYTES: usize = 4096;

/// Frames of one zstd stream. Tools that make seekable layers cut them into many.
pub const ZSTD_FRAMES: usize = 4096;

/// Redirects that are followed for one request. Registries send blobs to a storage service, and that perhaps to a mirror.
pub const REDIRECTS: usize = 5;

/// Bytes of an answer that only explains an error.
pub const ERROR_BYTES: u64 = 64 * 1024;

/// Characters of a registry's own explanation that are repeated.
pub const ERROR_CHARACTERS: usize = 256;

/// Bytes of an answer with a token. Tokens of large clouds have a few KiB.
pub const TOKEN_BYTES: u64 = 64 * 1024;

/// Bytes of a challenge (`WWW-Authenticate`).
pub const CHALLENGE_BYTES: usize = 8 * 1024;

/// Bytes of a user name or a password; tokens of clouds serve as passwords.
pub const SECRET_BYTES: usize = 16 * 1024;

/// Referrers of one image: signatures and attestations.
pub const REFERRERS: usize = 256;

/// Mirrors of one registry.
pub const MIRRORS: usize = 8;

/// How long a connection may take to come about, TLS included.
pub const CONNECT: Duration = Duration::from_secs(10);

/// How long a registry may send nothing while it owes an answer.
pub const SILENCE: Duration = Duration::from_secs(20);

/// How long one answer may take from the request to its last byte: 17 MiB at 150 kB/s.
pub const ANSWER: Duration = Duration::from_secs(120);
