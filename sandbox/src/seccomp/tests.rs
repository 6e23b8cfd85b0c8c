//! Every policy of the product, on both architectures, and the form of policy files.

use super::*;
use crate::Mode;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};
use std::collections::BTreeMap;

mod form;
mod namespaces;
mod values;

const POLICIES: [(&str, &str); 11] = [
    (
        "loader",
        include_str!("../../../loader-worker/sandbox/seccomp.json"),
    ),
    (
        "helper-perf",
        include_str!("../../../loader-worker/sandbox/helper-perf.json"),
    ),
    (
        "helper-group",
        include_str!("../../../loader-worker/sandbox/helper-group.json"),
    ),
    (
        "helper-netns",
        include_str!("../../../loader-worker/sandbox/helper-netns.json"),
    ),
    (
        "helper-open",
        include_str!("../../../loader-worker/sandbox/helper-open.json"),
    ),
    (
        "helper-mount",
        include_str!("../../../loader-worker/sandbox/helper-mount.json"),
    ),
    (
        "helper-libxdp",
        include_str!("../../../loader-worker/sandbox/helper-libxdp.json"),
    ),
    (
        "helper-xdp",
        include_str!("../../../loader-worker/sandbox/helper-xdp.json"),
    ),
    (
        "image",
        include_str!("../../../image-worker/sandbox/seccomp.json"),
    ),
    (
        "api",
        include_str!("../../../api-worker/sandbox/seccomp.json"),
    ),
    (
        "supervisor",
        include_str!("../../../supervisor/sandbox/seccomp.json"),
    ),
];

/// What a seccomp filter answers, by running it as the kernel does.
fn answer(
    program: &BpfProgram,
    architecture: Architecture,
    number: i64,
    arguments: [u64; 6],
) -> u32 {
    let audit: u32 = match architecture {
        Architecture::X86_64 => 0xc000_003e,
        Architecture::Aarch64 => 0xc000_00b7,
    };
    let mut data = Vec::new();
    data.extend((number as u32).to_ne_bytes());
    data.extend(audit.to_ne_bytes());
    data.extend(0u64.to_ne_bytes());
    arguments
        .iter()
        .for_each(|argument| data.extend(argument.to_ne_bytes()));
    let word = |offset: u32| {
        let offset = offset as usize;
        u32::from_ne_bytes(data[offset..offset + 4].try_into().unwrap())
    };
    let (mut accumulator, mut position) = (0u32, 0usize);
    loop {
        let instruction = &program[position];
        position += 1;
        let jump = |taken: bool| {
            usize::from(if taken {
                instruction.jt
            } else {
                instruction.jf
            })
        };
        match instruction.code {
            0x20 => accumulator = word(instruction.k),
            0x54 => accumulator &= instruction.k,
            0x05 => position += instruction.k as usize,
            0x15 => position += jump(accumulator == instruction.k),
            0x25 => position += jump(accumulator > instruction.k),
            0x35 => position += jump(accumulator >= instruction.k),
            0x06 => return instruction.k,
            other => panic!("unknown instruction {other:#x}"),
        }
    }
}

#[derive(Debug, Eq, PartialEq)]
enum Verdict {
    Allowed,
    Refused(i32),
    Killed,
    Logged,
}

/// What the kernel makes of several filters: the strictest answer counts.
fn verdict(
    policy: &Policy,
    mode: Mode,
    architecture: Architecture,
    call: &str,
    arguments: &[u64],
) -> Verdict {
    let number = syscalls::number(call, architecture).unwrap();
    let mut all = [0; 6];
    all[..arguments.len()].copy_from_slice(arguments);
    let strictest = policy
        .compile(architecture, mode)
        .unwrap()
        .iter()
        .map(|program| answer(program, architecture, number, all))
        .min_by_key(|answer| *answer as i32)
        .unwrap();
    match strictest & 0xffff_0000 {
        0x7fff_0000 => Verdict::Allowed,
        0x7ffc_0000 => Verdict::Logged,
        0x0005_0000 => Verdict::Refused((strictest & 0xffff) as i32),
        0x8000_0000 => Verdict::Killed,
        other => panic!("unknown answer {other:#x}"),
    }
}

