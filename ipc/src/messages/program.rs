//! Programs: what is asked for, what is recorded, what is reported.

use super::attach::Link;
use super::kernel::{KernelMap, KernelProgram, ProgramStats};
use super::pull::ImageSource;
use bincode::{Decode, Encode};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Kinds of program, named as users write them. Append only: the position is the encoding.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
#[allow(missing_docs, reason = "the names are the field's own terms")]
pub enum ProgramKind {
    Xdp,
    Tc,
    Tcx,
    Tracepoint,
    Kprobe,
    Kretprobe,
    Uprobe,
    Uretprobe,
    Fentry,
    Fexit,
    Lsm,
    RawTracepoint,
    TpBtf,
    Iter,
    SkLookup,
    CgroupSkb,
    CgroupSock,
    CgroupSockAddr,
    CgroupSockopt,
    CgroupSysctl,
    CgroupDevice,
    PerfEvent,
    KprobeMulti,
    KretprobeMulti,
    UprobeMulti,
    UretprobeMulti,
    Usdt,
    Netfilter,
    Netkit,
}

impl ProgramKind {
    /// Every kind.
    pub const ALL: [ProgramKind; 29] = [
        ProgramKind::Xdp,
        ProgramKind::Tc,
        ProgramKind::Tcx,
        ProgramKind::Tracepoint,
        ProgramKind::Kprobe,
        ProgramKind::Kretprobe,
        ProgramKind::Uprobe,
        ProgramKind::Uretprobe,
        ProgramKind::Fentry,
        ProgramKind::Fexit,
        ProgramKind::Lsm,
        ProgramKind::RawTracepoint,
        ProgramKind::TpBtf,
        ProgramKind::Iter,
        ProgramKind::SkLookup,
        ProgramKind::CgroupSkb,
        ProgramKind::CgroupSock,
        ProgramKind::CgroupSockAddr,
        ProgramKind::CgroupSockopt,
        ProgramKind::CgroupSysctl,
        ProgramKind::CgroupDevice,
        ProgramKind::PerfEvent,
        ProgramKind::KprobeMulti,
        ProgramKind::KretprobeMulti,
        ProgramKind::UprobeMulti,
        ProgramKind::UretprobeMulti,
        ProgramKind::Usdt,
        ProgramKind::Netfilter,
        ProgramKind::Netkit,
    ];

