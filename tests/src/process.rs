//! What /proc says of a process.

use rustix::process::{Pid, Signal};
use std::collections::BTreeMap;
use std::fs;

/// An id that no account has, as bpfmand takes where there are no system users.
pub const UNNAMED: u32 = 61_190;

/// `/proc/<pid>/status`.
#[derive(Clone, Debug)]
pub struct Status(BTreeMap<String, String>);

impl Status {
    /// Of a process that is there.
    pub fn of(pid: u32) -> Self {
        let text = fs::read_to_string(format!("/proc/{pid}/status"))
            .unwrap_or_else(|error| panic!("process {pid}: {error}"));
        Self::parse(&text)
    }

    /// Of each of its threads: what a thread may do is its own.
    pub fn of_threads(pid: u32) -> Vec<Self> {
        let tasks = fs::read_dir(format!("/proc/{pid}/task"))
            .unwrap_or_else(|error| panic!("process {pid}: {error}"));
        tasks
            .flatten()
            // One that has ended meanwhile is none.
            .filter_map(|task| fs::read_to_string(task.path().join("status")).ok())
            .map(|text| Self::parse(&text))
            .collect()
    }

    fn parse(text: &str) -> Self {
        Self(
            text.lines()
                .filter_map(|line| line.split_once(':'))
                .map(|(key, value)| (key.to_owned(), value.trim().to_owned()))
                .collect(),
        )
    }

    /// A line by its name.
    pub fn text(&self, key: &str) -> &str {
        self.0
            .get(key)
            .unwrap_or_else(|| panic!("/proc/<pid>/status has no {key}"))
    }

    /// A hexadecimal line: the capability sets.
    pub fn set(&self, key: &str) -> u64 {
        u64::from_str_radix(self.text(key), 16).expect("capability sets are hexadecimal")
    }

    /// The first number of a line.
    pub fn number(&self, key: &str) -> u64 {
        self.text(key)
            .split_whitespace()
            .next()
            .and_then(|number| number.parse().ok())
            .unwrap_or_else(|| panic!("{key} is not a number"))
    }

    /// All numbers of a line.
    pub fn numbers(&self, key: &str) -> Vec<u64> {
        self.text(key)
            .split_whitespace()
            .filter_map(|number| number.parse().ok())
            .collect()
    }
}

/// Whether the process is there and is no zombie.
pub fn is_alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(") ")
            .next()
            .is_some_and(|rest| rest.starts_with(['Z', 'X']))
    })
}

/// Kills a process at once. Only pids that an instance reported as its own are ever passed.
pub fn kill(pid: u32) {
    signal(pid, Signal::KILL);
}

fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    rustix::process::kill_process(pid.expect("a pid"), signal).expect("a signal");
}

/// A process that does nothing; it goes on when this is dropped.
#[derive(Debug)]
pub struct Paused(u32);

impl Paused {
    /// Has a process pause. As for [`kill`], it must be one that an instance reported.
    pub fn new(pid: u32) -> Self {
        signal(pid, Signal::STOP);
        Self(pid)
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        signal(self.0, Signal::CONT);
    }
}

/// Proportional set size in KiB.
pub fn pss(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix("Pss:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// Makes system calls that the tests count.
pub fn call_getpid(times: usize) {
    for _ in 0..times {
        std::hint::black_box(std::process::id());
    }
}
