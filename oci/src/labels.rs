//! Labels that say which programs and maps an image's bytecode has.
//!
//! `io.ebpf.programs` and `io.ebpf.maps` are JSON objects from name to type. Types are spelled in two ways, depending on
//! who built the image: as bpfman's names (`kprobe`, `tcx`) or as the kernel's (`probe`, `tracing`). The oldest images have
//! labels for one program instead.

use crate::manifest::check_count;
use crate::{Error, limits};
use std::collections::BTreeMap;

/// Programs by name.
pub const PROGRAMS: &str = "io.ebpf.programs";
/// Maps by name.
pub const MAPS: &str = "io.ebpf.maps";
const OLD_NAMES: [&str; 2] = ["io.ebpf.bpf_function_name", "io.ebpf.program_name"];
const OLD_TYPE: &str = "io.ebpf.program_type";

/// What an image says that it has. Where it says nothing, nothing is known.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Labels {
    /// Types of programs, as they are spelled, by name.
    pub programs: BTreeMap<String, String>,
    /// Types of maps by name.
    pub maps: BTreeMap<String, String>,
}

impl Labels {
    /// Reads them from the labels of a configuration, or the annotations of an artifact.
    ///
    /// # Errors
    ///
    /// A label is there and is not what it must be.
    pub fn parse(labels: &BTreeMap<String, String>) -> Result<Self, Error> {
        let mut parsed = Self {
            programs: table(labels, PROGRAMS, "the label io.ebpf.programs")?,
            maps: table(labels, MAPS, "the label io.ebpf.maps")?,
        };
        if !labels.contains_key(PROGRAMS) {
            let name = OLD_NAMES.iter().find_map(|key| labels.get(*key));
            if let (Some(name), Some(kind)) = (name, labels.get(OLD_TYPE)) {
                check("the label io.ebpf.program_type", name, kind)?;
                parsed.programs.insert(name.clone(), kind.clone());
            }
        }
        Ok(parsed)
    }

    /// Whether the labels speak against loading a program as a kind (bpfman's name of it). They decide nothing else:
    /// what is in the bytecode is seen when it is compiled.
    pub fn contradicts(&self, program: &str, kind: &str) -> Option<&str> {
        let labelled = self.programs.get(program)?;
        let meant = meant_by(labelled);
        (!meant.is_empty() && !meant.contains(&kind)).then_some(labelled)
    }
}

/// The kinds of programs (bpfman's names) that a type in a label stands for; none when it is not known.
pub fn meant_by(spelling: &str) -> &'static [&'static str] {
    match spelling {
        "xdp" => &["xdp"],
        "tc" | "tcx" | "netkit" | "sched_cls" | "sched-cls" | "schedcls" | "classifier" => {
            &["tc", "tcx", "netkit"]
        }
        "tracepoint" => &["tracepoint"],
        "kprobe" | "kretprobe" | "uprobe" | "uretprobe" | "probe" => {
            // The kernel has one type for all four, and tools label a program by the section that it happens to be in.
            &[
                "kprobe",
                "kretprobe",
                "uprobe",
                "uretprobe",
                "kprobe_multi",
                "kretprobe_multi",
                "uprobe_multi",
                "uretprobe_multi",
                "usdt",
            ]
        }
        "fentry" | "fexit" => &["fentry", "fexit"],
        "lsm" => &["lsm"],
        _ => &[],
    }
}

fn table(
    labels: &BTreeMap<String, String>,
    key: &str,
    what: &'static str,
) -> Result<BTreeMap<String, String>, Error> {
    let Some(text) = labels.get(key) else {
        return Ok(BTreeMap::new());
    };
    if text.len() > limits::LABEL_BYTES {
        return Err(Error::too_many_bytes(what, limits::LABEL_BYTES as u64));
    }
    let table: BTreeMap<String, String> = crate::manifest::parse(what, text.as_bytes())?;
    check_count(what, table.len(), limits::LABEL_ENTRIES)?;
    for (name, kind) in &table {
        check(what, name, kind)?;
    }
    Ok(table)
}