    /// The name in the command line, in JSON and in image labels.
    pub fn name(self) -> &'static str {
        match self {
            ProgramKind::Xdp => "xdp",
            ProgramKind::Tc => "tc",
            ProgramKind::Tcx => "tcx",
            ProgramKind::Tracepoint => "tracepoint",
            ProgramKind::Kprobe => "kprobe",
            ProgramKind::Kretprobe => "kretprobe",
            ProgramKind::Uprobe => "uprobe",
            ProgramKind::Uretprobe => "uretprobe",
            ProgramKind::Fentry => "fentry",
            ProgramKind::Fexit => "fexit",
            ProgramKind::Lsm => "lsm",
            ProgramKind::RawTracepoint => "raw_tracepoint",
            ProgramKind::TpBtf => "tp_btf",
            ProgramKind::Iter => "iter",
            ProgramKind::SkLookup => "sk_lookup",
            ProgramKind::CgroupSkb => "cgroup_skb",
            ProgramKind::CgroupSock => "cgroup_sock",
            ProgramKind::CgroupSockAddr => "cgroup_sock_addr",
            ProgramKind::CgroupSockopt => "cgroup_sockopt",
            ProgramKind::CgroupSysctl => "cgroup_sysctl",
            ProgramKind::CgroupDevice => "cgroup_device",
            ProgramKind::PerfEvent => "perf_event",
            ProgramKind::KprobeMulti => "kprobe_multi",
            ProgramKind::KretprobeMulti => "kretprobe_multi",
            ProgramKind::UprobeMulti => "uprobe_multi",
            ProgramKind::UretprobeMulti => "uretprobe_multi",
            ProgramKind::Usdt => "usdt",
            ProgramKind::Netfilter => "netfilter",
            ProgramKind::Netkit => "netkit",
        }
    }

    /// Whether such a program is loaded for one place, which the kernel knows by a type id, and attaches nowhere else.
    pub fn is_fixed(self) -> bool {
        matches!(
            self,
            ProgramKind::Fentry
                | ProgramKind::Fexit
                | ProgramKind::Lsm
                | ProgramKind::TpBtf
                | ProgramKind::Iter
        )
    }

    /// Whether such a program runs at hooks of control groups ([`crate::cgroup_hooks`]).
    pub fn is_cgroup(self) -> bool {
        matches!(
            self,
            ProgramKind::CgroupSkb
                | ProgramKind::CgroupSock
                | ProgramKind::CgroupSockAddr
                | ProgramKind::CgroupSockopt
                | ProgramKind::CgroupSysctl
                | ProgramKind::CgroupDevice
        )
    }

    /// `enum bpf_prog_type` of such programs, as they are loaded, and by which a list of everything is filtered. Those of xdp and tc that a
    /// dispatcher runs are extensions to the kernel; those of others are what is meant here.
    pub fn kernel_type(self) -> u32 {
        match self {
            ProgramKind::Kprobe
            | ProgramKind::Kretprobe
            | ProgramKind::Uprobe
            | ProgramKind::Uretprobe
            | ProgramKind::KprobeMulti
            | ProgramKind::KretprobeMulti
            | ProgramKind::UprobeMulti
            | ProgramKind::UretprobeMulti
            | ProgramKind::Usdt => 2,
            ProgramKind::Tc | ProgramKind::Tcx | ProgramKind::Netkit => 3,
            ProgramKind::Tracepoint => 5,
            ProgramKind::Xdp => 6,
            ProgramKind::PerfEvent => 7,
            ProgramKind::CgroupSkb => 8,
            ProgramKind::CgroupSock => 9,
            ProgramKind::CgroupDevice => 15,
            ProgramKind::RawTracepoint => 17,
            ProgramKind::CgroupSockAddr => 18,
            ProgramKind::CgroupSysctl => 23,
            ProgramKind::CgroupSockopt => 25,
            ProgramKind::Fentry | ProgramKind::Fexit | ProgramKind::TpBtf | ProgramKind::Iter => 26,
            ProgramKind::Lsm => 29,
            ProgramKind::SkLookup => 30,
            ProgramKind::Netfilter => 32,
        }
    }

    /// First protocol version that knows this kind.
    pub fn since(self) -> u16 {
        match self {
            ProgramKind::Xdp
            | ProgramKind::Tc
            | ProgramKind::Tcx
            | ProgramKind::Tracepoint
            | ProgramKind::Kprobe
            | ProgramKind::Kretprobe
            | ProgramKind::Uprobe
            | ProgramKind::Uretprobe
            | ProgramKind::Fentry
            | ProgramKind::Fexit
            | ProgramKind::Lsm => 1,
            _ => 2,
        }
    }
}

impl fmt::Display for ProgramKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl FromStr for ProgramKind {
    type Err = UnknownKind;

    /// The name; of the kinds with several places also the spelling of sections, `kprobe.multi`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = match text.strip_suffix(".multi") {
            Some(before) => &format!("{before}_multi"),
            None => text,
        };
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| UnknownKind(text.to_owned()))
    }
}

/// Not the name of a program kind.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("unknown program type \"{0}\"")]
pub struct UnknownKind(pub String);

/// One program wanted from an object.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct ProgramRequest {
    /// C function name.
    pub name: String,
    /// Declared kind; checked against the section before anything reaches the kernel.
    pub kind: ProgramKind,
    /// Function or hook to attach to (kinds that are loaded for one; before what the section says).
    pub attach_function: Option<String>,
}

/// A value for a global variable, bytes as they stand in memory.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct GlobalValue {
    /// Name of the variable in the object.
    pub name: String,
    /// As many bytes as the variable has.
    pub bytes: Vec<u8>,
}

/// What the value of a global variable was given as. Numbers are in the byte order of the machine.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
#[allow(missing_docs, reason = "the names are those of the command line")]
pub enum GlobalType {
    U8,
    U16,
    U32,
    U64,
    I8,
    I16,
    I32,
    I64,
    Bool,
    Char,
    /// Text for an array of characters: the rest of it becomes zero, of which there must be at least one.
    String,
}

impl GlobalType {
    /// Every type.
    pub const ALL: [GlobalType; 11] = [
        GlobalType::U8,
        GlobalType::U16,
        GlobalType::U32,
        GlobalType::U64,
        GlobalType::I8,
        GlobalType::I16,
        GlobalType::I32,
        GlobalType::I64,
        GlobalType::Bool,
        GlobalType::Char,
        GlobalType::String,
    ];

