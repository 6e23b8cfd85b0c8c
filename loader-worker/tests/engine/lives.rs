//! Programs from load to unload.

use crate::host::{network, now, other_tracepoint, tcx, tracepoint, with_host};
use ipc::messages::attach::{AttachSpec, Direction, LinkDetails};
use ipc::messages::failure::{Failure, FailureCode};
use ipc::messages::mprog::MprogHook;
use ipc::messages::program::ProgramKind;
use loader_worker::drift::Drift;
use loader_worker::kernel::{map, pin, probe};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const TRACEPOINT_SLOT: u32 = 4;

fn count(pin_path: &str) -> u64 {
    let map = pin::get(Path::new(pin_path)).unwrap();
    let value = map::lookup(map.as_fd(), &TRACEPOINT_SLOT.to_ne_bytes()).unwrap();
    u64::from_ne_bytes(value.try_into().unwrap())
}

fn call_getpid(times: u64) {
    for _ in 0..times {
        // Makes the system call each time.
        let _ = rustix::process::getpid();
    }
}

fn code<T: std::fmt::Debug>(outcome: Result<T, Failure>) -> FailureCode {
    outcome.unwrap_err().code
}

#[test]
fn a_program_lives_from_load_to_unload() {
    with_host(|host| {
        let (classifier, place) = network();
        let mut engine = host.open();
        let plan = host.plan(
            bpf::COUNTER,
            &[("tracepoint_count", ProgramKind::Tracepoint), classifier],
        );
        let loaded = host.load(&mut engine, &plan).unwrap();
        assert_eq!(loaded.len(), 2);
        let (probe, classifier) = (&loaded[0].record, &loaded[1].record);
        assert_eq!(probe.name, plan.programs[0].name);
        assert_eq!(
            (probe.kind, probe.loaded_by),
            (ProgramKind::Tracepoint, 1000)
        );
        assert_eq!(
            Path::new(&probe.pin_path),
            host.layout.program_pin(probe.program_id)
        );
        assert!(
            loaded
                .iter()
                .all(|program| program.stats.is_none() && program.links.is_empty())
        );
        assert!(
            loaded
                .iter()
                .all(|program| program.maps.iter().all(|map| !map.present))
        );
        assert!(probe.gpl_compatible);

        let shown = engine.program(probe.program_id).unwrap();
        assert_eq!(shown.record, *probe);
        assert_eq!(shown.kernel.as_ref().unwrap().id, probe.program_id);
        assert_eq!(shown.map_used_by, [probe.program_id]);
        let counters = &shown.maps[0];
        assert!(counters.present);
        assert_eq!(
            Path::new(&counters.pin_path).parent(),
            Some(Path::new(&probe.maps_dir))
        );
        let other = engine.program(classifier.program_id).unwrap();
        assert_ne!(
            other.maps[0].id, counters.id,
            "each program has its own maps"
        );
        let internal: Vec<_> = shown
            .maps
            .iter()
            .filter(|map| map.pin_path.is_empty())
            .collect();
        assert_eq!(
            internal.len(),
            plan.maps.iter().filter(|map| map.internal).count()
        );
        assert!(internal.iter().all(|map| !map.present && map.id != 0));

        let mode = |path: &str| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&probe.pin_path), 0o600);
        assert_eq!(mode(&counters.pin_path), 0o600);
        assert_eq!(mode(&probe.maps_dir), 0o755);

        let link = host
            .attach(&mut engine, probe.program_id, tracepoint())
            .unwrap();
        assert_eq!(link.record.id, 1);
        assert_eq!(link.kernel.as_ref().unwrap().program_id, probe.program_id);
        let before = count(&counters.pin_path);
        call_getpid(100);
        assert!(count(&counters.pin_path) >= before + 100);

        let second = host
            .attach(&mut engine, classifier.program_id, place)
            .unwrap();
        assert_eq!(second.record.id, 2);
        assert_eq!(
            code(host.attach(&mut engine, probe.program_id, tcx(1))),
            FailureCode::FailedPrecondition
        );

        let listed = engine.programs().unwrap();
        assert_eq!(listed.len(), 2);
        assert!(
            listed
                .windows(2)
                .all(|pair| pair[0].record.program_id < pair[1].record.program_id)
        );
        assert!(
            listed
                .iter()
                .all(|entry| entry.attached && entry.kernel.is_some())
        );
        assert_eq!(
            engine.program(probe.program_id).unwrap().links,
            [engine.link(1).unwrap()]
        );
        assert!(engine.link(1).unwrap().pin_present);
        let entries = engine.links().unwrap();
        assert_eq!(
            entries
                .iter()
                .map(|entry| entry.record.id)
                .collect::<Vec<_>>(),
            [1, 2]
        );
        assert_eq!(entries[0].program_name, probe.name);
        assert_eq!(entries[0].program_metadata["team"], "storage");
        let report = now(engine.doctor()).unwrap();
        assert_eq!(
            (report.checked, report.findings.len()),
            (4, 0),
            "{report:?}"
        );

        now(engine.detach(1)).unwrap();
        let after = count(&counters.pin_path);
        call_getpid(100);
        assert_eq!(
            count(&counters.pin_path),
            after,
            "nothing is counted after detaching"
        );
        assert_eq!(code(now(engine.detach(1))), FailureCode::NotFound);
        assert_eq!(engine.link(1).unwrap_err().cause, "link 1: not found");

        now(engine.unload(classifier.program_id)).unwrap();
        assert_eq!(engine.links().unwrap(), [], "its link went with it");
        now(engine.unload(probe.program_id)).unwrap();
        assert_eq!(
            now(engine.unload(probe.program_id)).unwrap_err().cause,
            format!("program {} does not exist", probe.program_id)
        );
        host.assert_clean(&engine);
        assert_eq!(
            host.attach(&mut engine, 4_000_000, tracepoint())
                .unwrap_err()
                .code,
            FailureCode::NotFound
        );
    });
}

