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
use kernel_support::{ip, isolated, load, veth};
use loader_worker::chains::filter;
use loader_worker::chains::rebuild::FilterPlace;
use loader_worker::hooks::{Site, interface, mprog, xdp};
use loader_worker::kernel::clsact::Put;
use loader_worker::kernel::probe;
use std::os::fd::AsFd;

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
        assert_told(filter::place(clsact(ifindex), ("far", ""), None).unwrap_err());
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
        let place = filter::place(clsact(ifindex), ("far", ""), None).unwrap();
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
        filter::put(place, tc.programs[0].as_fd(), Put::New).unwrap();
        // clsact went with the interface.
        ip("link del near0");
        let error = filter::put(place, tc.programs[0].as_fd(), Put::InPlace).unwrap_err();
        assert!(interface::vanished(ifindex, "far").is_some(), "{error}");
    });
}