    /// The name in the command line.
    pub fn name(self) -> &'static str {
        match self {
            GlobalType::U8 => "u8",
            GlobalType::U16 => "u16",
            GlobalType::U32 => "u32",
            GlobalType::U64 => "u64",
            GlobalType::I8 => "i8",
            GlobalType::I16 => "i16",
            GlobalType::I32 => "i32",
            GlobalType::I64 => "i64",
            GlobalType::Bool => "bool",
            GlobalType::Char => "char",
            GlobalType::String => "string",
        }
    }
}

impl fmt::Display for GlobalType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// The type that belongs to a [`GlobalValue`] of the same request.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct TypedGlobal {
    /// Name of the variable.
    pub name: String,
    /// What its value was given as: checked against the variable's own type where the object says it.
    pub given_as: GlobalType,
}

/// Where an object came from, as the user said it.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum Source {
    /// A file that the client opened; the operand verbatim.
    File(String),
    /// An image. Since version 2.
    Image(ImageSource),
}

/// Bits of a map pin's mode: reading and writing. A map is not executed, and set-id bits mean nothing to it.
pub const MAPS_MODE_BITS: u32 = 0o666;

/// A load request: all of it is carried out, or nothing.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct LoadOptions {
    /// Programs to load, at least one.
    #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
    pub programs: Vec<ProgramRequest>,
    /// Labels kept with each of them.
    #[cfg_attr(test, proptest(strategy = "crate::messages::few_labels()"))]
    pub metadata: BTreeMap<String, String>,
    /// Global variables to set before loading.
    #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
    pub globals: Vec<GlobalValue>,
    /// Use the maps of the program with this id instead of creating new ones.
    pub map_owner: Option<u32>,
    /// Mode of the map pins, of [`MAPS_MODE_BITS`]; when absent 0600, and 0640 with a group. Only for new maps.
    pub maps_mode: Option<u32>,
    /// Group of the map pins; the loader's own when absent. Only for new maps.
    pub maps_group: Option<u32>,
    /// For records and messages.
    pub source: Source,
}

/// A program under management, as it is stored.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct ProgramRecord {
    /// Kernel program id.
    pub program_id: u32,
    /// C function name.
    pub name: String,
    /// Declared kind.
    pub kind: ProgramKind,
    /// ELF section.
    pub section: String,
    /// Function or hook that the program was loaded for.
    pub attach_function: Option<String>,
    /// ELF licence.
    pub license: String,
    /// Whether the kernel takes the licence for GPL compatible.
    pub gpl_compatible: bool,
    /// Labels.
    #[cfg_attr(test, proptest(strategy = "crate::messages::few_labels()"))]
    pub metadata: BTreeMap<String, String>,
    /// Global variables that were set.
    #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
    pub globals: Vec<GlobalValue>,
    /// Where the object came from.
    pub source: Source,
    /// SHA-256 of the object file.
    pub object_digest: [u8; 32],
    /// File with the stored load plan.
    pub plan_path: String,
    /// Program pin.
    pub pin_path: String,
    /// Directory with the map pins (the owner's when shared).
    pub maps_dir: String,
    /// Owner of the maps, when it is another program.
    pub map_owner: Option<u32>,
    /// Who loaded it.
    pub loaded_by: Uid,
    /// Seconds since the Unix epoch.
    pub created_at: i64,
}

/// A user id as the kernel reported it.
pub type Uid = u32;

/// A program with its state in the kernel.
#[derive(Clone, Debug, Decode, Encode, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct Program {
    /// The record.
    pub record: ProgramRecord,
    /// What the kernel says; `None` when the program is gone from it.
    pub kernel: Option<KernelProgram>,
    /// Run statistics; `None` directly after a load.
    pub stats: Option<ProgramStats>,
    /// Its links, ascending by id.
    #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
    pub links: Vec<Link>,
    /// Its maps.
    #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
    pub maps: Vec<KernelMap>,
    /// Programs on the same map set, itself included, ascending.
    #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
    pub map_used_by: Vec<u32>,
}

/// A row of `program list`.
#[derive(Clone, Debug, Decode, Encode, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct ProgramEntry {
    /// The record.
    pub record: ProgramRecord,
    /// What the kernel says; `None` when the program is gone from it.
    pub kernel: Option<KernelProgram>,
    /// Link ids, ascending.
    #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
    pub links: Vec<u64>,
    /// Whether at least one of the links is live in the kernel.
    pub attached: bool,
}
