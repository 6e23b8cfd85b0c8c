//! Programs of control groups, each hook seen by a process that does what it is for.

use bpfman_tests::cgroup::Group;
use bpfman_tests::fixture::Counter;
use bpfman_tests::instance::Instance;
use bpfman_tests::leftovers::Traces;
use bpfman_tests::{kernel, matrix, skip, wait};
use ipc::cgroup_hooks::{CGROUP_HOOKS, CgroupHook};
use std::fs;
use std::time::Duration;

/// The row of the table in docs/kinds.md: some hooks came later than their kind.
fn row(hook: &CgroupHook) -> String {
    let part = if hook.name.ends_with("_unix") {
        " at the hooks of Unix sockets"
    } else {
        ""
    };
    format!("{}{part}", hook.kind)
}

/// `None` where the kernel has no such hook, which bpfman has found out and says.
fn load(instance: &Instance, hook: &CgroupHook) -> Option<Counter> {
    let CgroupHook { kind, name, .. } = hook;
    let slot = CGROUP_HOOKS.iter().position(|other| other == hook)?;
    let program = format!("{kind}:{name}_count");
    match Counter::try_load(instance, "cgroup", &program, slot, &[]) {
        Ok(counter) => Some(counter),
        Err(refused) => {
            let may_lack = name.ends_with("_unix") && kernel::version() < (6, 7);
            assert!(may_lack, "{program}: {refused}");
            let reason = format!("this kernel takes no {kind} programs at {name}: an empty one");
            assert!(refused.contains(&reason), "{refused}");
            // The same of each hook.
            let everywhere = refused.replace(&format!(" at {name}:"), ":");
            matrix::saw_refused(row(hook), &everywhere);
            skip::skip(&program, &refused);
            None
        }
    }
}

#[test]
fn kernel_cgroup_hooks_count_what_processes_of_the_group_do() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let (group, other) = (Group::new(), Group::new());
    let path = group.path().to_str().expect("UTF-8");
    for hook in &CGROUP_HOOKS {
        let Some(counter) = load(&instance, hook) else {
            continue;
        };
        let (kind, name) = (hook.kind.name(), hook.name);
        let (link, attached) = instance.attach(&[kind, &counter.id(), path]);
        assert_eq!(attached["record"]["kind"], kind);
        assert_eq!(attached["record"]["details"]["path"], path);
        assert_eq!(attached["record"]["details"]["attach_type"], name);
        let seen = &attached["status"]["kernel"];
        assert_eq!(seen["link_type"], "cgroup");
        assert_eq!(seen["cgroup_id"], group.id());
        assert_eq!(seen["attach_type"], hook.attach_type.to_string());
        group.act(name, 3);
        assert_eq!(counter.value(), 3, "{name}");
        other.act(name, 2);
        assert_eq!(counter.value(), 3, "{name} counts other groups");
        instance.ctl(&["link", "detach", &link.to_string()]).ok();
        group.act(name, 2);
        assert_eq!(counter.value(), 3, "{name} counts after detach returned");
        instance.ctl(&["program", "unload", &counter.id()]).ok();
        matrix::saw(row(hook), "counts");
    }
    before.assert_unchanged(&instance, "unload");
    instance.assert_no_drift();
}

#[test]
fn kernel_cgroup_hooks_are_those_of_the_request_not_of_the_section() {
    let instance = Instance::start();
    let group = Group::new();
    let path = group.path().to_str().expect("UTF-8");
    let program = "cgroup_skb:ingress_count:egress";
    let counter = Counter::try_load(&instance, "cgroup", program, 0, &[]).expect("loaded");
    let (_, attached) = instance.attach(&["cgroup_skb", &counter.id(), path]);
    assert_eq!(attached["record"]["details"]["attach_type"], "egress");
    group.act("sendmsg4", 4);
    assert_eq!(counter.value(), 4);
    let refused = Counter::try_load(&instance, "cgroup", "cgroup_skb:ingress_count:in", 0, &[])
        .expect_err("no such hook");
    assert!(
        refused.contains("no hook \"in\"") && refused.contains("hooks are ingress, egress"),
        "{refused}"
    );
}

#[test]
fn kernel_cgroup_programs_go_nowhere_but_on_control_groups() {
    let instance = Instance::start();
    let counter = Counter::try_load(&instance, "cgroup", "cgroup_device:dev_count", 0, &[]);
    let counter = counter.expect("loaded");
    let before = Traces::of(&instance);
    let refused = |kind: &str, path: &str| {
        instance
            .ctl(&["link", "attach", kind, &counter.id(), path])
            .refused()
    };
    let folder = tempfile::tempdir().expect("a directory");
    let outside = folder.path().to_str().expect("UTF-8");
    let message = refused("cgroup_device", outside);
    assert!(
        message.contains("is no directory of the control groups' file system")
            && message.contains("cgroup2"),
        "{message}"
    );
    let message = refused("cgroup_device", &format!("{outside}/missing"));
    assert!(message.contains("does not exist"), "{message}");
    let group = Group::new();
    let path = group.path().to_str().expect("UTF-8");
    let message = refused("cgroup_skb", path);
    assert!(
        message.contains("is a cgroup_device program; the cgroup_skb attach accepts cgroup_skb"),
        "{message}"
    );
    before.assert_unchanged(&instance, "refused attaches");
}

#[test]
fn kernel_cgroup_links_are_detached_although_the_group_is_gone() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let group = Group::new();
    let path = group.path().to_str().expect("UTF-8");
    let program = "cgroup_sockopt:setsockopt_count";
    let counter = Counter::try_load(&instance, "cgroup", program, 24, &[]).expect("loaded");
    let (link, _) = instance.attach(&["cgroup_sockopt", &counter.id(), path]);
    group.act("setsockopt", 1);
    assert_eq!(counter.value(), 1);
    fs::remove_dir(group.path()).expect("rmdir");
    // The kernel takes it apart a little later.
    let told = format!("link {link} has no effect: control group {path} is gone");
    let found = wait::until(Duration::from_secs(10), || {
        let findings = instance.findings();
        findings
            .iter()
            .any(|finding| finding.starts_with(&told))
            .then_some(())
    });
    assert!(found.is_some(), "{:?}", instance.findings());
    instance.ctl(&["link", "detach", &link.to_string()]).ok();
    instance.ctl(&["program", "unload", &counter.id()]).ok();
    before.assert_unchanged(&instance, "unload");
    instance.assert_no_drift();
}