fn product(name: &str) -> Policy {
    let (_, json) = POLICIES.iter().find(|(known, _)| *known == name).unwrap();
    Policy::parse(json).unwrap()
}

fn policy(allow: &str, refuse: &str) -> Result<Policy, PolicyError> {
    Policy::parse(&format!(
        r#"{{ "name": "test", "allow": [{allow}], "refuse": [{refuse}] }}"#
    ))
}

fn compiled(allow: &str, refuse: &str) -> Result<Vec<BpfProgram>, PolicyError> {
    policy(allow, refuse)?.compile(Architecture::X86_64, Mode::Enforce)
}

#[test]
fn every_policy_compiles_for_both_architectures_and_modes() {
    for (name, json) in POLICIES {
        let policy = Policy::parse(json).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(policy.name, name);
        for architecture in Architecture::ALL {
            for mode in [Mode::Enforce, Mode::Log] {
                let programs = policy
                    .compile(architecture, mode)
                    .unwrap_or_else(|error| panic!("{name}, {}: {error}", architecture.name()));
                assert!(programs.iter().all(|program| program.len() > 4), "{name}");
            }
        }
    }
}

#[test]
fn every_base_list_bears_its_name_and_is_included_somewhere() {
    let mut included: Vec<String> = vec![base::ALWAYS.into()];
    for json in POLICIES.iter().chain(&base::LISTS).map(|(_, json)| json) {
        included.extend(PolicyFile::parse(json).unwrap().includes);
    }
    for (name, json) in base::LISTS {
        assert_eq!(PolicyFile::parse(json).unwrap().name, name);
        assert!(
            included.iter().any(|other| other == name),
            "{name} is included nowhere"
        );
    }
}

#[test]
fn no_policy_allows_what_none_may_do() {
    for (name, _) in POLICIES {
        let policy = product(name);
        for architecture in Architecture::ALL {
            for call in [
                "execve",
                "execveat",
                "ptrace",
                "process_vm_readv",
                "mount",
                "setuid",
                "kill",
                "pidfd_getfd",
            ] {
                assert_eq!(
                    verdict(&policy, Mode::Enforce, architecture, call, &[]),
                    Verdict::Killed,
                    "{name}: {call}"
                );
            }
            // AF_UNIX, AF_INET, AF_INET6, AF_PACKET; the image worker speaks to registries.
            let families: &[u64] = match name {
                "image" => &[1, 17],
                _ => &[2, 10, 17],
            };
            for &family in families {
                assert_eq!(
                    verdict(
                        &policy,
                        Mode::Enforce,
                        architecture,
                        "socket",
                        &[family, 1, 0]
                    ),
                    Verdict::Killed,
                    "{name}: socket {family}"
                );
            }
            // fork, vfork, a new user namespace, a thread in a new network namespace.
            for flags in [17, 0x4111, 0x1000_0011, 0x4000_0000 | 0x3d_0f00] {
                assert_eq!(
                    verdict(&policy, Mode::Enforce, architecture, "clone", &[flags]),
                    Verdict::Killed,
                    "{name}: clone {flags:#x}"
                );
            }
            // Memory that is code.
            for call in ["mmap", "mprotect"] {
                assert_eq!(
                    verdict(&policy, Mode::Enforce, architecture, call, &[0, 4096, 7]),
                    Verdict::Killed,
                    "{name}: {call}"
                );
                assert_eq!(
                    verdict(&policy, Mode::Enforce, architecture, call, &[0, 4096, 3]),
                    Verdict::Allowed,
                    "{name}: {call}"
                );
            }
            // SIGABRT for abort, nothing else.
            assert_eq!(
                verdict(&policy, Mode::Enforce, architecture, "tgkill", &[1, 1, 6]),
                Verdict::Allowed
            );
            assert_eq!(
                verdict(&policy, Mode::Enforce, architecture, "tgkill", &[1, 1, 9]),
                Verdict::Killed
            );
        }
    }
}

