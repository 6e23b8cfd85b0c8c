//! The table of `status`.

use super::table;
use crate::console::printable;
use crate::kernel_names::capabilities;
use ipc::messages::supervision::ProcessStatus;

/// Every process; below them what there is to say of one.
pub(crate) fn processes(processes: &[ProcessStatus], width: Option<u16>) -> String {
    let headings = [
        "ROLE",
        "PID",
        "STATE",
        "UID",
        "CAPABILITIES",
        "SANDBOX",
        "RESTARTS",
        "MEMORY",
    ];
    let row = |process: &ProcessStatus| {
        let running = |value: String| {
            if process.pid == 0 {
                "-".to_owned()
            } else {
                value
            }
        };
        vec![
            process.role.clone(),
            running(process.pid.to_string()),
            process.state.name().to_owned(),
            running(process.uid.to_string()),
            running(capability_cell(process)),
            running(sandbox(process)),
            process.restarts.to_string(),
            running(memory(process.memory)),
        ]
    };
    let mut text = table(&headings, processes.iter().map(row).collect(), width);
    for process in processes {
        if !process.note.is_empty() {
            let (role, note) = (&process.role, printable(&process.note, false));
            text.push_str(&format!("{role}: {note}\n"));
        }
    }
    text
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

/// What holds the process: the mode of seccomp, the ABI of Landlock.
fn sandbox(process: &ProcessStatus) -> String {
    let seccomp = match process.seccomp_mode {
        0 => None,
        1 => Some("seccomp strict".to_owned()),
        2 => Some("seccomp".to_owned()),
        other => Some(format!("seccomp mode {other}")),
    };
    let landlock = (process.landlock > 0).then(|| format!("landlock {}", process.landlock));
    let held: Vec<String> = seccomp.into_iter().chain(landlock).collect();
    if held.is_empty() {
        "none".to_owned()
    } else {
        held.join(" ")
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
    fn a_terminal_of_eighty_columns_breaks_no_word() {
        let text = processes(&samples::processes(), Some(80));
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        insta::assert_snapshot!(text);
    }

    #[test]
    fn what_holds_a_process_is_named() {
        let mut process = samples::processes().remove(0);
        let mut named = |seccomp, landlock| {
            (process.seccomp_mode, process.landlock) = (seccomp, landlock);
            sandbox(&process)
        };
        assert_eq!(named(0, 0), "none");
        assert_eq!(named(2, 0), "seccomp");
        assert_eq!(named(0, 4), "landlock 4");
        assert_eq!(named(1, 6), "seccomp strict landlock 6");
        assert_eq!(named(7, 6), "seccomp mode 7 landlock 6");
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
