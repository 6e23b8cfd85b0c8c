//! Interfaces that vanish or get another name between the moment in which they are found and the act at them.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests panic"
)]

mod kernel_support;

use ipc::messages::attach::{Direction, XdpMode};
use ipc::messages::chain::{Filter, HookKey, HookKind};
use ipc::messages::failure::{Failure, FailureCode};
use ipc::messages::mprog::MprogHook;
use ipc::messages::program::ProgramKind;
use kernel_support::{elsewhere, inside, ip, isolated, load, veth};
use loader_worker::chains::filter;
use loader_worker::chains::reach::Way;
use loader_worker::chains::rebuild::FilterPlace;
use loader_worker::hooks::{Site, interface, mprog, xdp};
use loader_worker::kernel::clsact::Put;
use loader_worker::kernel::witness::{self, Testimony};
use loader_worker::kernel::{pin, probe};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

#[track_caller]
fn assert_told(failure: Failure) {
    assert_eq!(failure.code, FailureCode::NotFound, "{failure}");
    assert_eq!(
        failure.to_string(),
        "attach: interface \"far\" was taken away while attaching to it; see `ip link` for the interfaces"
    );
}

fn clsact(ifindex: u32) -> HookKey {
    HookKey {
        kind: HookKind::TcIngress,
        nsid: 0,
        ifindex,
    }
}

#[test]
fn an_interface_that_is_deleted_before_the_act_is_told_as_that() {
    isolated(|_| {
        veth();
        let loaded = load(
            bpf::COUNTER,
            &[
                ("xdp_count", ProgramKind::Xdp),
                ("tcx_ingress_count", ProgramKind::Tcx),
            ],
        );
        let ifindex = interface::find("far").unwrap();
        let site = Site {
            ifindex,
            interface: "far",
            program_id: 1,
        };
        ip("link del far");
        let programs = &loaded.programs;
        assert_told(xdp::create(programs[0].as_fd(), site).unwrap_err());
        if probe::tcx().is_ok() {
            let hook = MprogHook::Tcx(Direction::Ingress);
            let made = mprog::create(programs[1].as_fd(), site, hook, 50, &[]);
            assert_told(made.unwrap_err());
        }
        assert_told(filter::place(clsact(ifindex), "far", None, &Way::Own).unwrap_err());
    });
}

#[test]
fn an_interface_that_gets_another_name_is_still_the_one_that_was_found() {
    isolated(|_| {
        veth();
        let loaded = load(bpf::COUNTER, &[("xdp_count", ProgramKind::Xdp)]);
        let ifindex = interface::find("far").unwrap();
        let site = Site {
            ifindex,
            interface: "far",
            program_id: 1,
        };
        let place = filter::place(clsact(ifindex), "far", None, &Way::Own).unwrap();
        ip("link set far down");
        ip("link set far name near0");
        let (_link, mode) = xdp::create(loaded.programs[0].as_fd(), site).unwrap();
        assert!(matches!(mode, XdpMode::Native | XdpMode::Generic));
        let tc = load(bpf::COUNTER, &[("tc_count", ProgramKind::Tc)]);
        let place = FilterPlace {
            ifindex,
            direction: Direction::Ingress,
            filter: place.unwrap_or(Filter {
                priority: 0,
                handle: 0,
            }),
            program_id: 1,
        };
        filter::put(place, tc.programs[0].as_fd(), Put::New, &Way::Own).unwrap();
        // clsact went with the interface.
        ip("link del near0");
        let put = filter::put(place, tc.programs[0].as_fd(), Put::InPlace, &Way::Own);
        let error = put.unwrap_err();
        assert!(interface::vanished(ifindex, "far").is_some(), "{error}");
    });
}

#[test]
fn a_witness_tells_of_an_interface_that_it_does_not_hold() {
    isolated(|bpffs| {
        let pin = |ifindex: u32| bpffs.join(ifindex.to_string());
        let namespace = elsewhere(|| {
            for (name, ifindex) in [("one", 77), ("two", 78), ("three", 79)] {
                ip(&format!(
                    "link add {name} index {ifindex} type veth peer name {name}p"
                ));
                let witness = witness::create().unwrap();
                witness::note(witness.as_fd(), ifindex).unwrap();
                pin::pin(witness.as_fd(), &pin(ifindex)).unwrap();
            }
        });
        let says = |ifindex| witness::ask(&pin(ifindex)).unwrap();
        assert_eq!(says(77), Testimony::Alive);
        assert_eq!(says(80), Testimony::Nobody);
        inside(&namespace, || {
            ip("link set one name renamed");
            ip("link del two");
        });
        assert_eq!(says(77), Testimony::Alive);
        assert_eq!(says(78), Testimony::Gone);
        // Another one of the same number is not the same.
        inside(&namespace, || {
            ip("link add two index 78 type veth peer name twop");
        });
        assert_eq!(says(78), Testimony::Gone);
        drop(namespace);
        let deadline = Instant::now() + Duration::from_secs(20);
        while says(79) == Testimony::Alive && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(says(79), Testimony::Gone, "it keeps the namespace");
    });
}
