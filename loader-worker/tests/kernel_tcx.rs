//! tcx links against the running kernel: order, foreign programs, detach.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests panic"
)]

mod kernel_support;

use ipc::messages::attach::Direction;
use ipc::messages::failure::FailureCode;
use ipc::messages::mprog::MprogHook;
use ipc::messages::program::ProgramKind;
use kernel_support::{isolated, link_record, load, position, send, tcx, veth};
use loader_worker::hooks::mprog_order;
use loader_worker::kernel::link::{Place, create_mprog};
use loader_worker::kernel::{info, interfaces, pin, probe, query};
use loader_worker::kinds::{self, Release};
use rustix::io::Errno;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

const INGRESS: MprogHook = MprogHook::Tcx(Direction::Ingress);
const EGRESS: MprogHook = MprogHook::Tcx(Direction::Egress);

/// Runs a test where the kernel has tcx; elsewhere says why not and passes.
fn with_tcx(test: impl FnOnce(&std::path::Path) + Send + 'static) {
    isolated(|bpffs| match probe::tcx() {
        Ok(()) => {
            veth();
            test(bpffs);
        }
        Err(missing) => kernel_support::skipped(missing),
    });
}

fn counter() -> kernel_support::Loaded {
    load(bpf::COUNTER, &[("tcx_ingress_count", ProgramKind::Tcx)])
}

#[test]
fn packets_are_counted_until_the_link_is_detached() {
    with_tcx(|bpffs| {
        let loaded = load(
            bpf::COUNTER,
            &[
                ("tcx_ingress_count", ProgramKind::Tcx),
                ("tcx_egress_count", ProgramKind::Tcx),
            ],
        );
        let ingress = loaded
            .attach(0, &tcx("far", Direction::Ingress, 50), None, &[])
            .unwrap();
        let egress = loaded
            .attach(1, &tcx("near", Direction::Egress, 50), None, &[])
            .unwrap();
        assert_eq!(ingress.kernel.attach_type, Some(46));
        assert_eq!(egress.kernel.attach_type, Some(47));
        assert_eq!(
            ingress.kernel.ifindex,
            interfaces::index("far").unwrap().unwrap()
        );
        assert_eq!(ingress.kernel.program_id, loaded.record(0).program_id);
        let path =
            kernel_support::pin_link(bpffs, 1, &tcx("far", Direction::Ingress, 50), &ingress);
        send(10);
        loaded.wait_for("tcx_ingress_count", 10);
        loaded.wait_for("tcx_egress_count", 10);

        // Somebody else's descriptor does not keep the program on the hook.
        assert_eq!(kinds::detach(&path).unwrap(), Release::Detached);
        send(10);
        loaded.wait_for("tcx_egress_count", 20);
        assert_eq!(loaded.count("tcx_ingress_count"), 10);
        assert_eq!(info::link(ingress.link.as_fd()).unwrap().ifindex, 0);
        assert_eq!(kinds::detach(&path).unwrap(), Release::WasGone);
    });
}

#[test]
fn lower_priorities_run_first_and_equal_ones_by_age() {
    with_tcx(|_| {
        let ifindex = interfaces::index("far").unwrap().unwrap();
        let mut links = Vec::new();
        let mut held = Vec::new();
        let mut order = Vec::new();
        for (id, (priority, rank)) in [(50, 0), (10, 0), (90, 2), (50, 2), (0, 0)]
            .into_iter()
            .enumerate()
        {
            let loaded = counter();
            let attached = loaded
                .attach(0, &tcx("far", Direction::Ingress, priority), None, &links)
                .unwrap();
            assert_eq!(position(&attached), rank, "priority {priority}");
            links.push(link_record(id as u64 + 1, &attached));
            order.insert(rank as usize, attached.kernel.program_id);
            held.push((loaded, attached));
            assert_eq!(query::mprog(ifindex, INGRESS).unwrap().programs, order);
        }
        let ranks: Vec<u32> = links
            .iter()
            .filter_map(|link| mprog_order::position(link, &links))
            .collect();
        assert_eq!(ranks, [2, 1, 4, 3, 0]);
        assert!(query::mprog(ifindex, EGRESS).unwrap().programs.is_empty());
    });
}

