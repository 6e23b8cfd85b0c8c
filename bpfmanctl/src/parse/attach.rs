//! Where to attach.

use super::named;
use crate::cli::WantedStrategy;
use ipc::messages::attach::Direction;
use ipc::messages::chain::{HookKind, Strategy};
use ipc::messages::mprog::NetkitHook;
use ipc::messages::netfilter::{NetfilterFamily, NetfilterHook};
use ipc::messages::pull::PullPolicy;

/// Names of XDP verdicts and their numbers, which are also their bits in a mask.
pub(crate) const XDP_ACTIONS: [(&str, i32); 6] = [
    ("aborted", 0),
    ("drop", 1),
    ("pass", 2),
    ("tx", 3),
    ("redirect", 4),
    ("dispatcher_return", 31),
];

/// Names of clsact verdicts and their numbers.
pub(crate) const TC_ACTIONS: [(&str, i32); 11] = [
    ("unspec", -1),
    ("ok", 0),
    ("reclassify", 1),
    ("shot", 2),
    ("pipe", 3),
    ("stolen", 4),
    ("queued", 5),
    ("repeat", 6),
    ("redirect", 7),
    ("trap", 8),
    ("dispatcher_return", 30),
];

/// The number of an XDP verdict.
pub(crate) fn xdp_action(text: &str) -> Result<i32, String> {
    action(text, XDP_ACTIONS)
}

/// The number of a clsact verdict.
pub(crate) fn tc_action(text: &str) -> Result<i32, String> {
    action(text, TC_ACTIONS)
}

fn action<const N: usize>(text: &str, known: [(&'static str, i32); N]) -> Result<i32, String> {
    named("action", text, known, |(name, _)| name).map(|(_, number)| number)
}

/// How a chain is called; `None` for auto.
pub(crate) fn strategy(text: &str) -> Result<WantedStrategy, String> {
    let [direct, libxdp, fused] = Strategy::ALL.map(Some);
    named(
        "strategy",
        text,
        [None, direct, libxdp, fused],
        |strategy| strategy.map_or("auto", Strategy::name),
    )
    .map(WantedStrategy)
}

/// A hook that bpfman orders.
pub(crate) fn dispatcher_type(text: &str) -> Result<HookKind, String> {
    named("dispatcher type", text, HookKind::ALL, HookKind::name)
}

/// Traffic direction.
pub(crate) fn direction(text: &str) -> Result<Direction, String> {
    let both = [Direction::Ingress, Direction::Egress];
    named("direction", text, both, Direction::name)
}

/// When a registry is asked; nothing is `IfNotPresent`.
pub(crate) fn pull_policy(text: &str) -> Result<PullPolicy, String> {
    if text.is_empty() {
        return Ok(PullPolicy::default());
    }
    named("pull policy", text, PullPolicy::ALL, PullPolicy::name)
}

pub(crate) fn netfilter_family(text: &str) -> Result<NetfilterFamily, String> {
    named("family", text, NetfilterFamily::ALL, NetfilterFamily::name)
}

pub(crate) fn netfilter_hook(text: &str) -> Result<NetfilterHook, String> {
    named("hook", text, NetfilterHook::ALL, NetfilterHook::name)
}

pub(crate) fn netkit_hook(text: &str) -> Result<NetkitHook, String> {
    named("hook", text, NetkitHook::ALL, NetkitHook::name)
}

/// `group/name`.
pub(crate) fn tracepoint(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((group, name))
            if !group.is_empty()
                && !name.is_empty()
                && !name.contains('/')
                && !text.contains(char::is_whitespace) =>
        {
            Ok((group.to_owned(), name.to_owned()))
        }
        _ => Err(format!(
            "invalid tracepoint \"{text}\": must be GROUP/NAME, like sched/sched_switch"
        )),
    }
}

/// A statically defined probe.
pub(crate) fn usdt(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((provider, name)) if !provider.is_empty() && !name.is_empty() => {
            Ok((provider.to_owned(), name.to_owned()))
        }
        _ => Err(format!(
            "invalid probe \"{text}\": must be PROVIDER:NAME, like libc:setjmp"
        )),
    }
}

