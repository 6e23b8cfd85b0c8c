//! Where to attach.

use super::suggestion;
use crate::cli::WantedStrategy;
use ipc::messages::attach::Direction;
use ipc::messages::chain::{HookKind, Strategy, UnknownHook};
use ipc::messages::mprog::NetkitHook;
use ipc::messages::netfilter::{NetfilterFamily, NetfilterHook};

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
    action(text, &XDP_ACTIONS)
}

/// The number of a clsact verdict.
pub(crate) fn tc_action(text: &str) -> Result<i32, String> {
    action(text, &TC_ACTIONS)
}

fn action(text: &str, known: &[(&'static str, i32)]) -> Result<i32, String> {
    let wanted = text.trim().to_lowercase();
    let found = known.iter().find(|(name, _)| *name == wanted);
    found.map(|(_, number)| *number).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        format!(
            "unknown action \"{wanted}\"{}; known are {}",
            suggestion(&wanted, names.iter().copied()),
            names.join(", ")
        )
    })
}

/// How a chain is called; `None` for auto.
pub(crate) fn strategy(text: &str) -> Result<WantedStrategy, String> {
    let wanted = text.trim().to_lowercase();
    if wanted == "auto" {
        return Ok(WantedStrategy(None));
    }
    Strategy::ALL
        .into_iter()
        .find(|strategy| strategy.name() == wanted)
        .map(|strategy| WantedStrategy(Some(strategy)))
        .ok_or_else(|| {
            let names = ["auto", "direct", "libxdp", "fused"];
            format!(
                "unknown strategy \"{wanted}\"{}; known are {}",
                suggestion(&wanted, names),
                names.join(", ")
            )
        })
}

/// A hook that bpfman orders.
pub(crate) fn dispatcher_type(text: &str) -> Result<HookKind, String> {
    text.trim()
        .to_lowercase()
        .parse()
        .map_err(|error: UnknownHook| error.to_string())
}

/// Traffic direction.
pub(crate) fn direction(text: &str) -> Result<Direction, String> {
    [Direction::Ingress, Direction::Egress]
        .into_iter()
        .find(|direction| direction.name().eq_ignore_ascii_case(text.trim()))
        .ok_or_else(|| format!("invalid direction \"{text}\": must be ingress or egress"))
}

pub(crate) fn netfilter_family(text: &str) -> Result<NetfilterFamily, String> {
    NetfilterFamily::ALL
        .into_iter()
        .find(|family| family.name() == text)
        .ok_or_else(|| format!("invalid family \"{text}\": must be ipv4 or ipv6"))
}

pub(crate) fn netfilter_hook(text: &str) -> Result<NetfilterHook, String> {
    let hooks = NetfilterHook::ALL;
    hooks
        .into_iter()
        .find(|hook| hook.name() == text)
        .ok_or_else(|| {
            let names = hooks.map(NetfilterHook::name).join(", ");
            format!("invalid hook \"{text}\": must be one of {names}")
        })
}

pub(crate) fn netkit_hook(text: &str) -> Result<NetkitHook, String> {
    NetkitHook::ALL
        .into_iter()
        .find(|hook| hook.name() == text)
        .ok_or_else(|| format!("invalid hook \"{text}\": must be primary or peer"))
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
        assert!(dispatcher_type("tcx").unwrap_err().contains("tc-ingress"));
    }

    #[test]
    fn directions_take_any_case() {
        assert_eq!(direction("Ingress"), Ok(Direction::Ingress));
        assert_eq!(direction("EGRESS"), Ok(Direction::Egress));
        assert_eq!(
            direction("in").unwrap_err(),
            "invalid direction \"in\": must be ingress or egress"
        );
    }

    #[test]
    fn ends_of_netkit_have_names() {
        assert_eq!(netkit_hook("peer"), Ok(NetkitHook::Peer));
        assert_eq!(
            netkit_hook("ingress").unwrap_err(),
            "invalid hook \"ingress\": must be primary or peer"
        );
    }

    #[test]
    fn hooks_of_netfilter_have_names() {
        assert_eq!(netfilter_family("ipv6"), Ok(NetfilterFamily::Ipv6));
        assert!(netfilter_family("inet").is_err());
        assert_eq!(netfilter_hook("forward"), Ok(NetfilterHook::Forward));
        assert_eq!(
            netfilter_hook("ingress").unwrap_err(),
            "invalid hook \"ingress\": must be one of prerouting, input, forward, output, postrouting"
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
