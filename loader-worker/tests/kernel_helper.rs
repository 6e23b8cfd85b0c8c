//! The one-shot helper as a process in its own sandbox: started as the spawner starts it, asked as the loader asks it.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    unsafe_code,
    reason = "tests panic; this one starts a process with a socket as descriptor 3"
)]

mod kernel_support;

use ipc::blocking::Link;
use ipc::limits::HELPER_DEADLINE;
use ipc::messages::failure::FailureCode;
use ipc::messages::helper::{HelperJob, HelperKind, HelperResult};
use ipc::role::Role;
use kernel_support::isolated;
use loader_worker::kernel::{map, pin};
use rustix::fs::{Mode, OFlags};
use sandbox::{Identity, WorkerArguments};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// Has a helper process do one job.
fn ask(kind: HelperKind, job: &HelperJob, beside: &[OwnedFd]) -> (HelperResult, Vec<OwnedFd>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let arguments = WorkerArguments {
        role: Role::Helper,
        helper: Some(kind),
        identity: Identity {
            uid: 0,
            gid: 0,
            groups: Vec::new(),
        },
        client_gid: None,
        generation: 1,
        mode: sandbox::Mode::Enforce,
        runtime_dir: "/run/bpfman".into(),
        state_dir: "/var/lib/bpfman".into(),
        cache_dir: "/var/cache/bpfman".into(),
        log: "info".into(),
        read: Vec::new(),
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_bpfman-loader"));
    command
        .args(arguments.to_argv())
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let socket = theirs.as_raw_fd();
    // SAFETY: between fork and exec only dup2 is called, which is safe there.
    unsafe {
        command.pre_exec(move || match libc::dup2(socket, 3) {
            3 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    let mut helper = command.spawn().unwrap();
    drop(theirs);
    let (mut link, _) = Link::<HelperResult, HelperJob>::establish(
        ours,
        Role::Loader,
        1,
        Role::Helper,
        HELPER_DEADLINE,
    )
    .expect("the helper greets");
    let beside: Vec<_> = beside.iter().map(AsFd::as_fd).collect();
    link.send(1, job, &beside).unwrap();
    let answer = link
        .receive(HELPER_DEADLINE)
        .unwrap()
        .expect("the helper answers");
    assert!(helper.wait().unwrap().success());
    (answer.message, answer.descriptors)
}

#[test]
fn it_opens_tracepoints_and_suggests_others() {
    isolated(|_| {
        let job = |name: &str| HelperJob::OpenTracepoint {
            group: "sched".into(),
            name: name.into(),
        };
        let (answer, opened) = ask(HelperKind::PerfEvent, &job("sched_switch"), &[]);
        assert_eq!((answer, opened.len()), (HelperResult::Opened, 1));
        match ask(HelperKind::PerfEvent, &job("sched_swich"), &[]).0 {
            HelperResult::Failed(failure) => {
                assert_eq!(failure.code, FailureCode::NotFound);
                assert!(failure.remedy.contains("sched/sched_switch"), "{failure}");
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn it_opens_uprobes_of_the_file_it_is_given() {
    isolated(|_| {
        let target: OwnedFd = File::open("/proc/self/exe").unwrap().into();
        let job = HelperJob::OpenUprobe {
            file_offset: 0x1000,
            retprobe: true,
            pid: None,
        };
        let (answer, opened) = ask(HelperKind::PerfEvent, &job, std::slice::from_ref(&target));
        assert_eq!((answer, opened.len()), (HelperResult::Opened, 1));
        let job = HelperJob::OpenUprobe {
            file_offset: 1 << 40,
            retprobe: false,
            pid: None,
        };
        let (answer, opened) = ask(HelperKind::PerfEvent, &job, &[target]);
        assert!(matches!(answer, HelperResult::Failed(_)), "{answer:?}");
        assert!(opened.is_empty());
    });
}

#[test]
fn it_gives_pins_to_a_group() {
    isolated(|bpffs| {
        let plan = kernel_support::plan(
            bpf::COUNTER,
            &[("xdp_count", ipc::messages::program::ProgramKind::Xdp)],
        );
        let pins: Vec<_> = (0..3)
            .map(|number| {
                let path = bpffs.join(format!("maps/1/{number}"));
                let created = map::create(&plan.maps[0], None, None, "pinned").unwrap();
                pin::pin(created.as_fd(), &path).unwrap();
                path
            })
            .collect();
        let opened: Vec<_> = pins
            .iter()
            .map(|path| {
                rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap()
            })
            .collect();
        let (answer, _) = ask(
            HelperKind::ChangeGroup,
            &HelperJob::ChangeGroup { gid: 4711 },
            &opened,
        );
        assert_eq!(answer, HelperResult::Changed);
        for path in pins {
            let file = std::fs::metadata(path).unwrap();
            assert_eq!((file.uid(), file.gid()), (0, 4711));
        }
    });
}

#[test]
fn it_gives_nothing_but_pins_to_a_group() {
    isolated(|bpffs| {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "").unwrap();
        std::fs::create_dir(bpffs.join("maps")).unwrap();
        let open = |path: &std::path::Path| {
            rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap()
        };
        // A file elsewhere, and a directory of the bpffs itself.
        for path in [secret, bpffs.join("maps")] {
            let before = std::fs::metadata(&path).unwrap().gid();
            let job = HelperJob::ChangeGroup { gid: 4711 };
            match ask(HelperKind::ChangeGroup, &job, &[open(&path)]).0 {
                HelperResult::Failed(failure) => {
                    assert_eq!(failure.code, FailureCode::InvalidArgument, "{failure}");
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(std::fs::metadata(&path).unwrap().gid(), before);
        }
    });
}
