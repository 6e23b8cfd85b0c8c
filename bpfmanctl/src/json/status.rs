//! The service's processes, and what `doctor` found.

use crate::kernel_names::capabilities;
use ipc::messages::{loader, supervision};
use serde::Serialize;

/// What `status` prints.
#[derive(Serialize)]
pub(crate) struct Status {
    processes: Vec<Process>,
}

#[derive(Serialize)]
struct Process {
    role: String,
    pid: u32,
    state: &'static str,
    uid: u32,
    capabilities_effective: Vec<String>,
    capabilities_permitted: Vec<String>,
    /// 0 none, 1 strict, 2 filter.
    seccomp_mode: u8,
    no_new_privs: bool,
    /// The Landlock ABI that is enforced, 0 for none.
    landlock_abi: u8,
    generation: u32,
    restarts: u32,
    memory_bytes: u64,
    note: String,
}

impl From<Vec<supervision::ProcessStatus>> for Status {
    fn from(processes: Vec<supervision::ProcessStatus>) -> Self {
        let process = |process: supervision::ProcessStatus| Process {
            role: process.role,
            pid: process.pid,
            state: process.state.name(),
            uid: process.uid,
            capabilities_effective: capabilities(process.cap_effective),
            capabilities_permitted: capabilities(process.cap_permitted),
            seccomp_mode: process.seccomp_mode,
            no_new_privs: process.no_new_privs,
            landlock_abi: process.landlock,
            generation: process.generation,
            restarts: process.restarts,
            memory_bytes: process.memory,
            note: process.note,
        };
        Self {
            processes: processes.into_iter().map(process).collect(),
        }
    }
}

/// What `doctor` prints.
#[derive(Serialize)]
pub(crate) struct Doctor<'a> {
    checked: u32,
    findings: &'a [String],
}

impl<'a> From<&'a loader::DoctorReport> for Doctor<'a> {
    fn from(report: &'a loader::DoctorReport) -> Self {
        Self {
            checked: report.checked,
            findings: &report.findings,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::render;
    use super::*;
    use crate::samples;

    #[test]
    fn processes() {
        insta::assert_snapshot!(render(&Status::from(samples::processes())).unwrap());
    }

    #[test]
    fn findings() {
        let report = loader::DoctorReport {
            checked: 3,
            findings: vec!["pin <x> is gone".to_owned()],
        };
        assert_eq!(
            render(&Doctor::from(&report)).unwrap(),
            "{\n  \"checked\": 3,\n  \"findings\": [\n    \"pin \\u003cx\\u003e is gone\"\n  ]\n}\n"
        );
    }
}
