//! The way into network namespaces, and what is beside it.

use super::*;

fn of_netns_helper(call: &str, arguments: &[u64]) -> Verdict {
    let helper = product("helper-netns");
    let [x86_64, aarch64] = Architecture::ALL
        .map(|architecture| verdict(&helper, Mode::Enforce, architecture, call, arguments));
    assert_eq!(x86_64, aarch64, "{call}");
    x86_64
}

#[test]
fn network_namespaces_are_entered_and_no_others() {
    let enter = |kind: i32| of_netns_helper("setns", &[5, kind as u64]);
    assert_eq!(enter(libc::CLONE_NEWNET), Verdict::Allowed);
    for kind in [
        // Whatever the descriptor is.
        0,
        libc::CLONE_NEWNS,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWNET | libc::CLONE_NEWNS,
    ] {
        assert_eq!(enter(kind), Verdict::Killed, "{kind:#x}");
    }
    for (name, _) in POLICIES.iter().filter(|(name, _)| *name != "helper-netns") {
        let found = verdict(
            &product(name),
            Mode::Enforce,
            Architecture::X86_64,
            "setns",
            &[5, libc::CLONE_NEWNET as u64],
        );
        assert_eq!(found, Verdict::Killed, "{name}");
    }
}

#[test]
fn the_netns_helper_asks_for_interfaces_and_changes_none() {
    let socket = |family, protocol| of_netns_helper("socket", &[family, 3, protocol]);
    assert_eq!(socket(16, 0), Verdict::Allowed);
    // NETLINK_NETFILTER, NETLINK_GENERIC, AF_INET, AF_PACKET.
    for (family, protocol) in [(16, 12), (16, 16), (2, 0), (17, 0)] {
        assert_eq!(socket(family, protocol), Verdict::Killed, "{family}");
    }
    let ioctl = |request| of_netns_helper("ioctl", &[5, request]);
    assert_eq!(ioctl(libc::SIOCGIFNAME), Verdict::Allowed);
    assert_eq!(ioctl(libc::SIOCGIFINDEX), Verdict::Allowed);
    // SIOCSIFNAME, SIOCSIFFLAGS.
    for request in [0x8923, 0x8914] {
        assert_eq!(ioctl(request), Verdict::Killed, "{request:#x}");
    }
    assert_eq!(of_netns_helper("connect", &[5]), Verdict::Killed);
}