#[test]
fn only_these_commands_of_bpf_are_used() {
    // MAP_CREATE, MAP_LOOKUP_ELEM, MAP_UPDATE_ELEM, MAP_GET_NEXT_KEY, PROG_LOAD, OBJ_PIN, OBJ_GET, OBJ_GET_INFO_BY_FD,
    // PROG_QUERY, RAW_TRACEPOINT_OPEN, BTF_LOAD, MAP_FREEZE, LINK_CREATE, LINK_UPDATE, LINK_DETACH.
    let commands = [0, 1, 2, 4, 5, 6, 7, 15, 16, 17, 18, 22, 28, 29, 34];
    for (name, _) in POLICIES {
        let policy = product(name);
        for architecture in Architecture::ALL {
            for command in 0..40 {
                let expected = match name {
                    "loader" if commands.contains(&command) => Verdict::Allowed,
                    // MAP_UPDATE_ELEM, OBJ_GET_INFO_BY_FD, PROG_QUERY, LINK_CREATE.
                    "helper-netns" if [2, 15, 16, 28].contains(&command) => Verdict::Allowed,
                    // OBJ_PIN.
                    "helper-mount" if command == 6 => Verdict::Allowed,
                    // MAP_LOOKUP_ELEM, OBJ_GET, PROG_GET_FD_BY_ID, MAP_GET_FD_BY_ID, OBJ_GET_INFO_BY_FD.
                    "helper-xdp" if [1, 7, 13, 14, 15].contains(&command) => Verdict::Allowed,
                    // And OBJ_PIN.
                    "helper-libxdp" if [1, 6, 7, 13, 14, 15].contains(&command) => Verdict::Allowed,
                    _ => Verdict::Killed,
                };
                assert_eq!(
                    verdict(&policy, Mode::Enforce, architecture, "bpf", &[command]),
                    expected,
                    "{name}: bpf({command})"
                );
            }
        }
    }
}

