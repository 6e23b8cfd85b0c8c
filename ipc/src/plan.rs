//! The load plan: what the image worker makes of an object file, and all that the loader ever sees of it.
//!
//! A plan is flat, typed and bounded. It travels in a sealed memfd (`F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW |
//! F_SEAL_SEAL`), encoded by [`crate::codec`], at most [`crate::limits::PLAN_BYTES`] long.

use crate::messages::program::ProgramKind;
use bincode::{Decode, Encode};

/// Version of the encoding; a stored plan of another version is rebuilt from its source or refused.
pub const PLAN_VERSION: u16 = 2;

/// Everything needed to create the maps and programs of one load request by bpf(2).
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct LoadPlan {
    /// [`PLAN_VERSION`].
    pub version: u16,
    /// SHA-256 of the object file that was compiled.
    pub object_digest: [u8; 32],
    /// Contents of the `license` section without the NUL; empty when the object has none (not GPL compatible then).
    pub license: String,
    /// BTF blob for `BPF_BTF_LOAD`, already fitted to what kernels from 6.1 on accept; `None` when the object has none.
    pub btf: Option<Vec<u8>>,
    /// All maps of the object, data sections included, in the order that slots refer to.
    #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
    pub maps: Vec<MapPlan>,
    /// The requested programs, in the order of the request.
    #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
    pub programs: Vec<ProgramPlan>,
}

/// One map, as `BPF_MAP_CREATE` wants it.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct MapPlan {
    /// Name in the object (any length; the kernel sees the first 15 characters).
    pub name: String,
    /// `enum bpf_map_type`.
    pub map_type: u32,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Entries; 0 asks the loader for one per possible CPU (perf event arrays).
    pub max_entries: u32,
    /// `BPF_F_*` flags of map creation.
    pub flags: u32,
    /// BTF type id of the key in [`LoadPlan::btf`], 0 when none.
    pub btf_key_type_id: u32,
    /// BTF type id of the value in [`LoadPlan::btf`], 0 when none.
    pub btf_value_type_id: u32,
    /// Whether the object asks to share the map by name (`LIBBPF_PIN_BY_NAME`).
    pub pin_by_name: bool,
    /// A data section (`.rodata`, `.data`, `.bss`, `.kconfig`): never pinned by name nor shared.
    pub internal: bool,
    /// Contents of element 0, written after creation (data sections only).
    pub initial: Option<Vec<u8>>,
    /// Freeze after writing [`MapPlan::initial`] (`.rodata`).
    pub freeze: bool,
    /// Index into [`LoadPlan::maps`] of the template for the inner maps of an array or hash of maps.
    pub inner: Option<u32>,
    /// What the source sets elements of the map to (`.values = {…}`); `None` when it sets none.
    pub elements: Option<Elements>,
    /// Hash functions of a bloom filter, 1 to 15; 0 leaves the number to the kernel, and is that of all other maps.
    pub hash_functions: u8,
    /// What a key looks like; `None` when the object does not say, or the kernel takes no types for such maps.
    pub key_type: Option<MapType>,
    /// What a value looks like.
    pub value_type: Option<MapType>,
}

impl MapPlan {
    /// A map without types, contents and flags.
    pub fn plain(
        name: &str,
        map_type: u32,
        (key_size, value_size): (u32, u32),
        max_entries: u32,
    ) -> Self {
        Self {
            name: name.to_owned(),
            map_type,
            key_size,
            value_size,
            max_entries,
            flags: 0,
            btf_key_type_id: 0,
            btf_value_type_id: 0,
            pin_by_name: false,
            internal: false,
            initial: None,
            freeze: false,
            inner: None,
            elements: None,
            hash_functions: 0,
            key_type: None,
            value_type: None,
        }
    }
}

/// Elements that are set before anybody sees the map, in the order of their keys.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum Elements {
    /// Of an array or hash of maps: indices into [`LoadPlan::maps`].
    Maps(#[cfg_attr(test, proptest(strategy = "crate::messages::few()"))] Vec<Element>),
    /// Of a program array: indices into [`LoadPlan::programs`].
    Programs(#[cfg_attr(test, proptest(strategy = "crate::messages::few()"))] Vec<Element>),
}

impl Elements {
    /// The elements, whatever they are.
    pub fn list(&self) -> &[Element] {
        match self {
            Self::Maps(list) | Self::Programs(list) => list,
        }
    }
}

/// One element that the source sets.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct Element {
    /// The key, a number of 32 bits.
    pub key: u32,
    /// What it is set to: an index.
    pub value: u32,
}

/// What a key or value looks like, from the object's BTF, so that two objects which share a map can be compared by who
/// reads no BTF.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct MapType {
    /// For messages: the type as C would have it, in printable ASCII, cut at [`crate::limits::MAP_TYPE_BYTES`].
    pub text: String,
    /// SHA-256 of names, offsets, sizes and types of everything in it. Type definitions and qualifiers do not count.
    pub digest: [u8; 32],
}

/// One program, as `BPF_PROG_LOAD` wants it.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct ProgramPlan {
    /// C function name (any length; the kernel sees the first 15 characters).
    pub name: String,
    /// The kind that was declared in the request and agrees with the section.
    pub kind: ProgramKind,
    /// ELF section as the author wrote it, for messages.
    pub section: String,
    /// `enum bpf_prog_type`.
    pub prog_type: u32,
    /// `enum bpf_attach_type`, 0 when the program type has none.
    pub expected_attach_type: u32,
    /// `prog_flags`: BPF_F_SLEEPABLE, BPF_F_XDP_HAS_FRAGS.
    pub flags: u32,
    /// `struct bpf_insn` after relocation, 8 bytes each, subprograms appended.
    pub instructions: Vec<u8>,
    /// Instructions whose immediate must become a map descriptor, ascending.
    #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
    pub map_slots: Vec<MapSlot>,
    /// `func_info` records for the program, when there is BTF.
    pub func_info: Option<InfoTable>,
    /// `line_info` records for the program, when there is BTF.
    pub line_info: Option<InfoTable>,
    /// Function or hook named in the request, else from the section, for kinds that are loaded for one.
    pub attach_function: Option<String>,
    /// Target from the section name (`tracepoint/syscalls/sys_enter_openat` gives `syscalls/sys_enter_openat`), if any.
    pub section_target: Option<String>,
    /// What the program attaches to, as a type id in the kernel's BTF (fentry, fexit, lsm); 0 for other kinds.
    pub attach_btf_id: u32,
}

/// Where a map descriptor goes.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct MapSlot {
    /// Index of the first of the two `ld_imm64` instructions.
    pub instruction: u32,
    /// Index into [`LoadPlan::maps`].
    pub map: u32,
}

/// A table of fixed-size records of `.BTF.ext`.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct InfoTable {
    /// Bytes of one record.
    pub record_size: u32,
    /// The records; the length is a multiple of [`InfoTable::record_size`].
    pub records: Vec<u8>,
}
