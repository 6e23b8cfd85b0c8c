//! Tracepoint links against the running kernel, directly and by the helper.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests panic"
)]

mod kernel_support;

use ipc::blocking::Link;
use ipc::limits::HELPER_DEADLINE;
use ipc::messages::attach::{AttachSpec, LinkDetails};
use ipc::messages::failure::FailureCode;
use ipc::messages::helper::{HelperJob, HelperKind, HelperResult};
use ipc::messages::program::ProgramKind;
use ipc::role::Role;
use kernel_support::{isolated, load};
use loader_worker::helper;
use loader_worker::helpers::Done;
use loader_worker::kernel::pin;
use loader_worker::kinds::{self, AttachRequest, Hook, Prepared, Release};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What nothing else on a machine under test does.
const GROUP: &str = "syscalls";
const NAME: &str = "sys_enter_sethostname";

fn tracepoint(group: &str, name: &str) -> AttachSpec {
    AttachSpec::Tracepoint {
        group: group.into(),
        name: name.into(),
    }
}

fn counter() -> kernel_support::Loaded {
    load(
        bpf::COUNTER,
        &[("tracepoint_count", ProgramKind::Tracepoint)],
    )
}

/// Held by tests that count: the tracepoint is one for all.
static COUNTING: Mutex<()> = Mutex::new(());

fn counting() -> MutexGuard<'static, ()> {
    COUNTING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Fires the tracepoint without changing anything: the name is too long.
fn fire(times: u64) {
    for _ in 0..times {
        assert!(rustix::system::sethostname(&[b'x'; 4096]).is_err());
    }
}

#[test]
fn events_are_counted_until_the_link_is_detached() {
    isolated(|bpffs| {
        let _counting = counting();
        let loaded = counter();
        let attached = loaded
            .attach(0, &tracepoint(GROUP, NAME), None, &[])
            .unwrap();
        assert_eq!(attached.kind, ProgramKind::Tracepoint);
        assert_eq!(attached.kernel.program_id, loaded.record(0).program_id);
        assert_eq!(
            attached.details,
            LinkDetails::Tracepoint {
                group: GROUP.into(),
                name: NAME.into()
            }
        );
        let path = kernel_support::pin_link(bpffs, 4, &tracepoint(GROUP, NAME), &attached);
        drop(attached);
        fire(10);
        assert_eq!(loaded.count("tracepoint_count"), 10);

        assert_eq!(kinds::detach(&path).unwrap(), Release::Detached);
        fire(10);
        assert_eq!(
            loaded.count("tracepoint_count"),
            10,
            "it counted after detach had returned"
        );
        assert_eq!(kinds::detach(&path).unwrap(), Release::WasGone);
    });
}

#[test]
fn detached_means_detached_every_time() {
    isolated(|bpffs| {
        let _counting = counting();
        let loaded = counter();
        let path = bpffs.join("links/1");
        for round in 0..20 {
            let attached = loaded
                .attach(0, &tracepoint(GROUP, NAME), None, &[])
                .unwrap();
            pin::pin(attached.link.as_fd(), &path).unwrap();
            drop(attached);
            fire(1);
            kinds::detach(&path).unwrap();
            fire(1);
            assert_eq!(loaded.count("tracepoint_count"), round + 1);
        }
    });
}

#[test]
fn a_missing_tracepoint_comes_with_suggestions() {
    isolated(|_| {
        let loaded = counter();
        let failure = loaded
            .attach(0, &tracepoint("sched", "sched_swich"), None, &[])
            .unwrap_err();
        assert_eq!(failure.code, FailureCode::NotFound);
        assert!(
            failure.to_string().starts_with(
                "resolve: tracepoint \"sched/sched_swich\" not found; did you mean: sched/sched_switch"
            ),
            "{failure}"
        );
        for (group, name) in [("..", "sched"), ("", ""), ("a/b", "c")] {
            let failure = loaded
                .attach(0, &tracepoint(group, name), None, &[])
                .unwrap_err();
            assert_eq!(failure.code, FailureCode::InvalidArgument, "{group}/{name}");
        }
    });
}

/// The loader's side of a helper that runs in a thread.
fn ask(
    kind: HelperKind,
    job: &HelperJob,
    descriptors: Vec<OwnedFd>,
) -> (HelperResult, Vec<OwnedFd>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    // The thread is started here, so it is in the namespaces of the test.
    let helper = std::thread::spawn(move || helper::serve(theirs, 1, kind).unwrap());
    let (mut link, _) = Link::<HelperResult, HelperJob>::establish(
        ours,
        Role::Loader,
        1,
        Role::Helper,
        HELPER_DEADLINE,
    )
    .unwrap();
    let beside: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
    link.send(9, job, &beside).unwrap();
    let answer = link.receive(HELPER_DEADLINE).unwrap().expect("an answer");
    assert_eq!(answer.request_id, 9);
    helper.join().unwrap();
    (answer.message, answer.descriptors)
}

