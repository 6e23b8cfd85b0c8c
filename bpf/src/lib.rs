//! The kernel-side programs, as the object files that `build.rs` made of `src/*.bpf.c`.

use std::path::PathBuf;

/// An object file whose start is aligned as ELF readers that map structures want it.
#[repr(align(16))]
struct Aligned<T: ?Sized>(T);

macro_rules! object {
    ($(#[$meta:meta])* $name:ident, $file:literal) => {
        $(#[$meta])*
        pub const $name: &[u8] = {
            static OBJECT: &Aligned<[u8]> =
                &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/", $file, ".o")));
            &OBJECT.0
        };
    };
}

object! {
    /// One counter per kind of hook (`counter.bpf.c`).
    COUNTER, "counter"
}
object! {
    /// Programs that write down in which order they ran (`order.bpf.c`).
    ORDER, "order"
}
object! {
    /// CO-RE relocations, subprograms, a callback (`core.bpf.c`).
    CORE, "core"
}
object! {
    /// A program that the verifier rejects beside one that it accepts (`invalid.bpf.c`).
    INVALID, "invalid"
}
object! {
    /// Maps of many types (`maps.bpf.c`).
    MAPS, "maps"
}
object! {
    /// Maps whose elements the source sets (`elements.bpf.c`).
    ELEMENTS, "elements"
}
object! {
    /// No BTF, no license, maps of the old style (`bare.bpf.c`).
    BARE, "bare"
}

object! {
    /// One counter per way to a place in the kernel (`functions.bpf.c`).
    FUNCTIONS, "functions"
}

object! {
    /// One counter per hook of control groups (`cgroup.bpf.c`).
    CGROUP, "cgroup"
}

object! {
    /// Global variables of many types (`globals.bpf.c`).
    GLOBALS, "globals"
}

object! {
    /// A map that is shared by name (`tally.bpf.c`).
    TALLY, "tally"
}
object! {
    /// The same map, declared by somebody else (`tally_too.bpf.c`).
    TALLY_TOO, "tally_too"
}
object! {
    /// Another map of that name and size (`tally_other.bpf.c`).
    TALLY_OTHER, "tally_other"
}
object! {
    /// Programs that sleep, take fragments, or are optional (`sections.bpf.c`).
    SECTIONS, "sections"
}

object! {
    /// Variables that have their values from the kernel, and libbpf's header for static probes (`kconfig.bpf.c`).
    KCONFIG, "kconfig"
}

object! {
    /// What is in the kernel, whoever put it there (`iterators.bpf.c`).
    ITERATORS, "iterators"
}

object! {
    /// The dispatcher of the libxdp protocol (`xdp_dispatcher.bpf.c`).
    XDP_DISPATCHER, "xdp_dispatcher"
}
object! {
    /// The dispatcher of a clsact hook (`tc_dispatcher.bpf.c`).
    TC_DISPATCHER, "tc_dispatcher"
}

object! {
    /// Members of chains (`chain.bpf.c`).
    CHAIN, "chain"
}

/// A program of [`ITERATORS`] as it was compiled here, before it was fitted to a kernel.
#[derive(Clone, Copy, Debug)]
pub struct Template {
    /// C function name.
    pub name: &'static str,
    /// ELF section.
    pub section: &'static str,
    /// `struct bpf_insn`, 8 bytes each.
    pub instructions: &'static [u8],
    /// Instructions that carry the offset or the size of a field, or whether there is one: ascending.
    pub relocated: &'static [u32],
}

/// The programs of [`ITERATORS`].
pub const ITERATOR_TEMPLATES: [Template; 3] = include!(concat!(env!("OUT_DIR"), "/iterators.rs"));

/// Every object with its name.
pub const ALL: [(&str, &[u8]); 19] = [
    ("counter", COUNTER),
    ("order", ORDER),
    ("core", CORE),
    ("invalid", INVALID),
    ("maps", MAPS),
    ("elements", ELEMENTS),
    ("bare", BARE),
    ("functions", FUNCTIONS),
    ("cgroup", CGROUP),
    ("iterators", ITERATORS),
    ("xdp_dispatcher", XDP_DISPATCHER),
    ("tc_dispatcher", TC_DISPATCHER),
    ("chain", CHAIN),
    ("globals", GLOBALS),
    ("tally", TALLY),
    ("tally_too", TALLY_TOO),
    ("tally_other", TALLY_OTHER),
    ("sections", SECTIONS),
    ("kconfig", KCONFIG),
];

/// Slots of the `counters` map of [`COUNTER`], in the order of `enum slot`.
pub const COUNTER_SLOTS: [&str; 8] = [
    "tcx_ingress_count",
    "tcx_egress_count",
    "tc_count",
    "xdp_count",
    "tracepoint_count",
    "uprobe_count",
    "uretprobe_count",
    "optional_count",
];

/// Where the object with this name ("counter") lies in the build directory: for commands that take a file.
pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("OUT_DIR")).join(format!("{name}.o"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_object_is_bpf_elf_and_has_a_file() {
        for (name, object) in ALL {
            assert_eq!(&object[..4], b"\x7fELF", "{name}");
            assert_eq!(
                object[18..20],
                247_u16.to_le_bytes(),
                "{name} is not for the BPF machine"
            );
            assert_eq!(std::fs::read(path(name)).expect(name), object, "{name}");
        }
    }
}
