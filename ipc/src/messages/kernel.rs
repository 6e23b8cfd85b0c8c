//! What the kernel tells about programs, maps and links, in its own numbers.
//!
//! Fields follow `struct bpf_prog_info`, `bpf_map_info` and `bpf_link_info` of `include/uapi/linux/bpf.h`.

use bincode::{Decode, Encode};

/// What a list of the kernel's objects is of.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum Inventory {
    /// Programs.
    Programs,
    /// Maps.
    Maps,
    /// Links.
    Links,
}

/// `struct bpf_prog_info`.
#[derive(Clone, Debug, Default, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct KernelProgram {
    /// Kernel id.
    pub id: u32,
    /// `enum bpf_prog_type`.
    pub prog_type: u32,
    /// At most 15 characters.
    pub name: String,
    /// SHA-1 prefix of the instructions.
    pub tag: [u8; 8],
    /// Seconds since the Unix epoch.
    pub loaded_at: i64,
    /// Who loaded it.
    pub uid: u32,
    /// BTF object, 0 for none.
    pub btf_id: u32,
    /// Maps in use.
    #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
    pub map_ids: Vec<u32>,
    /// Bytes of native code.
    pub jited_size: u32,
    /// Bytes of translated eBPF.
    pub xlated_size: u32,
    /// Instructions that the verifier walked.
    pub verified_insns: u32,
    /// Bytes of locked memory, from fdinfo.
    pub memlock: Option<u64>,
    /// Whether the licence is GPL compatible.
    pub gpl_compatible: bool,
}

/// Run statistics; zero unless `kernel.bpf_stats_enabled` is set.
#[derive(Clone, Copy, Debug, Default, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct ProgramStats {
    /// Nanoseconds.
    pub runtime_ns: u64,
    /// Runs.
    pub run_count: u64,
    /// Runs skipped because of recursion.
    pub recursion_misses: u64,
}

/// `struct bpf_map_info` with its pin.
#[derive(Clone, Debug, Default, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct KernelMap {
    /// Kernel id.
    pub id: u32,
    /// At most 15 characters.
    pub name: String,
    /// `enum bpf_map_type`.
    pub map_type: u32,
    /// Bytes.
    pub key_size: u32,
    /// Bytes.
    pub value_size: u32,
    /// Entries.
    pub max_entries: u32,
    /// `BPF_F_*`.
    pub flags: u32,
    /// BTF object, 0 for none.
    pub btf_id: u32,
    /// Type-specific extra.
    pub map_extra: u64,
    /// Bytes of locked memory, from fdinfo.
    pub memlock: Option<u64>,
    /// Frozen for user space.
    pub frozen: bool,
    /// Pin, empty for maps that have none (data sections).
    pub pin_path: String,
    /// Whether the pin is there.
    pub present: bool,
}

/// `struct bpf_link_info`, flattened; fields that do not apply are 0.
#[derive(Clone, Debug, Default, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct KernelLink {
    /// Kernel id.
    pub id: u32,
    /// Program behind it.
    pub program_id: u32,
    /// `enum bpf_link_type`.
    pub link_type: u32,
    /// `enum bpf_attach_type`, where the link type has one.
    pub attach_type: Option<u32>,
    /// Interface (xdp, tcx, netkit).
    pub ifindex: u32,
    /// Program or BTF object attached to (tracing).
    pub target_obj_id: u32,
    /// Function attached to (tracing).
    pub target_btf_id: u32,
    /// Cgroup.
    pub cgroup_id: u64,
    /// Network namespace (sk_lookup, flow dissector).
    pub netns_ino: u32,
}

/// A link of anybody's, as an iterator of the kernel tells it.
#[derive(Clone, Debug, Default, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct ForeignLink {
    /// What is told of every link.
    pub link: KernelLink,
    /// What it is attached to, as far as the kernel tells it; empty otherwise.
    pub attachment: String,
}