#[test]
fn perf_events_are_opened_by_the_loader_and_its_helper_alone() {
    for (name, _) in POLICIES {
        let expected = match name {
            "loader" | "helper-perf" => Verdict::Allowed,
            _ => Verdict::Killed,
        };
        let found = verdict(
            &product(name),
            Mode::Enforce,
            Architecture::X86_64,
            "perf_event_open",
            &[],
        );
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn the_loader_speaks_netlink_route_and_no_other() {
    let loader = product("loader");
    let socket = |family, protocol| {
        verdict(
            &loader,
            Mode::Enforce,
            Architecture::X86_64,
            "socket",
            &[family, 3, protocol],
        )
    };
    assert_eq!(socket(16, 0), Verdict::Allowed);
    // NETLINK_AUDIT, NETLINK_GENERIC.
    assert_eq!(socket(16, 9), Verdict::Killed);
    assert_eq!(socket(16, 16), Verdict::Killed);
    assert_eq!(
        verdict(
            &loader,
            Mode::Enforce,
            Architecture::X86_64,
            "connect",
            &[3]
        ),
        Verdict::Killed
    );
    for (name, _) in POLICIES
        .iter()
        .filter(|(name, _)| !["loader", "helper-netns"].contains(name))
    {
        let found = verdict(
            &product(name),
            Mode::Enforce,
            Architecture::X86_64,
            "socket",
            &[16, 3, 0],
        );
        assert_eq!(found, Verdict::Killed, "{name}");
    }
}

#[test]
fn the_group_helper_changes_groups_of_descriptors_alone() {
    let helper = product("helper-group");
    let chown = |uid, flags| {
        verdict(
            &helper,
            Mode::Enforce,
            Architecture::X86_64,
            "fchownat",
            &[3, 0, uid, 7, flags],
        )
    };
    assert_eq!(chown(0xffff_ffff, 0x1000), Verdict::Allowed);
    assert_eq!(chown(0, 0x1000), Verdict::Killed, "an owner");
    assert_eq!(chown(0xffff_ffff, 0), Verdict::Killed, "a path");
}

#[test]
fn the_open_helper_alone_changes_identities_and_opens_for_reading_alone() {
    for (name, _) in POLICIES {
        let expected = match name {
            "helper-open" => Verdict::Allowed,
            _ => Verdict::Killed,
        };
        for architecture in Architecture::ALL {
            for call in ["setresuid", "setresgid", "setgroups"] {
                let found = verdict(
                    &product(name),
                    Mode::Enforce,
                    architecture,
                    call,
                    &[7, 7, 7],
                );
                assert_eq!(found, expected, "{name}: {call}");
            }
        }
    }
    let helper = product("helper-open");
    let open = |flags: i32| {
        let arguments = [libc::AT_FDCWD as u64, 0, flags as u64];
        verdict(
            &helper,
            Mode::Enforce,
            Architecture::Aarch64,
            "openat",
            &arguments,
        )
    };
    assert_eq!(
        open(libc::O_RDONLY | libc::O_NONBLOCK | libc::O_CLOEXEC),
        Verdict::Allowed
    );
    for flags in [libc::O_WRONLY, libc::O_RDWR, libc::O_CREAT, libc::O_TRUNC] {
        assert_eq!(open(flags), Verdict::Killed, "{flags:#x}");
    }
}

#[test]
fn what_libraries_probe_is_refused_and_does_not_kill() {
    let api = product("api");
    for architecture in Architecture::ALL {
        let found =
            |call, arguments: &[u64]| verdict(&api, Mode::Enforce, architecture, call, arguments);
        assert_eq!(found("clone3", &[]), Verdict::Refused(libc::ENOSYS));
        assert_eq!(found("openat", &[]), Verdict::Refused(libc::EACCES));
        assert_eq!(found("ioctl", &[2, 0x5401]), Verdict::Refused(libc::ENOTTY));
        assert_eq!(found("ioctl", &[2, 0x5421]), Verdict::Allowed);
        // TIOCSTI would type into the terminal of whoever started the service.
        assert_eq!(found("ioctl", &[2, 0x5412]), Verdict::Killed);
    }
}

#[test]
fn learning_logs_instead_of_killing_but_refuses_as_always() {
    let api = product("api");
    let found = |call| verdict(&api, Mode::Log, Architecture::X86_64, call, &[]);
    assert_eq!(found("execve"), Verdict::Logged);
    assert_eq!(found("openat"), Verdict::Refused(libc::EACCES));
    assert_eq!(found("read"), Verdict::Allowed);
}

#[test]
fn system_calls_of_another_architecture_kill() {
    let programs = product("api")
        .compile(Architecture::X86_64, Mode::Enforce)
        .unwrap();
    // 3 is close on x86-64, and read in the 32-bit table that a process can call all the same.
    let strictest = programs
        .iter()
        .map(|program| answer(program, Architecture::Aarch64, 3, [0; 6]));
    assert!(strictest.min_by_key(|answer| *answer as i32).unwrap() & 0xffff_0000 == 0x8000_0000);
    // The x32 form of read.
    let x32 = answer(
        programs.last().unwrap(),
        Architecture::X86_64,
        0x4000_0000,
        [0; 6],
    );
    assert_eq!(x32, 0x8000_0000);
}

#[test]
fn numbers_agree_with_another_table() {
    for architecture in Architecture::ALL {
        let target = match architecture {
            Architecture::X86_64 => TargetArch::x86_64,
            Architecture::Aarch64 => TargetArch::aarch64,
        };
        let names = syscalls::BOTH.iter().map(|(name, ..)| *name);
        for name in names.chain(syscalls::X86_64.iter().map(|(name, _)| *name)) {
            let json = format!(
                r#"{{ "x": {{ "mismatch_action": "trap", "match_action": "allow", "filter": [{{ "syscall": "{name}" }}] }} }}"#
            );
            let theirs = seccompiler::compile_from_json(json.as_bytes(), target)
                .ok()
                .map(|mut programs| programs.remove("x").unwrap());
            let ours = syscalls::number(name, architecture).map(|number| {
                let rules = BTreeMap::from([(number, vec![])]);
                BpfProgram::try_from(
                    SeccompFilter::new(rules, SeccompAction::Trap, SeccompAction::Allow, target)
                        .unwrap(),
                )
                .unwrap()
            });
            assert_eq!(ours, theirs, "{name} on {}", architecture.name());
        }
    }
}