#[test]
fn tcx_links_run_in_the_order_of_their_priorities() {
    with_host(|host| {
        if let Err(missing) = probe::tcx() {
            return crate::kernel_support::skipped(missing);
        }
        let mut engine = host.open();
        let plan = host.plan(bpf::COUNTER, &[("tcx_ingress_count", ProgramKind::Tcx)]);
        let mut links = Vec::new();
        for priority in [50, 10, 50, 30] {
            let id = host.load(&mut engine, &plan).unwrap()[0].record.program_id;
            links.push(host.attach(&mut engine, id, tcx(priority)).unwrap().record);
        }
        assert!(
            links
                .iter()
                .all(|link| link.pin_path.contains("/tcx-ingress/link_"))
        );
        let again = host
            .attach(&mut engine, links[2].program_id, tcx(10))
            .unwrap_err();
        let expected = format!(
            "program {} is already attached to lo ingress as link 3; detach it first",
            links[2].program_id
        );
        assert!(again.to_string().contains(&expected), "{again}");
        let positions: Vec<u32> = engine
            .links()
            .unwrap()
            .iter()
            .map(|entry| match entry.record.details {
                LinkDetails::Tcx { position, .. } => position,
                _ => panic!("not a tcx link"),
            })
            .collect();
        assert_eq!(positions, [2, 0, 3, 1]);
        let LinkDetails::Tcx { ifindex, .. } = links[0].details else {
            panic!("not a tcx link")
        };
        let hook = loader_worker::kernel::query::mprog(ifindex, MprogHook::Tcx(Direction::Ingress))
            .unwrap();
        let expected = [&links[1], &links[3], &links[0], &links[2]].map(|link| link.program_id);
        assert_eq!(
            hook.programs, expected,
            "the kernel has the order that is shown"
        );
        for link in links {
            now(engine.unload(link.program_id)).unwrap();
        }
        host.assert_clean(&engine);
    });
}

#[test]
fn programs_run_on_without_the_loader_and_are_managed_by_the_next() {
    with_host(|host| {
        let mut engine = host.open();
        let plan = host.plan(
            bpf::COUNTER,
            &[("tracepoint_count", ProgramKind::Tracepoint)],
        );
        let id = host.load(&mut engine, &plan).unwrap()[0].record.program_id;
        host.attach(&mut engine, id, tracepoint()).unwrap();
        let counters = engine.program(id).unwrap().maps[0].pin_path.clone();
        let (program, link) = (engine.program(id).unwrap(), engine.link(1).unwrap());
        drop(engine);

        let before = count(&counters);
        call_getpid(50);
        assert!(count(&counters) >= before + 50);
        let mut engine = host.open();
        assert_eq!(engine.link(1).unwrap(), link);
        assert_eq!(engine.program(id).unwrap().record, program.record);
        assert_eq!(
            code(host.attach(&mut engine, id, tracepoint())),
            FailureCode::AlreadyExists
        );
        assert_eq!(
            host.attach(&mut engine, id, other_tracepoint())
                .unwrap()
                .record
                .id,
            2
        );
        now(engine.unload(id)).unwrap();
        host.assert_clean(&engine);
    });
}

