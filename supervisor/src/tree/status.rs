//! The rows of `bpfmanctl status`: what the tree knows and what /proc says in this moment.

use super::machine::Machine;
use super::worker::State;
use crate::limits::NOTE_BYTES;
use ipc::messages::supervision::{ProcessState, ProcessStatus, SandboxReport};
use ipc::role::Role;

/// The row of a process that is no worker.
pub(super) fn own_row(
    role: &str,
    pid: u32,
    state: ProcessState,
    landlock: u8,
    note: &str,
) -> ProcessStatus {
    let proc = read(pid);
    ProcessStatus {
        role: role.to_owned(),
        state,
        pid,
        uid: proc.uids[1],
        cap_effective: proc.effective,
        cap_permitted: proc.permitted,
        seccomp_mode: proc.seccomp_mode,
        no_new_privs: proc.no_new_privs,
        landlock,
        generation: 1,
        restarts: 0,
        memory: proc.resident_bytes,
        note: shorten(note),
    }
}

/// The row of a worker.
pub(super) fn worker_row(machine: &Machine, role: Role) -> Option<ProcessStatus> {
    let state = machine.state(role)?;
    let running = state.running();
    let pid = running.map_or(0, |running| running.pid);
    let proc = if pid == 0 {
        Default::default()
    } else {
        read(pid)
    };
    let report = running.and_then(|running| running.report.as_ref());
    Some(ProcessStatus {
        role: role.name().to_owned(),
        state: state.reported(),
        pid,
        uid: proc.uids[1],
        cap_effective: proc.effective,
        cap_permitted: proc.permitted,
        seccomp_mode: proc.seccomp_mode,
        no_new_privs: proc.no_new_privs,
        // /proc does not tell.
        landlock: report.map_or(0, |report| report.landlock_enforced),
        generation: running.map_or(0, |running| running.generation),
        restarts: machine.restarts(role),
        memory: proc.resident_bytes,
        note: note(state, report),
    })
}

fn note(state: &State, report: Option<&SandboxReport>) -> String {
    match state.note() {
        "" if report.is_some_and(|report| report.learning) => {
            "its sandbox only logs (--sandbox=log)".to_owned()
        }
        note => shorten(note),
    }
}

fn shorten(note: &str) -> String {
    let mut note = note.to_owned();
    note.truncate(note.floor_char_boundary(NOTE_BYTES));
    note
}

/// A process that has just ended has an empty row.
fn read(pid: u32) -> sandbox::status::ProcessStatus {
    std::fs::read_to_string(format!("/proc/{pid}/status"))
        .ok()
        .and_then(|text| sandbox::status::ProcessStatus::parse(&text).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_what_proc_says() {
        let row = own_row(
            "supervisor",
            std::process::id(),
            ProcessState::Serving,
            6,
            "",
        );
        assert_eq!(row.pid, std::process::id());
        assert_eq!(row.uid, rustix::process::geteuid().as_raw());
        assert!(row.memory > 100_000, "{}", row.memory);
    }

    #[test]
    fn a_long_note_is_cut_between_characters() {
        let note = shorten(&"ä".repeat(NOTE_BYTES));
        assert!(note.len() <= NOTE_BYTES && note.chars().all(|character| character == 'ä'));
    }
}