#[test]
fn foreign_programs_stay_where_they_are() {
    with_tcx(|_| {
        let ifindex = interfaces::index("far").unwrap().unwrap();
        let on_hook = || query::mprog(ifindex, INGRESS).unwrap().programs;
        let (first, foreign, second, third) = (counter(), counter(), counter(), counter());
        let ids = [&first, &foreign, &second, &third].map(|loaded| loaded.record(0).program_id);

        let one = first
            .attach(0, &tcx("far", Direction::Ingress, 50), None, &[])
            .unwrap();
        let revision = query::mprog(ifindex, INGRESS).unwrap().revision;
        let _foreign = create_mprog(
            foreign.programs[0].as_fd(),
            ifindex,
            INGRESS,
            Place::After(ids[0]),
            revision,
        )
        .unwrap();
        assert_eq!(on_hook(), [ids[0], ids[1]]);

        // After its own, hence before the foreign one, which was there earlier.
        let links = [link_record(1, &one)];
        let two = second
            .attach(0, &tcx("far", Direction::Ingress, 60), None, &links)
            .unwrap();
        assert_eq!(on_hook(), [ids[0], ids[2], ids[1]]);

        // Own links that are gone are no anchors: the head, before the foreign one.
        drop((one, two));
        // A child that another test is starting may hold them for a moment.
        let deadline = Instant::now() + Duration::from_secs(5);
        while on_hook() != [ids[1]] && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(on_hook(), [ids[1]]);
        let _three = third
            .attach(0, &tcx("far", Direction::Ingress, 99), None, &links)
            .unwrap();
        assert_eq!(on_hook(), [ids[3], ids[1]]);
    });
}

#[test]
fn a_hook_that_has_changed_is_looked_at_again() {
    with_tcx(|_| {
        let ifindex = interfaces::index("far").unwrap().unwrap();
        let stale = query::mprog(ifindex, INGRESS).unwrap().revision;
        let (first, second) = (counter(), counter());
        let _one = first
            .attach(0, &tcx("far", Direction::Ingress, 1), None, &[])
            .unwrap();
        let program = second.programs[0].as_fd();
        let error = create_mprog(program, ifindex, INGRESS, Place::Head, stale).unwrap_err();
        assert_eq!(error.errno, Errno::STALE);
        second
            .attach(0, &tcx("far", Direction::Ingress, 1), None, &[])
            .unwrap();
    });
}

#[test]
fn a_program_is_attached_to_a_hook_once() {
    with_tcx(|_| {
        let loaded = counter();
        let id = loaded.record(0).program_id;
        let spec = tcx("far", Direction::Ingress, 50);
        let attached = loaded.attach(0, &spec, None, &[]).unwrap();
        let known = [link_record(7, &attached)];
        let failure = loaded.attach(0, &spec, None, &known).unwrap_err();
        assert_eq!(failure.code, FailureCode::AlreadyExists);
        assert_eq!(
            failure.to_string(),
            format!(
                "attach: program {id} is already attached to far ingress as link 7; detach it first"
            )
        );
        let failure = loaded.attach(0, &spec, None, &[]).unwrap_err();
        assert_eq!(failure.code, FailureCode::AlreadyExists);

        loaded
            .attach(0, &tcx("far", Direction::Egress, 50), None, &known)
            .unwrap();
        loaded
            .attach(0, &tcx("near", Direction::Ingress, 50), None, &known)
            .unwrap();
    });
}

#[test]
fn where_there_is_no_tcx_the_reason_is_told() {
    isolated(|_| {
        let Err(missing) = probe::tcx() else {
            return kernel_support::skipped("this kernel has tcx");
        };
        veth();
        let failure = counter()
            .attach(0, &tcx("far", Direction::Ingress, 50), None, &[])
            .unwrap_err();
        assert_eq!(failure.code, FailureCode::Unsupported);
        assert_eq!(failure.cause, missing.to_string());
        assert!(failure.cause.contains("BPF_PROG_QUERY"), "{failure}");
    });
}

#[test]
fn wrong_requests_are_named() {
    with_tcx(|_| {
        let loaded = load(
            bpf::COUNTER,
            &[
                ("tcx_ingress_count", ProgramKind::Tcx),
                ("xdp_count", ProgramKind::Xdp),
            ],
        );
        let failure = |index, interface: &str, priority| {
            loaded
                .attach(
                    index,
                    &tcx(interface, Direction::Ingress, priority),
                    None,
                    &[],
                )
                .unwrap_err()
        };
        let unknown = failure(0, "fra", 50);
        assert_eq!(unknown.code, FailureCode::InvalidArgument);
        assert_eq!(
            unknown.to_string(),
            "resolve: interface \"fra\" not found; did you mean: far?"
        );
        assert_eq!(failure(0, "", 50).code, FailureCode::InvalidArgument);
        assert_eq!(failure(0, "far", -1).code, FailureCode::InvalidArgument);
        let mismatch = failure(1, "far", 50);
        assert_eq!(mismatch.code, FailureCode::FailedPrecondition);
        let id = loaded.record(1).program_id;
        assert_eq!(
            mismatch.cause,
            format!("program {id} is a xdp program; the tcx attach accepts tcx")
        );
    });
}

#[test]
fn a_link_whose_interface_is_gone_is_detached_all_the_same() {
    with_tcx(|bpffs| {
        let loaded = counter();
        let attached = loaded
            .attach(0, &tcx("far", Direction::Ingress, 50), None, &[])
            .unwrap();
        let path =
            kernel_support::pin_link(bpffs, 1, &tcx("far", Direction::Ingress, 50), &attached);
        drop(attached);
        kernel_support::ip("link del near");
        assert_eq!(kinds::detach(&path).unwrap(), Release::Detached);
        assert!(!pin::exists(&path).unwrap());
    });
}
