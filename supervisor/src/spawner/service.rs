//! The spawner's loop: wait for a command or for the end of a process, act, reply.

use super::protocol::{Command, Exit, Reply};
use super::table::Entry;
use super::{Child, Program, capabilities, exec};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};

/// Most descriptors beside a command: the control socket and the log pipe of a start.
const MOST_DESCRIPTORS: usize = 2;

/// A row of the table at work.
struct Row {
    entry: Entry,
    program: Program,
    /// Starts so far, the failed ones too.
    generation: u32,
    child: Option<Child>,
    /// The generation of `child`.
    running: u32,
}

/// The spawner's state.
pub(super) struct Service {
    socket: OwnedFd,
    rows: Vec<Row>,
}

impl Service {
    pub(super) fn new(socket: OwnedFd, programs: Vec<Program>) -> Self {
        let rows = Entry::ALL
            .into_iter()
            .zip(programs)
            .map(|(entry, program)| Row {
                entry,
                program,
                generation: 0,
                running: 0,
                child: None,
            })
            .collect();
        Self { socket, rows }
    }

    /// Serves until the supervisor is gone, or sends what is no command; then ends everything.
    pub(super) fn run(mut self) -> io::Result<()> {
        let outcome = loop {
            match self.turn() {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.end_all();
        outcome
    }

    /// One wait and what follows from it; false when the supervisor is gone.
    fn turn(&mut self) -> io::Result<bool> {
        let mut waited = vec![PollFd::new(&self.socket, PollFlags::IN)];
        waited.extend(
            self.rows
                .iter()
                .filter_map(|row| row.child.as_ref())
                .map(|child| PollFd::new(&child.pidfd, PollFlags::IN)),
        );
        rustix::io::retry_on_intr(|| poll(&mut waited, None))?;
        let commanded = !waited[0].revents().is_empty();
        let ended = waited[1..]
            .iter()
            .any(|waited| !waited.revents().is_empty());
        drop(waited);
        if ended {
            self.reap()?;
        }
        if commanded { self.command() } else { Ok(true) }
    }

    fn command(&mut self) -> io::Result<bool> {
        // One byte more than a command has, so that a longer datagram shows.
        let mut datagram = [0; 2];
        let received = rustix::io::retry_on_intr(|| {
            ipc::descriptors::receive(&self.socket, &mut datagram, MOST_DESCRIPTORS)
        });
        let received = match received {
            Ok(received) => received,
            Err(Errno::CONNRESET) => return Ok(false),
            Err(errno) => return Err(errno.into()),
        };
        if received.bytes == 0 {
            return Ok(false);
        }
        match (
            Command::decode(&datagram[..received.bytes]),
            received.descriptors.as_slice(),
            received.surplus,
        ) {
            (Some(Command::Start(entry)), [control, log], false) => self.start(entry, control, log),
            (Some(Command::End(entry)), [], false) => self.end(entry),
            _ => Err(io::Error::other(
                "what came from the supervisor is no command",
            )),
        }
    }

    fn start(&mut self, entry: Entry, control: &OwnedFd, log: &OwnedFd) -> io::Result<bool> {
        let row = &mut self.rows[usize::from(entry.byte())];
        row.generation += 1;
        let generation = row.generation;
        let outcome = if row.child.is_some() {
            Err(Errno::BUSY)
        } else {
            exec::start(
                row.program.file.as_fd(),
                &(row.program.arguments)(generation),
                control,
                log,
            )
        };
        let reply = match outcome {
            Ok(child) => {
                let pid = child.pid.as_raw_nonzero().get().unsigned_abs();
                row.child = Some(child);
                row.running = generation;
                Reply::Started {
                    entry,
                    generation,
                    pid,
                }
            }
            Err(errno) => Reply::Failed {
                entry,
                generation,
                errno: errno.raw_os_error(),
            },
        };
        self.reply(reply)
    }

    fn end(&mut self, entry: Entry) -> io::Result<bool> {
        if let Some(child) = &self.rows[usize::from(entry.byte())].child {
            kill(child)?;
        }
        Ok(true)
    }

    /// Collects and reports every process that has ended.
    fn reap(&mut self) -> io::Result<()> {
        let mut replies = Vec::new();
        for row in &mut self.rows {
            let Some(child) = &row.child else { continue };
            if let Some(exit) = wait(child, WaitIdOptions::NOHANG)? {
                let pid = child.pid.as_raw_nonzero().get().unsigned_abs();
                replies.push(Reply::Exited {
                    entry: row.entry,
                    generation: row.running,
                    pid,
                    exit,
                });
                row.child = None;
            }
        }
        for reply in replies {
            self.reply(reply)?;
        }
        Ok(())
    }

    /// A supervisor that is gone is noticed at the next read.
    fn reply(&self, reply: Reply) -> io::Result<bool> {
        let sent = rustix::io::retry_on_intr(|| {
            ipc::descriptors::send(&self.socket, &[IoSlice::new(&reply.encode())], &[])
        });
        match sent {
            Ok(_) | Err(Errno::PIPE | Errno::CONNRESET) => Ok(true),
            Err(errno) => Err(errno.into()),
        }
    }

    fn end_all(&mut self) {
        let children: Vec<Child> = self
            .rows
            .iter_mut()
            .filter_map(|row| row.child.take())
            .collect();
        for child in &children {
            if let Err(error) = kill(child) {
                tracing::error!(
                    "spawner: process {} could not be killed: {error}",
                    child.pid.as_raw_nonzero()
                );
            }
        }
        for child in &children {
            let _ = wait(child, WaitIdOptions::empty());
        }
    }
}

fn kill(child: &Child) -> io::Result<()> {
    match capabilities::with_kill(|| pidfd_send_signal(&child.pidfd, Signal::KILL))
        .map_err(io::Error::other)?
    {
        // It ended by itself a moment ago.
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// How the process ended; `None` when it has not.
fn wait(child: &Child, options: WaitIdOptions) -> io::Result<Option<Exit>> {
    let status = rustix::io::retry_on_intr(|| {
        waitid(
            WaitId::PidFd(child.pidfd.as_fd()),
            WaitIdOptions::EXITED | options,
        )
    })?;
    Ok(status.map(|status| match status.exit_status() {
        Some(code) => Exit::Code(code),
        None => Exit::Signal(status.terminating_signal().unwrap_or_default()),
    }))
}

#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;