#[test]
fn the_helper_opens_what_the_loader_attaches() {
    isolated(|_| {
        let _counting = counting();
        let job = HelperJob::OpenTracepoint {
            group: GROUP.into(),
            name: NAME.into(),
        };
        let (result, descriptors) = ask(HelperKind::PerfEvent, &job, Vec::new());
        assert_eq!(result, HelperResult::Opened);
        let done = Done {
            result,
            descriptors,
        };
        let loaded = counter();
        let (record, spec) = (loaded.record(0), tracepoint(GROUP, NAME));
        let request = AttachRequest {
            program: loaded.programs[0].as_fd(),
            record: &record,
            spec: &spec,
            target: None,
            network: None,
            links: &[],
        };
        let _attached = kinds::attach(&request, Hook::PerfEvent(None), Some(done)).unwrap();
        fire(3);
        assert_eq!(loaded.count("tracepoint_count"), 3);
        assert!(
            kinds::attach(&request, Hook::PerfEvent(None), None).is_err(),
            "without the event"
        );
    });
}

#[test]
fn without_any_right_the_helper_is_asked_and_its_event_suffices() {
    isolated(|_| {
        let _counting = counting();
        let loaded = counter();
        let (record, spec) = (loaded.record(0), tracepoint(GROUP, NAME));
        let event = helper::perform(
            HelperKind::PerfEvent,
            &HelperJob::OpenTracepoint {
                group: GROUP.into(),
                name: NAME.into(),
            },
            &[],
        );
        let event = event.unwrap();
        // This thread alone becomes nobody, and loses every capability with it.
        rustix::thread::set_thread_uid(rustix::fs::Uid::from_raw(65534)).unwrap();
        let request = AttachRequest {
            program: loaded.programs[0].as_fd(),
            record: &record,
            spec: &spec,
            target: None,
            network: None,
            links: &[],
        };
        match kinds::prepare(&request).unwrap() {
            Prepared::NeedsHelper {
                kind,
                job,
                descriptors,
                hook,
            } => {
                assert_eq!(
                    job,
                    HelperJob::OpenTracepoint {
                        group: GROUP.into(),
                        name: NAME.into()
                    }
                );
                assert_eq!(kind, HelperKind::PerfEvent);
                assert!(descriptors.is_empty());
                let _attached = kinds::attach(&request, hook, Some(event)).unwrap();
                fire(2);
                assert_eq!(loaded.count("tracepoint_count"), 2);
            }
            ready => panic!("nobody can read tracefs: {ready:?}"),
        }
    });
}

#[test]
fn the_helper_does_only_what_it_was_started_for() {
    isolated(|_| {
        let job = HelperJob::OpenTracepoint {
            group: GROUP.into(),
            name: NAME.into(),
        };
        let (answer, opened) = ask(HelperKind::ChangeGroup, &job, Vec::new());
        assert!(matches!(answer, HelperResult::Failed(_)), "{answer:?}");
        assert!(opened.is_empty());
        let missing = HelperJob::OpenTracepoint {
            group: "no".into(),
            name: "such".into(),
        };
        match ask(HelperKind::PerfEvent, &missing, Vec::new()).0 {
            HelperResult::Failed(failure) => assert_eq!(failure.code, FailureCode::NotFound),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn the_helper_gives_pins_to_a_group() {
    isolated(|bpffs| {
        let loaded = counter();
        let path = bpffs.join("maps/1/counters");
        pin::pin(loaded.map("counters"), &path).unwrap();
        let open = || {
            use rustix::fs::{Mode, OFlags};
            rustix::fs::open(&path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap()
        };
        let (answer, _) = ask(
            HelperKind::ChangeGroup,
            &HelperJob::ChangeGroup { gid: 4711 },
            vec![open()],
        );
        assert_eq!(answer, HelperResult::Changed);
        let owner = std::fs::metadata(&path).unwrap();
        assert_eq!((owner.uid(), owner.gid()), (0, 4711));
        let (answer, _) = ask(
            HelperKind::ChangeGroup,
            &HelperJob::ChangeGroup { gid: u32::MAX },
            vec![open()],
        );
        assert!(matches!(answer, HelperResult::Failed(_)), "{answer:?}");
    });
}
