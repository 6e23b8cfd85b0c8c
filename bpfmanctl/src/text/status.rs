//! The table of `status`.

use super::table;
use crate::kernel_names::capabilities;
use ipc::messages::supervision::ProcessStatus;

/// Every process; a column for notes only when there is one.
pub(crate) fn processes(processes: &[ProcessStatus], width: Option<u16>) -> String {
    let with_notes = processes.iter().any(|process| !process.note.is_empty());
    let mut headings = vec![
        "ROLE",
        "PID",
        "STATE",
        "UID",
        "CAPABILITIES",
        "SECCOMP",
        "LANDLOCK",
        "GENERATION",
        "RESTARTS",
        "MEMORY",
    ];
    if with_notes {
        headings.push("NOTE");
    }
    let row = |process: &ProcessStatus| {
        let running = |value: String| {
            if process.pid == 0 {
                "-".to_owned()
            } else {
                value
            }
        };
        let mut row = vec![
            process.role.clone(),
            running(process.pid.to_string()),
            process.state.name().to_owned(),
            running(process.uid.to_string()),
            running(capability_cell(process)),
            running(seccomp(process.seccomp_mode)),
            running(landlock(process.landlock)),
            process.generation.to_string(),
            process.restarts.to_string(),
            running(memory(process.memory)),
        ];
        if with_notes {
            row.push(process.note.clone());
        }
        row
    };
    table(&headings, processes.iter().map(row).collect(), width)
}

/// The effective ones; what is only permitted is marked as such.
fn capability_cell(process: &ProcessStatus) -> String {
    let effective = capabilities(process.cap_effective).join(" ");
    let idle = capabilities(process.cap_permitted & !process.cap_effective).join(" ");
    match (effective.is_empty(), idle.is_empty()) {
        (true, true) => "none".to_owned(),
        (false, true) => effective,
        (true, false) => format!("none (permitted: {idle})"),
        (false, false) => format!("{effective} (permitted: {idle})"),
    }
}

fn seccomp(mode: u8) -> String {
    match mode {
        0 => "none".to_owned(),
        1 => "strict".to_owned(),
        2 => "filter".to_owned(),
        other => format!("mode {other}"),
    }
}

fn landlock(abi: u8) -> String {
    if abi == 0 {
        "none".to_owned()
    } else {
        format!("abi {abi}")
    }
}

/// Mebibytes with one digit, rounded.
fn memory(bytes: u64) -> String {
    const MEBIBYTE: u64 = 1024 * 1024;
    let tenths = (bytes / (MEBIBYTE / 100)).saturating_add(5) / 10;
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn every_process_has_a_row() {
        insta::assert_snapshot!(processes(&samples::processes(), None));
    }

    #[test]
    fn notes_have_a_column_when_there_are_some() {
        let mut quiet = samples::processes();
        quiet.retain(|process| process.note.is_empty());
        assert!(!processes(&quiet, None).contains("NOTE"));
    }

    #[test]
    fn capabilities_that_are_only_held_are_marked() {
        let mut process = samples::processes().remove(0);
        process.cap_effective = 1 << 39;
        assert_eq!(
            capability_cell(&process),
            "CAP_BPF (permitted: CAP_NET_ADMIN CAP_PERFMON)"
        );
        process.cap_permitted = 1 << 39;
        assert_eq!(capability_cell(&process), "CAP_BPF");
    }

    #[test]
    fn memory_is_rounded() {
        assert_eq!(memory(0), "0.0 MiB");
        assert_eq!(memory(1024 * 1024), "1.0 MiB");
        assert_eq!(memory(5 * 1024 * 1024 + 512 * 1024), "5.5 MiB");
        assert_eq!(
            memory(u64::MAX).split_once('.').map(|(_, rest)| rest.len()),
            Some(5)
        );
    }
}
