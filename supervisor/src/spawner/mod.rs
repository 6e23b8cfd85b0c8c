//! The spawner: the only process of bpfman that starts processes, and the only one that keeps privileges to hand on.
//!
//! Forked from `bpfmand` before any thread or runtime. It is single-threaded, blocks in poll(2), knows a fixed table of
//! programs that were opened at start, and understands one-byte commands. Its effective capabilities are empty; what the
//! workers need is in its permitted and bounding sets, so that an exec as root gives them that and no more.
//!
//! It holds: its socket, the open worker binaries, the locks of the directories (so that a successor waits until the last
//! worker is gone), pidfds of what it started. When the supervisor's end of the socket closes it kills and reaps all of
//! them and exits.
//!
//! It has no seccomp filter: filters are inherited over exec, and the loader needs calls that nobody else may make.

mod capabilities;
pub mod client;
mod descriptors;
mod exec;
pub mod protocol;
mod service;
pub mod table;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{DumpableBehavior, Pid, Signal};
use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use table::Entry;

pub use capabilities::permitted_mask;

/// The directories that one instance has to itself.
const LOCKS: usize = 3;

/// What a row of the table executes.
pub struct Program {
    /// The binary, opened with `O_PATH` so that nobody can put another in its place later.
    pub file: OwnedFd,
    /// The argument list for a generation.
    pub arguments: Box<dyn Fn(u32) -> Vec<CString>>,
}

/// The programs of all rows, in the order of [`Entry::ALL`].
pub type Programs = [Program; Entry::ALL.len()];

/// The supervisor's view of the spawner.
#[derive(Debug)]
pub struct Handle {
    /// Process id.
    pub pid: u32,
    /// Where commands go and replies come from.
    pub socket: OwnedFd,
}

/// Forks the spawner.
///
/// # Errors
///
/// When the process has more than one thread (fork(2) would leave locks held for ever) or the kernel refuses.
pub fn fork(programs: Programs, locks: [&OwnedFd; LOCKS]) -> io::Result<Handle> {
    let threads = std::fs::read_dir("/proc/self/task")?.count();
    if threads != 1 {
        return Err(io::Error::other(format!(
            "the spawner must be forked before any thread starts, there are {threads}"
        )));
    }
    let (ours, its) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let locks = locks
        .into_iter()
        .map(OwnedFd::try_clone)
        .collect::<io::Result<Vec<_>>>()?;
    match exec::fork()? {
        exec::Fork::Parent(pid) => Ok(Handle {
            pid: u32::try_from(pid.as_raw_nonzero().get()).unwrap_or_default(),
            socket: ours,
        }),
        exec::Fork::Child => {
            drop(ours);
            let code = match become_spawner(its, programs, locks) {
                Ok(()) => 0,
                Err(error) => {
                    tracing::error!("spawner: {error}");
                    1
                }
            };
            std::process::exit(code)
        }
    }
}

fn become_spawner(socket: OwnedFd, programs: Programs, locks: Vec<OwnedFd>) -> io::Result<()> {
    rustix::thread::set_name(c"bpfman-spawner")?;
    // Kept over exec: the supervisor alone ends workers, so that a ^C on the terminal or a SIGTERM to the whole control
    // group does not break the ordered stop.
    exec::ignore_terminating_signals()?;
    // No controlling terminal for workers. It fails only for a group leader, which a forked child is not.
    rustix::process::setsid()?;
    // No directory is kept busy.
    rustix::process::chdir("/")?;
    let mut files = Vec::new();
    let mut arguments = Vec::new();
    for program in programs {
        files.push(program.file);
        arguments.push(program.arguments);
    }
    files.extend(locks);
    files.push(socket);
    let mut kept = descriptors::keep_only(files)?;
    // `keep_only` returns as many as it was given, the socket last and the locks before it.
    let Some(socket) = kept.pop() else {
        return Err(io::Error::other("descriptors lost"));
    };
    let locks = kept.split_off(arguments.len());
    capabilities::reduce().map_err(io::Error::other)?;
    // Exec as root still gives what is in both the permitted and the bounding set: that is no gain.
    rustix::thread::set_no_new_privs(true)?;
    // Nobody looks into the process that holds privileges, not even another one of root's.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    // Effective only while the supervisor still is root; afterwards the closing socket is what ends the spawner (a
    // dying process may only signal whom it could have killed). Set after the capabilities, which clear it.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;

    let programs = kept
        .into_iter()
        .zip(arguments)
        .map(|(file, arguments)| Program { file, arguments })
        .collect();
    let outcome = service::Service::new(socket, programs).run();
    drop(locks);
    outcome
}

/// A process that was started.
#[derive(Debug)]
struct Child {
    pid: Pid,
    /// Refers to this process and to no later one with the same id.
    pidfd: OwnedFd,
}
