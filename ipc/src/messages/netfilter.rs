//! Hooks of netfilter: where in the path of packets through a network namespace a program runs.

use bincode::{Decode, Encode};

/// Protocol family of the packets. Numbers are those of `include/uapi/linux/netfilter.h` (`NFPROTO_*`).
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum NetfilterFamily {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl NetfilterFamily {
    /// Every family that takes programs.
    pub const ALL: [Self; 2] = [Self::Ipv4, Self::Ipv6];

    /// `ipv4` or `ipv6`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }

    /// `NFPROTO_IPV4` or `NFPROTO_IPV6`.
    pub fn number(self) -> u32 {
        match self {
            Self::Ipv4 => 2,
            Self::Ipv6 => 10,
        }
    }
}

/// A place in the path of packets; `enum nf_inet_hooks` of `include/uapi/linux/netfilter.h`.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum NetfilterHook {
    /// Packets that arrive, before they are routed.
    Prerouting,
    /// Packets for this machine.
    Input,
    /// Packets for others.
    Forward,
    /// Packets that this machine made.
    Output,
    /// Packets that leave, after they were routed.
    Postrouting,
}

impl NetfilterHook {
    /// Every hook, in the kernel's order.
    pub const ALL: [Self; 5] = [
        Self::Prerouting,
        Self::Input,
        Self::Forward,
        Self::Output,
        Self::Postrouting,
    ];

    /// The name in lower case, as nft(8) writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prerouting => "prerouting",
            Self::Input => "input",
            Self::Forward => "forward",
            Self::Output => "output",
            Self::Postrouting => "postrouting",
        }
    }

    /// `NF_INET_*`.
    pub fn number(self) -> u32 {
        match self {
            Self::Prerouting => 0,
            Self::Input => 1,
            Self::Forward => 2,
            Self::Output => 3,
            Self::Postrouting => 4,
        }
    }
}

/// A hook with the place of a program on it.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct NetfilterPlace {
    /// Protocol family.
    pub family: NetfilterFamily,
    /// Hook.
    pub hook: NetfilterHook,
    /// Lower runs first, among everything on the hook: rules of nft and iptables, connection tracking, programs. The
    /// lowest and the highest number are the kernel's own.
    pub priority: i32,
    /// Fragments are put together before the program sees them (`BPF_F_NETFILTER_IP_DEFRAG`).
    pub defragment: bool,
}

impl NetfilterPlace {
    /// Priority at which the kernel puts fragments together (`NF_IP_PRI_CONNTRACK_DEFRAG`).
    pub const DEFRAGMENTATION: i32 = -400;

    /// Why the kernel would refuse the priority, or none.
    pub fn out_of_range(&self) -> Option<String> {
        let Self {
            priority,
            defragment,
            ..
        } = *self;
        if priority == i32::MIN || priority == i32::MAX {
            return Some(format!("priority {priority} is the kernel's own"));
        }
        (defragment && priority <= Self::DEFRAGMENTATION).then(|| {
            format!(
                "priority {priority} is not after {}, where fragments are put together",
                Self::DEFRAGMENTATION
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(priority: i32, defragment: bool) -> NetfilterPlace {
        NetfilterPlace {
            family: NetfilterFamily::Ipv4,
            hook: NetfilterHook::Input,
            priority,
            defragment,
        }
    }

    #[test]
    fn priorities_of_the_kernel_are_not_given_away() {
        for (priority, defragment, in_range) in [
            (i32::MIN, false, false),
            (i32::MIN + 1, false, true),
            (i32::MAX - 1, false, true),
            (i32::MAX, false, false),
            (-400, false, true),
            (-400, true, false),
            (-399, true, true),
            (i32::MAX, true, false),
        ] {
            let refused = place(priority, defragment).out_of_range();
            assert_eq!(refused.is_none(), in_range, "{priority} {defragment}");
        }
    }

    #[test]
    fn numbers_are_those_of_the_kernel() {
        assert_eq!(NetfilterFamily::ALL.map(NetfilterFamily::number), [2, 10]);
        assert_eq!(
            NetfilterHook::ALL.map(NetfilterHook::number),
            [0, 1, 2, 3, 4]
        );
    }
}
