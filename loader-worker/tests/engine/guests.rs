//! Guests in dispatchers of libxdp, where each request fails or is killed at each of its acts.

use crate::host::{Host, InProcess, user, with_host};
use crate::kernel_support::skipped;
use crate::switch::{Mode, survive};
use ipc::messages::attach::{AttachSpec, LinkDetails};
use ipc::messages::failure::{Failure, FailureCode};
use ipc::messages::program::ProgramKind;
use loader_worker::chains::libxdp::{self, Session};
use loader_worker::chains::support;
use loader_worker::engine::Engine;
use loader_worker::kernel::{info, pin};
use rustix::mount::{MountFlags, mount};
use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::path::Path;

const PINS: &str = "/sys/fs/bpf/xdp";

/// Index of the loopback interface.
const IFINDEX: u32 = 1;

/// libxdp's place on a bpffs of the test's own.
fn with_libxdp(test: impl FnOnce(&mut Host, [u32; 2]) + Send + 'static) {
    with_host(|host| {
        mount("bpffs", "/sys/fs/bpf", "bpf", MountFlags::empty(), None).unwrap();
        let mut engine = host.open();
        let programs = [(); 2].map(|()| {
            let plan = host.plan(bpf::COUNTER, &[("xdp_count", ProgramKind::Xdp)]);
            host.load(&mut engine, &plan).unwrap()[0].record.program_id
        });
        if let Err(reason) = support::replacing() {
            let refused = attach(host, &engine, programs[0], 50).unwrap_err();
            assert_eq!(refused.code, FailureCode::Unsupported, "{refused}");
            assert!(!Path::new(PINS).exists(), "nothing was made");
            return skipped(reason);
        }
        drop(engine);
        test(host, programs);
        let engine = host.open();
        for program in programs {
            host.runtime.block_on(engine.unload(program)).unwrap();
        }
        assert_agrees(&engine, "unloading all");
        host.assert_clean(&engine);
    });
}

fn attach(host: &Host, engine: &Engine, program_id: u32, priority: i32) -> Result<u64, Failure> {
    let command = loader_worker::engine::AttachCommand {
        program_id,
        spec: AttachSpec::XdpGuest {
            interface: "lo".into(),
            priority,
            proceed_on: vec![2],
        },
        target: None,
        places: vec![],
        namespace: None,
        metadata: Default::default(),
    };
    let link = host.runtime.block_on(engine.attach(&user(0), &command))?;
    Ok(link.record.id)
}

fn link_of(engine: &Engine, program_id: u32) -> Option<u64> {
    let links = engine.links().unwrap();
    let link = links
        .iter()
        .find(|link| link.record.program_id == program_id);
    link.map(|link| link.record.id)
}

/// What is on the interface, what is pinned and what is on record are the same.
#[track_caller]
fn assert_agrees(engine: &Engine, after: &str) {
    let on_hook = libxdp::look(IFINDEX).unwrap().map(|(id, _)| id);
    let directories: Vec<String> = std::fs::read_dir(PINS)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let expected: Vec<String> = on_hook
        .iter()
        .map(|id| format!("dispatch-{IFINDEX}-{id}"))
        .collect();
    assert_eq!(directories, expected, "{after}");
    let mut members = Vec::new();
    for directory in directories {
        for place in 0.. {
            let path = Path::new(PINS)
                .join(&directory)
                .join(format!("prog{place}-prog"));
            let Ok(member) = pin::get(&path) else { break };
            members.push(info::program(member.as_fd()).unwrap().0.id);
        }
    }
    let mut recorded: Vec<(u32, u32)> = engine
        .links()
        .unwrap()
        .iter()
        .map(|link| match link.record.details {
            LinkDetails::XdpGuest {
                position,
                dispatcher_id,
                ..
            } => {
                assert_eq!(Some(dispatcher_id), on_hook, "{after}");
                (position, link.record.program_id)
            }
            ref other => panic!("{other:?}"),
        })
        .collect();
    recorded.sort_unstable();
    let recorded: Vec<u32> = recorded.into_iter().map(|(_, program)| program).collect();
    assert_eq!(members, recorded, "{after}");
    let findings = crate::host::now(engine.doctor()).unwrap().findings;
    assert_eq!(findings, Vec::<String>::new(), "{after}");
}

/// Does a request again and again, wrong at one point later each time, until it gets through; `put_back` takes back what it
/// did nevertheless. Returns the points.
fn at_each_point(
    host: &Host,
    request: impl Fn(&Engine) -> Result<(), Failure>,
    put_back: impl Fn(&Engine),
) -> BTreeSet<String> {
    let mut points = BTreeSet::new();
    for mode in [Mode::Fail, Mode::Crash] {
        for number in 0.. {
            let engine = host.open();
            host.switch.set(mode(number));
            let outcome = survive(|| request(&engine));
            let point = host.switch.fired();
            host.switch.set(Mode::Off);
            drop(engine);
            let (engine, _) = host.try_open().unwrap();
            finish(host, &engine);
            let Some(point) = point else {
                outcome.unwrap().unwrap();
                assert_agrees(&engine, "success");
                put_back(&engine);
                break;
            };
            assert_agrees(&engine, &point);
            points.insert(point);
            put_back(&engine);
        }
    }
    points
}