#[test]
fn after_a_reboot_it_is_known_what_is_gone() {
    with_host(|host| {
        let mut engine = host.open();
        let plan = host.plan(
            bpf::COUNTER,
            &[("tracepoint_count", ProgramKind::Tracepoint)],
        );
        let id = host.load(&mut engine, &plan).unwrap()[0].record.program_id;
        host.attach(&mut engine, id, tracepoint()).unwrap();
        drop(engine);
        host.reboot();

        let (mut engine, drift) = host.try_open().unwrap();
        assert!(
            matches!(&drift[..], [Drift::ProgramGone { id: gone, .. }, Drift::LinkGone { id: 1, .. }] if *gone == id),
            "{drift:?}"
        );
        assert_eq!(now(engine.doctor()).unwrap().findings.len(), 2);
        let program = engine.program(id).unwrap();
        assert_eq!((program.kernel, program.stats), (None, None));
        let link = engine.link(1).unwrap();
        assert_eq!(
            (link.kernel, link.pin_present, link.record.kernel_link_id),
            (None, false, None)
        );
        assert!(!engine.programs().unwrap()[0].attached);
        assert_eq!(
            code(host.attach(&mut engine, id, tracepoint())),
            FailureCode::FailedPrecondition
        );
        now(engine.detach(1)).unwrap();
        now(engine.unload(id)).unwrap();
        host.assert_clean(&engine);
    });
}

#[test]
fn a_program_without_its_pin_is_told_from_one_that_is_gone() {
    with_host(|host| {
        let mut engine = host.open();
        let plan = host.plan(
            bpf::COUNTER,
            &[("tracepoint_count", ProgramKind::Tracepoint)],
        );
        let record = host.load(&mut engine, &plan).unwrap().remove(0).record;
        host.attach(&mut engine, record.program_id, tracepoint())
            .unwrap();
        std::fs::remove_file(&record.pin_path).unwrap();
        let findings = now(engine.doctor()).unwrap().findings;
        assert!(
            matches!(&findings[..], [finding] if finding.contains("is gone; its links run it")),
            "{findings:?}"
        );
        assert_eq!(
            code(host.attach(&mut engine, record.program_id, other_tracepoint())),
            FailureCode::FailedPrecondition
        );
        now(engine.unload(record.program_id)).unwrap();
        host.assert_clean(&engine);
    });
}

#[test]
fn foreign_pins_are_reported_and_left_alone() {
    with_host(|host| {
        let mut engine = host.open();
        let plan = host.plan(
            bpf::COUNTER,
            &[("tracepoint_count", ProgramKind::Tracepoint)],
        );
        let record = host.load(&mut engine, &plan).unwrap().remove(0).record;
        let foreign = host.layout.fs().join("links/999");
        let program = pin::get(Path::new(&record.pin_path)).unwrap();
        pin::pin(program.as_fd(), &foreign).unwrap();
        drop((engine, program));
        let (engine, drift) = host.try_open().unwrap();
        assert_eq!(
            drift,
            [Drift::Orphan {
                pin: foreign.clone()
            }]
        );
        now(engine.unload(record.program_id)).unwrap();
        assert_eq!(host.pins(), [foreign]);
    });
}

#[test]
fn wrong_places_are_refused_and_leave_nothing() {
    with_host(|host| {
        let mut engine = host.open();
        let plan = host.plan(
            bpf::COUNTER,
            &[("tracepoint_count", ProgramKind::Tracepoint), network().0],
        );
        let loaded = host.load(&mut engine, &plan).unwrap();
        let ids: Vec<u32> = loaded
            .iter()
            .map(|program| program.record.program_id)
            .collect();
        let nowhere = AttachSpec::Tracepoint {
            group: "syscalls".into(),
            name: "sys_enter_getpit".into(),
        };
        let failure = host.attach(&mut engine, ids[0], nowhere).unwrap_err();
        assert_eq!(failure.code, FailureCode::NotFound);
        assert!(
            failure.to_string().contains("sys_enter_getpid"),
            "{failure}"
        );
        let spec = AttachSpec::Tcx {
            interface: "nope0".into(),
            direction: Direction::Egress,
            priority: 1,
        };
        assert_eq!(
            code(host.attach(&mut engine, ids[1], spec)),
            FailureCode::InvalidArgument
        );
        assert_eq!(engine.links().unwrap(), []);
        assert_eq!(now(engine.doctor()).unwrap().findings, Vec::<String>::new());
        ids.into_iter()
            .for_each(|id| now(engine.unload(id)).unwrap());
        host.assert_clean(&engine);
    });
}
