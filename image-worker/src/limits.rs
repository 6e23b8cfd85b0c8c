//! Bounds of the image worker, each with its reason. What both ends of a link must know stands in `ipc::limits`.

use std::time::Duration;

/// Sections of one object. Compilers make about five per program; the largest objects known have under two thousand.
pub const SECTIONS: usize = 8192;

/// Symbols of one object. Large objects have some ten thousand, labels included.
pub const SYMBOLS: usize = 256 * 1024;

/// Types in the BTF of one object. The whole kernel has about 150 000.
pub const BTF_TYPES: usize = 256 * 1024;

/// Bytes of a structure in the BTF of an object: keeps bit offsets within 31 bits.
pub const BTF_STRUCT_BYTES: u32 = 1 << 27;

/// Functions of one program with all that it calls: the kernel takes no more (`BPF_MAX_SUBPROGS`).
pub const PROGRAM_FUNCTIONS: usize = 256;

/// Instructions of one program with all that it calls: the kernel takes no more (`BPF_COMPLEXITY_LIMIT_INSNS`).
pub const PROGRAM_INSTRUCTIONS: u64 = 1_000_000;

/// Maps of one object, inner templates included. Cilium's objects have about eighty.
pub const MAPS: usize = 256;

/// Elements of maps that the source of one object sets. Tables of tail calls have some ten; the loader takes no more for a load
/// of one program.
pub const MAP_ELEMENTS: usize = 4096;

/// Bytes of the variables of one object that have their values from the kernel. An object has some five, of eight bytes.
pub const KCONFIG_BYTES: usize = 4096;

/// Steps from a type through modifiers, type definitions and arrays to what it is.
pub const TYPE_DEPTH: usize = 32;

/// Accessors of one CO-RE relocation.
pub const CORE_ACCESSORS: usize = 64;

/// Array index in a CO-RE relocation.
pub const CORE_INDEX: usize = 1 << 16;

/// Names suggested when one is not found.
pub const SUGGESTIONS: usize = 3;

/// Bytes of the kernel's own BTF. It is 5 to 8 MiB today.
pub const KERNEL_BTF_BYTES: u64 = 64 * 1024 * 1024;

/// Bytes of one table (symbols, their names) of a binary in which a function is looked for. That of a large browser
/// with debug symbols is about 100 MiB; it is in memory while it is searched.
pub const SYMBOL_TABLE_BYTES: u64 = 256 * 1024 * 1024;

/// The kernel's types (14 MB) are given back when no request came for this long.
pub const KERNEL_TYPES_IDLE: Duration = Duration::from_secs(30);

/// Longest text of a failure's cause: lists of programs or variables are cut behind it. It must fit a reply with room.
pub const CAUSE_BYTES: usize = 64 * 1024;

/// How long an object waits for a loader that is being restarted. As long as the API worker waits for one: it comes up
/// there at the same time, give or take some milliseconds.
pub const LOADER_WAIT: Duration = Duration::from_secs(1);

/// How long requests in flight may take when the worker is told to stop.
pub const DRAIN: Duration = Duration::from_secs(5);

/// Bytes of all signatures of one image, encoded, as the cache keeps them.
pub const EVIDENCE_BYTES: usize = 8 * 1024 * 1024;

/// Largest `/etc/ld.so.cache` that is read. Distributions with every library installed stay under 1 MiB.
pub const LD_CACHE_BYTES: u64 = 16 * 1024 * 1024;
