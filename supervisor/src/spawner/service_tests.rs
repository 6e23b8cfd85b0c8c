//! The loop with real processes, in a thread of the test instead of a process of its own.

use super::super::protocol::REPLY_BYTES;
use super::*;
// CAP_KILL is raised to kill.
use crate::skip::is_root;
use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};
use std::ffi::CString;
use std::io::Read;
use std::os::fd::BorrowedFd;
use std::thread::JoinHandle;

struct Spawner {
    socket: OwnedFd,
    thread: JoinHandle<io::Result<()>>,
}

impl Spawner {
    /// Every row runs this script.
    fn start(script: &'static str) -> Self {
        let (socket, its) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .unwrap();
        let thread = std::thread::spawn(move || {
            let program = |_| Program {
                file: rustix::fs::open("/bin/sh", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
                    .unwrap(),
                arguments: Box::new(move |generation| {
                    ["sh", "-c", script, &generation.to_string()]
                        .map(|argument| CString::new(argument).unwrap())
                        .to_vec()
                }),
            };
            Service::new(its, Entry::ALL.map(program).into()).run()
        });
        Self { socket, thread }
    }

    fn send(&self, bytes: &[u8], beside: &[BorrowedFd<'_>]) {
        ipc::descriptors::send(&self.socket, &[IoSlice::new(bytes)], beside).unwrap();
    }

    /// Starts a row; what the process holds as 3 and writes to 2.
    fn begin(&self, entry: Entry) -> (OwnedFd, std::fs::File) {
        let (control, its) = socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )
        .unwrap();
        let (log, its_log) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        self.send(
            &[Command::Start(entry).encode()],
            &[its.as_fd(), its_log.as_fd()],
        );
        (control, log.into())
    }

    fn reply(&self) -> Reply {
        let mut bytes = [0; REPLY_BYTES];
        let received = ipc::descriptors::receive(&self.socket, &mut bytes, 0).unwrap();
        Reply::decode(&bytes[..received.bytes]).unwrap()
    }

    fn end(self) -> io::Result<()> {
        drop(self.socket);
        self.thread.join().unwrap()
    }
}

fn is_gone(pid: u32) -> bool {
    !std::path::Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn a_process_holds_its_four_descriptors_and_no_environment() {
    let spawner = Spawner::start(
        "n=0; while [ $n -lt 99 ]; do [ -e /proc/$$/fd/$n ] && echo $n >&2; n=$((n+1)); done; wc -c </proc/$$/environ >&2",
    );
    let (_control, mut log) = spawner.begin(Entry::Loader);
    assert!(matches!(
        spawner.reply(),
        Reply::Started {
            entry: Entry::Loader,
            generation: 1,
            ..
        }
    ));
    let mut text = String::new();
    log.read_to_string(&mut text).unwrap();
    assert_eq!(text, "0\n1\n2\n3\n0\n");
    assert!(matches!(
        spawner.reply(),
        Reply::Exited {
            exit: Exit::Code(0),
            ..
        }
    ));
    spawner.end().unwrap();
}

#[test]
fn a_row_has_one_process_and_counts_its_starts() {
    if !is_root() {
        return;
    }
    let spawner = Spawner::start("exec sleep 100");
    let _first = spawner.begin(Entry::Image);
    let Reply::Started {
        generation: 1, pid, ..
    } = spawner.reply()
    else {
        panic!()
    };
    let _second = spawner.begin(Entry::Image);
    let busy = Errno::BUSY.raw_os_error();
    assert_eq!(
        spawner.reply(),
        Reply::Failed {
            entry: Entry::Image,
            generation: 2,
            errno: busy
        }
    );
    let _other = spawner.begin(Entry::Api);
    assert!(matches!(
        spawner.reply(),
        Reply::Started {
            entry: Entry::Api,
            generation: 1,
            ..
        }
    ));
    spawner.send(&[Command::End(Entry::Image).encode()], &[]);
    assert_eq!(
        spawner.reply(),
        Reply::Exited {
            entry: Entry::Image,
            generation: 1,
            pid,
            exit: Exit::Signal(9)
        }
    );
    spawner.send(&[Command::End(Entry::Image).encode()], &[]);
    let _third = spawner.begin(Entry::Image);
    assert!(matches!(
        spawner.reply(),
        Reply::Started {
            entry: Entry::Image,
            generation: 3,
            ..
        }
    ));
    spawner.end().unwrap();
}

#[test]
fn when_the_supervisor_is_gone_every_process_is_killed_and_reaped() {
    if !is_root() {
        return;
    }
    let spawner = Spawner::start("trap '' TERM INT HUP; while :; do sleep 1; done");
    let mut pids = Vec::new();
    for entry in Entry::ALL {
        std::mem::forget(spawner.begin(entry));
        let Reply::Started { pid, .. } = spawner.reply() else {
            panic!()
        };
        pids.push(pid);
    }
    spawner.end().unwrap();
    assert!(pids.into_iter().all(is_gone));
}

#[test]
fn whoever_sends_what_is_no_command_is_no_supervisor() {
    if !is_root() {
        return;
    }
    let (beside, _other) = socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .unwrap();
    let three = [beside.as_fd(), beside.as_fd(), beside.as_fd()];
    let start = Command::Start(Entry::Api).encode();
    let end = Command::End(Entry::Api).encode();
    for (bytes, descriptors) in [
        (&[Entry::ALL.len() as u8][..], &three[..2]),
        (&[0x7f], &three[..0]),
        (&[start, start], &three[..2]),
        (&[start], &three[..1]),
        (&[start], &three[..3]),
        (&[end], &three[..1]),
    ] {
        let spawner = Spawner::start("exec sleep 100");
        std::mem::forget(spawner.begin(Entry::Loader));
        let Reply::Started { pid, .. } = spawner.reply() else {
            panic!()
        };
        spawner.send(bytes, descriptors);
        assert!(spawner.thread.join().unwrap().is_err(), "{bytes:?}");
        assert!(is_gone(pid), "{bytes:?}");
    }
}

#[test]
fn a_program_that_cannot_be_executed_is_reported_with_the_reason() {
    let (socket, its) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .unwrap();
    let thread = std::thread::spawn(move || {
        let program = |_| Program {
            file: rustix::fs::open("/etc/passwd", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
                .unwrap(),
            arguments: Box::new(|_| vec![c"x".to_owned()]),
        };
        Service::new(its, Entry::ALL.map(program).into()).run()
    });
    let spawner = Spawner { socket, thread };
    let _begun = spawner.begin(Entry::HelperPerf);
    let denied = Errno::ACCESS.raw_os_error();
    assert_eq!(
        spawner.reply(),
        Reply::Failed {
            entry: Entry::HelperPerf,
            generation: 1,
            errno: denied
        }
    );
    spawner.end().unwrap();
}
