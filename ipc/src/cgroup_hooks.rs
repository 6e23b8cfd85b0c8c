//! Hooks of control groups, as authors call them in section names (`cgroup/connect4`).
//!
//! A program is loaded for one of them: the kernel's verifier allows other things at each. Where it will be attached is
//! said later. This is the one table of them: the image worker reads sections by it, the loader attaches by it.

use crate::messages::program::ProgramKind;

/// A hook of a control group.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CgroupHook {
    /// Programs that run there.
    pub kind: ProgramKind,
    /// The name, without what stands before the slash of a section.
    pub name: &'static str,
    /// `enum bpf_attach_type` (`include/uapi/linux/bpf.h`).
    pub attach_type: u32,
}

const fn hook(kind: ProgramKind, name: &'static str, attach_type: u32) -> CgroupHook {
    CgroupHook {
        kind,
        name,
        attach_type,
    }
}

/// All hooks, those of one kind together.
pub const CGROUP_HOOKS: [CgroupHook; 27] = {
    use ProgramKind::{
        CgroupDevice, CgroupSkb, CgroupSock, CgroupSockAddr, CgroupSockopt, CgroupSysctl,
    };
    [
        hook(CgroupSkb, "ingress", 0),
        hook(CgroupSkb, "egress", 1),
        hook(CgroupSock, "sock_create", 2),
        hook(CgroupSock, "sock_release", 34),
        hook(CgroupSock, "post_bind4", 12),
        hook(CgroupSock, "post_bind6", 13),
        hook(CgroupSockAddr, "bind4", 8),
        hook(CgroupSockAddr, "bind6", 9),
        hook(CgroupSockAddr, "connect4", 10),
        hook(CgroupSockAddr, "connect6", 11),
        hook(CgroupSockAddr, "connect_unix", 49),
        hook(CgroupSockAddr, "sendmsg4", 14),
        hook(CgroupSockAddr, "sendmsg6", 15),
        hook(CgroupSockAddr, "sendmsg_unix", 50),
        hook(CgroupSockAddr, "recvmsg4", 19),
        hook(CgroupSockAddr, "recvmsg6", 20),
        hook(CgroupSockAddr, "recvmsg_unix", 51),
        hook(CgroupSockAddr, "getpeername4", 29),
        hook(CgroupSockAddr, "getpeername6", 30),
        hook(CgroupSockAddr, "getpeername_unix", 52),
        hook(CgroupSockAddr, "getsockname4", 31),
        hook(CgroupSockAddr, "getsockname6", 32),
        hook(CgroupSockAddr, "getsockname_unix", 53),
        hook(CgroupSockopt, "getsockopt", 21),
        hook(CgroupSockopt, "setsockopt", 22),
        hook(CgroupSysctl, "sysctl", 18),
        hook(CgroupDevice, "dev", 6),
    ]
};

/// The hook of this name that programs of the kind run at.
pub fn find(kind: ProgramKind, name: &str) -> Option<&'static CgroupHook> {
    of(kind).find(|hook| hook.name == name)
}

/// The hooks of a kind; none for kinds that have nothing to do with control groups.
pub fn of(kind: ProgramKind) -> impl Iterator<Item = &'static CgroupHook> + Clone {
    CGROUP_HOOKS.iter().filter(move |hook| hook.kind == kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_hook_stands_once_and_has_a_kind_of_control_groups() {
        let names: BTreeSet<_> = CGROUP_HOOKS.iter().map(|hook| hook.name).collect();
        let types: BTreeSet<_> = CGROUP_HOOKS.iter().map(|hook| hook.attach_type).collect();
        assert_eq!(names.len(), CGROUP_HOOKS.len());
        assert_eq!(types.len(), CGROUP_HOOKS.len());
        for kind in ProgramKind::ALL {
            assert_eq!(of(kind).count() > 0, kind.is_cgroup(), "{kind}");
        }
        let found = find(ProgramKind::CgroupSockAddr, "connect4").unwrap();
        assert_eq!(found.attach_type, 10);
        assert_eq!(find(ProgramKind::CgroupSkb, "connect4"), None);
    }
}