/// An offset, decimal or hexadecimal as disassemblers print it.
pub(crate) fn offset(text: &str) -> Result<u64, String> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    digits
        .chars()
        .all(|digit| digit.is_digit(radix))
        .then(|| u64::from_str_radix(digits, radix).ok())
        .flatten()
        .ok_or_else(|| format!("invalid offset \"{text}\": must be a number, like 16 or 0x10"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_take_any_case() {
        assert_eq!(xdp_action("PASS"), Ok(2));
        assert_eq!(xdp_action(" dispatcher_return "), Ok(31));
        assert_eq!(
            xdp_action("redirec").unwrap_err(),
            "unknown action \"redirec\"; did you mean \"redirect\"?; \
             known are aborted, drop, pass, tx, redirect, dispatcher_return"
        );
    }

    #[test]
    fn tc_actions_begin_below_zero() {
        assert_eq!(tc_action("unspec"), Ok(-1));
        assert_eq!(tc_action("Pipe"), Ok(3));
        assert!(tc_action("pass").unwrap_err().contains("known are unspec"));
    }

    #[test]
    fn strategies_and_hooks_have_names() {
        assert_eq!(strategy("auto"), Ok(WantedStrategy(None)));
        assert_eq!(strategy("Fused"), Ok(WantedStrategy(Some(Strategy::Fused))));
        assert!(
            strategy("fuse")
                .unwrap_err()
                .contains("did you mean \"fused\"")
        );
        assert_eq!(dispatcher_type("TC-Ingress"), Ok(HookKind::TcIngress));
        assert_eq!(
            dispatcher_type("xpd").unwrap_err(),
            "unknown dispatcher type \"xpd\"; did you mean \"xdp\"?; known are xdp, tc-ingress, tc-egress"
        );
    }

    #[test]
    fn directions_take_any_case() {
        assert_eq!(direction("Ingress"), Ok(Direction::Ingress));
        assert_eq!(direction("EGRESS"), Ok(Direction::Egress));
        assert_eq!(
            direction("ingres").unwrap_err(),
            "unknown direction \"ingres\"; did you mean \"ingress\"?; known are ingress, egress"
        );
        assert!(
            direction("sideways")
                .unwrap_err()
                .starts_with("unknown direction \"sideways\"; known")
        );
    }

    #[test]
    fn policies_take_any_case_and_nothing() {
        assert_eq!(pull_policy("always"), Ok(PullPolicy::Always));
        assert_eq!(pull_policy(""), Ok(PullPolicy::IfNotPresent));
        assert_eq!(
            pull_policy("Alway").unwrap_err(),
            "unknown pull policy \"Alway\"; did you mean \"Always\"?; known are Always, IfNotPresent, Never"
        );
    }

    #[test]
    fn ends_of_netkit_have_names() {
        assert_eq!(netkit_hook("peer"), Ok(NetkitHook::Peer));
        assert_eq!(
            netkit_hook("ingress").unwrap_err(),
            "unknown hook \"ingress\"; known are primary, peer"
        );
    }

    #[test]
    fn hooks_of_netfilter_have_names() {
        assert_eq!(netfilter_family("ipv6"), Ok(NetfilterFamily::Ipv6));
        assert!(netfilter_family("inet").is_err());
        assert_eq!(netfilter_hook("forward"), Ok(NetfilterHook::Forward));
        assert_eq!(
            netfilter_hook("ingress").unwrap_err(),
            "unknown hook \"ingress\"; known are prerouting, input, forward, output, postrouting"
        );
        assert!(
            netfilter_hook("foward")
                .unwrap_err()
                .contains("did you mean \"forward\"")
        );
    }

    #[test]
    fn tracepoints_have_a_group() {
        assert_eq!(
            tracepoint("syscalls/sys_enter_openat"),
            Ok(("syscalls".to_owned(), "sys_enter_openat".to_owned()))
        );
        for bad in ["", "sched", "/x", "x/", "a/b/c", "a /b", "a/b\n", "/"] {
            assert!(
                tracepoint(bad).unwrap_err().contains("must be GROUP/NAME"),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn probes_have_a_provider() {
        let probe = ("libc".to_owned(), "setjmp".to_owned());
        assert_eq!(usdt("libc:setjmp"), Ok(probe));
        for bad in ["", "libc", ":setjmp", "libc:"] {
            assert!(usdt(bad).unwrap_err().contains("must be PROVIDER:NAME"));
        }
    }

    #[test]
    fn offsets_are_numbers() {
        assert_eq!(offset("16"), Ok(16));
        assert_eq!(offset("0x1f40"), Ok(0x1f40));
        assert_eq!(offset("18446744073709551615"), Ok(u64::MAX));
        for bad in ["", "0x", "-1", "+1", "1f", "18446744073709551616"] {
            assert!(offset(bad).is_err(), "{bad:?}");
        }
    }
}
