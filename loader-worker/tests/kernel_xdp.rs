//! XDP links against the running kernel.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests panic"
)]

mod kernel_support;

use ipc::messages::attach::{AttachSpec, LinkDetails, XdpMode};
use ipc::messages::failure::FailureCode;
use ipc::messages::program::ProgramKind;
use kernel_support::{isolated, load, send, veth};
use loader_worker::kernel::link;
use loader_worker::kinds::{self, Attached, Release};
use std::os::fd::AsFd;

fn xdp(interface: &str) -> AttachSpec {
    AttachSpec::Xdp {
        interface: interface.into(),
        priority: 50,
        proceed_on: Vec::new(),
    }
}

fn counter() -> kernel_support::Loaded {
    load(bpf::COUNTER, &[("xdp_count", ProgramKind::Xdp)])
}

fn mode(attached: &Attached) -> XdpMode {
    match &attached.details {
        LinkDetails::Xdp {
            mode,
            proceed_on,
            dispatcher_id,
            ..
        } => {
            assert_eq!(
                (proceed_on.as_slice(), *dispatcher_id),
                ([2, 31].as_slice(), 0)
            );
            *mode
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_driver_that_can_runs_the_program_until_it_is_detached() {
    isolated(|bpffs| {
        veth();
        let loaded = counter();
        let attached = loaded.attach(0, &xdp("far"), None, &[]).unwrap();
        assert_eq!(mode(&attached), XdpMode::Native);
        let path = kernel_support::pin_link(bpffs, 3, &xdp("far"), &attached);
        assert_eq!(path, bpffs.join("links/3"));
        send(10);
        loaded.wait_for("xdp_count", 10);
        assert_eq!(kinds::detach(&path).unwrap(), Release::Detached);
        send(10);
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert_eq!(loaded.count("xdp_count"), 10);
    });
}

#[test]
fn where_the_driver_cannot_generic_code_does() {
    isolated(|_| {
        kernel_support::ip("link set lo up");
        let loaded = counter();
        let attached = loaded.attach(0, &xdp("lo"), None, &[]).unwrap();
        assert_eq!(mode(&attached), XdpMode::Generic);
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket
            .send_to(b"counted", socket.local_addr().unwrap())
            .unwrap();
        loaded.wait_for("xdp_count", 1);
    });
}

#[test]
fn an_interface_has_one_program_whoever_put_it_there() {
    isolated(|_| {
        veth();
        let (first, second) = (counter(), counter());
        let foreign_mode = |interface: &str, mode| {
            let index = loader_worker::kernel::interfaces::index(interface)
                .unwrap()
                .unwrap();
            link::create_xdp(first.programs[0].as_fd(), index, mode).unwrap()
        };
        for mode in [XdpMode::Native, XdpMode::Generic] {
            let foreign = foreign_mode("far", mode);
            let failure = second.attach(0, &xdp("far"), None, &[]).unwrap_err();
            assert_eq!(failure.code, FailureCode::FailedPrecondition);
            assert_eq!(
                failure.cause,
                "interface already has an XDP program attached"
            );
            drop(foreign);
        }
        second.attach(0, &xdp("far"), None, &[]).unwrap();
    });
}

#[test]
fn unknown_interfaces_and_verdicts_are_named() {
    isolated(|_| {
        veth();
        let loaded = counter();
        let failure = loaded.attach(0, &xdp("eth99"), None, &[]).unwrap_err();
        assert_eq!(failure.code, FailureCode::InvalidArgument);
        assert!(failure.cause.contains("\"eth99\""), "{failure}");
        let spec = AttachSpec::Xdp {
            interface: "far".into(),
            priority: 1,
            proceed_on: vec![2, 9],
        };
        let failure = loaded.attach(0, &spec, None, &[]).unwrap_err();
        assert_eq!(failure.cause, "9 is no XDP verdict");
    });
}

#[test]
fn the_program_of_a_link_is_replaced_without_a_gap() {
    isolated(|_| {
        veth();
        let (first, second) = (counter(), counter());
        let attached = first.attach(0, &xdp("far"), None, &[]).unwrap();
        let (old, new) = (first.programs[0].as_fd(), second.programs[0].as_fd());
        link::update(attached.link.as_fd(), new, Some(old)).unwrap();
        send(5);
        second.wait_for("xdp_count", 5);
        assert_eq!(first.count("xdp_count"), 0);
        assert!(
            link::update(attached.link.as_fd(), new, Some(old)).is_err(),
            "the old one is not there"
        );
    });
}