fn check(what: &'static str, name: &str, kind: &str) -> Result<(), Error> {
    if name.is_empty()
        || name.len() > limits::LABEL_NAME_BYTES
        || name.chars().any(char::is_control)
    {
        return Err(Error::malformed(
            what,
            "a name in it is empty, too long, or not printable",
        ));
    }
    let is_word =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/');
    if kind.is_empty() || kind.len() > 64 || !kind.bytes().all(is_word) {
        return Err(Error::malformed(what, "a type in it is not a word"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn programs(text: &str) -> Result<Labels, Error> {
        Labels::parse(&labels(&[(PROGRAMS, text)]))
    }

    #[test]
    fn both_spellings_of_types_are_understood() {
        let ours = programs(r#"{"count":"kprobe","pass":"tcx"}"#).unwrap();
        assert_eq!(ours.contradicts("count", "kprobe"), None);
        assert_eq!(ours.contradicts("pass", "tc"), None);
        assert_eq!(ours.contradicts("pass", "xdp"), Some("tcx"));
        assert_eq!(ours.contradicts("other", "xdp"), None);
        let kernel = programs(r#"{"count":"probe","trace":"tracing"}"#).unwrap();
        assert_eq!(kernel.contradicts("count", "uretprobe"), None);
        assert_eq!(kernel.contradicts("count", "xdp"), Some("probe"));
        // Several kinds are "tracing" to the kernel, so it says too little to contradict.
        assert_eq!(kernel.contradicts("trace", "fentry"), None);
    }

    #[test]
    fn old_images_name_one_program() {
        let old = [
            ("io.ebpf.bpf_function_name", "pass"),
            ("io.ebpf.program_type", "xdp"),
            ("io.ebpf.filename", "a.o"),
        ];
        assert_eq!(
            Labels::parse(&labels(&old)).unwrap().programs["pass"],
            "xdp"
        );
        let both = [&old[..], &[(PROGRAMS, "{}")]].concat();
        assert!(Labels::parse(&labels(&both)).unwrap().programs.is_empty());
        assert!(
            Labels::parse(&labels(&[("io.ebpf.program_type", "xdp")]))
                .unwrap()
                .programs
                .is_empty()
        );
        let bad = [
            ("io.ebpf.program_name", ""),
            ("io.ebpf.program_type", "xdp"),
        ];
        assert!(Labels::parse(&labels(&bad)).is_err());
    }

    #[test]
    fn no_labels_mean_that_nothing_is_known() {
        assert_eq!(Labels::parse(&BTreeMap::new()).unwrap(), Labels::default());
        let maps = labels(&[(MAPS, r#"{"counts":"per_cpu_array"}"#)]);
        assert_eq!(
            Labels::parse(&maps).unwrap().maps["counts"],
            "per_cpu_array"
        );
    }

    #[test]
    fn malformed_labels_are_refused() {
        let long = format!(r#"{{"{}":"xdp"}}"#, "n".repeat(limits::LABEL_NAME_BYTES));
        assert!(programs(&long).is_ok());
        let longer = format!(
            r#"{{"{}":"xdp"}}"#,
            "n".repeat(limits::LABEL_NAME_BYTES + 1)
        );
        for text in [
            "",
            "null",
            "[]",
            "{",
            "{\"a\":1}",
            "{\"a\":null}",
            "{\"\":\"xdp\"}",
            "{\"a\":\"\"}",
            "{\"a\":\"x dp\"}",
            "{\"a\\u0000\":\"xdp\"}",
            "{\"a\":{}}",
            "{} {}",
            &longer,
        ] {
            assert!(programs(text).is_err(), "{text}");
        }
    }

    #[test]
    fn entries_and_bytes_are_bounded() {
        let of = |count: usize| {
            let entries: Vec<String> = (0..count)
                .map(|entry| format!("\"p{entry}\":\"xdp\""))
                .collect();
            format!("{{{}}}", entries.join(","))
        };
        assert!(programs(&of(limits::LABEL_ENTRIES)).is_ok());
        assert!(programs(&of(limits::LABEL_ENTRIES + 1)).is_err());
        let padded = |bytes: usize| format!("{{{}}}", " ".repeat(bytes - 2));
        assert!(programs(&padded(limits::LABEL_BYTES)).is_ok());
        assert!(programs(&padded(limits::LABEL_BYTES + 1)).is_err());
    }

    proptest! {
        #[test]
        fn any_label_has_an_answer(text in ".{0,100}") {
            let _ = programs(&text);
        }
    }
}
