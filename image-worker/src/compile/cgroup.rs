//! Programs of control groups: the hook is said by the section or by the request, and the kernel must be told at load.

use super::error::CompileError;
use super::sections::SectionFacts;
use ipc::cgroup_hooks::{self, CGROUP_HOOKS, CgroupHook};
use ipc::messages::program::{ProgramKind, ProgramRequest};

/// The kind that a section implies.
pub(super) fn implied(section: &str) -> Option<ProgramKind> {
    let (before, name) = section.split_once('/')?;
    match (before, name) {
        ("cgroup_skb", _) | ("cgroup", "skb") => Some(ProgramKind::CgroupSkb),
        ("cgroup", name) => CGROUP_HOOKS
            .iter()
            .find(|hook| hook.name == canonical(name))
            .map(|hook| hook.kind),
        _ => None,
    }
}

/// The name of a hook for what libbpf takes for one.
fn canonical(name: &str) -> &str {
    match name {
        "sock" => "sock_create",
        name => name,
    }
}

/// What the kernel must be told of a program of a control group; of others nothing more.
pub(super) fn with_hook(
    facts: SectionFacts,
    request: &ProgramRequest,
) -> Result<SectionFacts, CompileError> {
    if !request.kind.is_cgroup() {
        return Ok(facts);
    }
    // What the caller says counts more than what the author wrote. A section `cgroup/skb` is of a kind and of no hook.
    let name = request
        .attach_function
        .as_deref()
        .or(facts.target.as_deref().filter(|name| *name != "skb"));
    let hook = find(request, name)?;
    Ok(SectionFacts {
        expected_attach_type: hook.attach_type,
        hook: Some(hook.name),
        ..facts
    })
}

fn find(request: &ProgramRequest, name: Option<&str>) -> Result<&'static CgroupHook, CompileError> {
    let mut hooks = cgroup_hooks::of(request.kind);
    let names = || cgroup_hooks::of(request.kind).map(|hook| hook.name);
    let (first, others) = (hooks.next(), hooks.next());
    match (name, first, others) {
        // There is no choice, so whatever the section is called says enough.
        (None, Some(only), None) => Ok(only),
        (None, ..) => Err(CompileError::NoHook {
            kind: request.kind,
            program: request.name.clone(),
            hooks: names().collect(),
        }),
        (Some(name), ..) => cgroup_hooks::find(request.kind, canonical(name)).ok_or_else(|| {
            CompileError::UnknownHook {
                kind: request.kind,
                name: name.to_owned(),
                hooks: names().collect(),
            }
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sections;
    use super::*;

    fn facts(
        section: &str,
        kind: ProgramKind,
        asked: Option<&str>,
    ) -> Result<SectionFacts, CompileError> {
        let request = ProgramRequest {
            name: "count".to_owned(),
            kind,
            attach_function: asked.map(str::to_owned),
        };
        with_hook(sections::facts(section, kind)?, &request)
    }

    #[test]
    fn sections_name_hooks_unless_the_request_does() {
        use ProgramKind::*;
        // prog_type and expected_attach_type as in include/uapi/linux/bpf.h
        for (section, kind, asked, hook, numbers) in [
            ("cgroup_skb/egress", CgroupSkb, None, "egress", (8, 1)),
            ("cgroup/skb", CgroupSkb, Some("ingress"), "ingress", (8, 0)),
            (
                "cgroup_skb/egress",
                CgroupSkb,
                Some("ingress"),
                "ingress",
                (8, 0),
            ),
            ("cgroup/sock", CgroupSock, None, "sock_create", (9, 2)),
            (
                "cgroup/sock_release",
                CgroupSock,
                None,
                "sock_release",
                (9, 34),
            ),
            ("cgroup/post_bind6", CgroupSock, None, "post_bind6", (9, 13)),
            (
                "?cgroup/connect4",
                CgroupSockAddr,
                None,
                "connect4",
                (18, 10),
            ),
            (
                "cgroup/recvmsg6",
                CgroupSockAddr,
                None,
                "recvmsg6",
                (18, 20),
            ),
            (
                "cgroup/getsockopt",
                CgroupSockopt,
                None,
                "getsockopt",
                (25, 21),
            ),
            ("cgroup/sysctl", CgroupSysctl, None, "sysctl", (23, 18)),
            ("cgroup/dev", CgroupDevice, None, "dev", (15, 6)),
            ("anything", CgroupDevice, None, "dev", (15, 6)),
        ] {
            let found = facts(section, kind, asked).expect(section);
            assert_eq!(found.hook, Some(hook), "{section}");
            assert_eq!(
                (found.prog_type, found.expected_attach_type),
                numbers,
                "{section}"
            );
        }
        assert_eq!(facts("xdp", Xdp, Some("egress")).unwrap().hook, None);
    }

    #[test]
    fn a_hook_that_is_missing_or_unknown_is_told() {
        let missing = facts("cgroup/skb", ProgramKind::CgroupSkb, None).unwrap_err();
        assert_eq!(
            (missing.to_string().as_str(), missing.remedy().as_str()),
            (
                "cgroup_skb program \"count\" names no hook",
                "give it as cgroup_skb:count:HOOK; hooks are ingress, egress"
            )
        );
        let unknown = facts("cgroup_skb/ingres", ProgramKind::CgroupSkb, None).unwrap_err();
        assert_eq!(
            unknown.to_string(),
            "cgroup_skb programs have no hook \"ingres\""
        );
        assert_eq!(unknown.remedy(), "hooks are ingress, egress");
    }
}