#[test]
fn coming_and_going_happens_or_not() {
    with_libxdp(|host, [first, second]| {
        let detach = |engine: &Engine, program| match link_of(engine, program) {
            Some(link) => host.runtime.block_on(engine.detach(link)),
            None => Ok(()),
        };
        let points = at_each_point(
            host,
            |engine| attach(host, engine, first, 50).map(drop),
            |engine| detach(engine, first).unwrap(),
        );
        for act in [
            "Begin",
            "Libxdp(Publish)",
            "Libxdp(Swap)",
            "Commit",
            "Libxdp(Retire)",
            "Answer",
        ] {
            assert!(points.contains(act), "{points:?}");
        }
        let engine = host.open();
        attach(host, &engine, first, 50).unwrap();
        drop(engine);
        // Beside another, before it.
        at_each_point(
            host,
            |engine| attach(host, engine, second, 10).map(drop),
            |engine| detach(engine, second).unwrap(),
        );
        let again = |engine: &Engine, program, priority| {
            if link_of(engine, program).is_none() {
                attach(host, engine, program, priority).unwrap();
            }
        };
        again(&host.open(), second, 10);
        at_each_point(
            host,
            |engine| detach(engine, first),
            |engine| again(engine, first, 50),
        );
        // The last one takes the dispatcher with it.
        detach(&host.open(), first).unwrap();
        at_each_point(
            host,
            |engine| detach(engine, second),
            |engine| again(engine, second, 10),
        );
    });
}

/// Leaves a guest that is on the interface and not on record.
fn kill_before_the_commit(host: &Host, program: u32) {
    for number in 0.. {
        let engine = host.open();
        host.switch.set(Mode::Crash(number));
        let outcome = survive(|| attach(host, &engine, program, 10));
        let point = host.switch.fired();
        host.switch.set(Mode::Off);
        assert!(outcome.is_none(), "killed before it is on record");
        if point.as_deref() == Some("Commit") {
            return;
        }
        drop(engine);
        finish(host, &host.try_open().unwrap().0);
    }
}

/// What takes a helper is finished when there are some.
fn finish(host: &Host, engine: &Engine) {
    host.runtime.block_on(engine.finish_leftovers()).unwrap();
    host.runtime.block_on(engine.look_at_guests());
}

#[test]
fn a_second_kill_while_the_first_is_finished_leaves_nothing_either() {
    with_libxdp(|host, [first, second]| {
        attach(host, &host.open(), first, 50).unwrap();
        let mut points = BTreeSet::new();
        for number in 0.. {
            kill_before_the_commit(host, second);
            let (engine, _) = host.try_open().unwrap();
            host.switch.set(Mode::Crash(number));
            let outcome = survive(|| host.runtime.block_on(engine.finish_leftovers()));
            let point = host.switch.fired();
            host.switch.set(Mode::Off);
            drop(engine);
            let (engine, _) = host.try_open().unwrap();
            finish(host, &engine);
            assert_agrees(&engine, point.as_deref().unwrap_or("success"));
            assert_eq!(link_of(&engine, second), None);
            let Some(point) = point else {
                outcome.unwrap().unwrap();
                break;
            };
            points.insert(point);
        }
        for act in [
            "Libxdp(Publish)",
            "Libxdp(Swap)",
            "Libxdp(Retire)",
            "Commit",
        ] {
            assert!(points.contains(act), "{points:?}");
        }
    });
}

/// What xdp-loader does between a kill and the next start is what it finds: a guest without a record is taken off there.
#[test]
fn who_came_without_a_record_is_taken_off_whatever_xdp_loader_made_of_it() {
    with_libxdp(|host, [first, second]| {
        let kept = attach(host, &host.open(), first, 50).unwrap();
        kill_before_the_commit(host, second);
        // Without the first one, as xdp-loader would do it.
        host.runtime.block_on(async {
            let patience = std::time::Duration::from_secs(1);
            let mut session = Session::open(IFINDEX, patience, &InProcess).await.unwrap();
            assert!(session.has(first) && session.has(second));
            let old = session.on_hook().unwrap();
            let made = session.make_without(first).unwrap();
            session
                .publish(made.as_ref().unwrap(), &InProcess)
                .await
                .unwrap();
            session.swap(made.as_ref()).unwrap();
            session.retire(&[old], &InProcess).await.unwrap();
        });
        let (engine, _) = host.try_open().unwrap();
        finish(host, &engine);
        assert_eq!(libxdp::look(IFINDEX).unwrap(), None, "nobody is left");
        assert_eq!(link_of(&engine, second), None);
        let gone = engine.link(kept).unwrap();
        assert!(gone.kernel.is_none() && !gone.pin_present, "{gone:?}");
        host.runtime.block_on(engine.detach(kept)).unwrap();
        assert_agrees(&engine, "a detach of what is gone");
    });
}
