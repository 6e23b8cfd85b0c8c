//! The one-shot helper as a process in its own sandbox: started as the spawner starts it, asked as the loader asks it.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    unsafe_code,
    reason = "tests panic; this one starts a process with a socket as descriptor 3"
)]

mod kernel_support;

use ipc::blocking::Link;
use ipc::limits::HELPER_DEADLINE;
use ipc::messages::attach::{Direction, XdpMode};
use ipc::messages::failure::{Failure, FailureCode};
use ipc::messages::helper::{HelperJob, HelperKind, HelperResult};
use ipc::messages::mprog::{MprogHook, MprogMember};
use ipc::messages::netfilter::{NetfilterFamily, NetfilterHook, NetfilterPlace};
use ipc::messages::program::ProgramKind;
use ipc::role::Role;
use kernel_support::{elsewhere, inside, ip, isolated, load, plan};
use loader_worker::kernel::clsact::{self, Blocks, Qdisc};
use loader_worker::kernel::netlink::Socket;
use loader_worker::kernel::{info, interfaces, map, pin, probe, query, witness};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::{CapabilitySet, LinkNameSpaceType, move_into_link_name_space};
use sandbox::{Identity, WorkerArguments};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// Has a helper process do one job.
fn ask(kind: HelperKind, job: &HelperJob, beside: &[OwnedFd]) -> (HelperResult, Vec<OwnedFd>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let arguments = WorkerArguments {
        role: Role::Helper,
        helper: Some(kind),
        identity: Identity {
            uid: 0,
            gid: 0,
            groups: Vec::new(),
        },
        client_gid: None,
        generation: 1,
        mode: sandbox::Mode::Enforce,
        runtime_dir: "/run/bpfman".into(),
        state_dir: "/var/lib/bpfman".into(),
        cache_dir: "/var/cache/bpfman".into(),
        log: "info".into(),
        kubelet_dir: None,
        read: Vec::new(),
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_bpfman-loader"));
    command
        .args(arguments.to_argv())
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let socket = theirs.as_raw_fd();
    // SAFETY: between fork and exec only dup2 is called, which is safe there.
    unsafe {
        command.pre_exec(move || match libc::dup2(socket, 3) {
            3 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    let mut helper = command.spawn().unwrap();
    drop(theirs);
    let (mut link, _) = Link::<HelperResult, HelperJob>::establish(
        ours,
        Role::Loader,
        1,
        Role::Helper,
        HELPER_DEADLINE,
    )
    .expect("the helper greets");
    let beside: Vec<_> = beside.iter().map(AsFd::as_fd).collect();
    link.send(1, job, &beside).unwrap();
    let answer = link
        .receive(HELPER_DEADLINE)
        .unwrap()
        .expect("the helper answers");
    assert!(helper.wait().unwrap().success());
    (answer.message, answer.descriptors)
}

#[test]
fn it_opens_tracepoints_and_suggests_others() {
    isolated(|_| {
        let job = |name: &str| HelperJob::OpenTracepoint {
            group: "sched".into(),
            name: name.into(),
        };
        let (answer, opened) = ask(HelperKind::PerfEvent, &job("sched_switch"), &[]);
        assert_eq!((answer, opened.len()), (HelperResult::Opened, 1));
        match ask(HelperKind::PerfEvent, &job("sched_swich"), &[]).0 {
            HelperResult::Failed(failure) => {
                assert_eq!(failure.code, FailureCode::NotFound);
                assert!(failure.remedy.contains("sched/sched_switch"), "{failure}");
            }
            other => panic!("{other:?}"),
        }
    });
}

/// Where a function of this program is in its file. What stands at any other offset may not be probed.
fn own_offset(function: usize) -> u64 {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let number = |text: &str| u64::from_str_radix(text, 16).unwrap();
    let inside = maps.lines().find_map(|line| {
        let mut fields = line.split(' ');
        let (start, end) = fields.next()?.split_once('-')?;
        let offset = fields.nth(1)?;
        (number(start)..number(end))
            .contains(&(function as u64))
            .then(|| function as u64 - number(start) + number(offset))
    });
    inside.expect("functions are mapped")
}

#[test]
fn it_opens_uprobes_of_the_file_it_is_given() {
    isolated(|_| {
        let target: OwnedFd = File::open("/proc/self/exe").unwrap().into();
        let job = HelperJob::OpenUprobe {
            file_offset: own_offset(own_offset as fn(usize) -> u64 as usize),
            retprobe: true,
            pid: None,
        };
        let (answer, opened) = ask(HelperKind::PerfEvent, &job, std::slice::from_ref(&target));
        assert_eq!((answer, opened.len()), (HelperResult::Opened, 1));
        let job = HelperJob::OpenUprobe {
            file_offset: 1 << 40,
            retprobe: false,
            pid: None,
        };
        let (answer, opened) = ask(HelperKind::PerfEvent, &job, &[target]);
        assert!(matches!(answer, HelperResult::Failed(_)), "{answer:?}");
        assert!(opened.is_empty());
    });
}

#[test]
fn it_gives_pins_to_a_group() {
    isolated(|bpffs| {
        let plan = plan(bpf::COUNTER, &[("xdp_count", ProgramKind::Xdp)]);
        let pins: Vec<_> = (0..3)
            .map(|number| {
                let path = bpffs.join(format!("maps/1/{number}"));
                let created = map::create(&plan.maps[0], None, None, "pinned").unwrap();
                pin::pin(created.as_fd(), &path).unwrap();
                path
            })
            .collect();
        let opened: Vec<_> = pins
            .iter()
            .map(|path| {
                rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap()
            })
            .collect();
        let (answer, _) = ask(
            HelperKind::ChangeGroup,
            &HelperJob::ChangeGroup { gid: 4711 },
            &opened,
        );
        assert_eq!(answer, HelperResult::Changed);
        for path in pins {
            let file = std::fs::metadata(path).unwrap();
            assert_eq!((file.uid(), file.gid()), (0, 4711));
        }
    });
}

#[test]
fn it_gives_nothing_but_pins_to_a_group() {
    isolated(|bpffs| {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "").unwrap();
        std::fs::create_dir(bpffs.join("maps")).unwrap();
        let open = |path: &std::path::Path| {
            rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap()
        };
        // A file elsewhere, and a directory of the bpffs itself.
        for path in [secret, bpffs.join("maps")] {
            let before = std::fs::metadata(&path).unwrap().gid();
            let job = HelperJob::ChangeGroup { gid: 4711 };
            match ask(HelperKind::ChangeGroup, &job, &[open(&path)]).0 {
                HelperResult::Failed(failure) => {
                    assert_eq!(failure.code, FailureCode::InvalidArgument, "{failure}");
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(std::fs::metadata(&path).unwrap().gid(), before);
        }
    });
}

#[test]
fn it_finds_interfaces_of_the_namespace_that_it_is_given() {
    isolated(|_| {
        let namespace = elsewhere(|| ip("link add elsewhere0 index 77 type veth peer name near"));
        let find = |name: &str, file: &OwnedFd| {
            let job = HelperJob::FindInterface { name: name.into() };
            let (answer, _) = ask(HelperKind::NetworkNamespace, &job, &[copy(file)]);
            answer
        };
        let found = HelperResult::Interface { ifindex: 77 };
        assert_eq!(find("elsewhere0", &namespace), found);
        let missing = failure(find("elsewhere1", &namespace));
        assert_eq!(missing.code, FailureCode::InvalidArgument);
        assert_eq!(missing.cause, "interface \"elsewhere1\" not found");
        assert!(missing.remedy.contains("elsewhere0"), "{missing}");
        for path in ["/proc/self/ns/mnt", "/proc/self/status"] {
            let wrong = failure(find("lo", &File::open(path).unwrap().into()));
            assert_eq!(wrong.code, FailureCode::InvalidArgument, "{path}: {wrong}");
            assert!(wrong.cause.contains("not a network namespace"), "{wrong}");
        }
    });
}

#[test]
fn it_makes_links_in_the_namespace_that_it_is_given() {
    isolated(|_| {
        let namespace = elsewhere(|| ip("link add elsewhere0 index 77 type veth peer name near"));
        let loaded = load(bpf::COUNTER, &[("xdp_count", ProgramKind::Xdp)]);
        let job = |ifindex| HelperJob::CreateXdpLink {
            ifindex,
            interface: "elsewhere0".into(),
            program_id: loaded.record(0).program_id,
        };
        let attach = |ifindex| {
            let beside = [copy(&namespace), copy(&loaded.programs[0])];
            ask(HelperKind::NetworkNamespace, &job(ifindex), &beside)
        };
        let (answer, links) = attach(77);
        assert_eq!(
            answer,
            HelperResult::XdpLink {
                mode: XdpMode::Native
            }
        );
        assert_eq!(info::link(links[0].as_fd()).unwrap().ifindex, 77);
        let taken = failure(attach(77).0);
        assert_eq!(taken.code, FailureCode::FailedPrecondition, "{taken}");
        let gone = failure(attach(78).0);
        assert_eq!(gone.code, FailureCode::NotFound, "{gone}");
        assert!(gone.cause.contains("was taken away"), "{gone}");
        drop(links);
        assert_eq!(attach(77).1.len(), 1, "the first is gone with its link");
    });
}

#[test]
fn it_keeps_the_order_of_tcx_in_the_namespace_that_it_is_given() {
    isolated(|_| {
        if let Err(missing) = probe::tcx() {
            return kernel_support::skipped(missing);
        }
        let namespace = elsewhere(|| ip("link add elsewhere0 index 77 type veth peer name near"));
        let mut siblings: Vec<MprogMember> = Vec::new();
        let mut held = Vec::new();
        for (link_id, priority) in [(1, 50), (2, 10), (3, 30)] {
            let loaded = load(bpf::COUNTER, &[("tcx_ingress_count", ProgramKind::Tcx)]);
            let member = MprogMember {
                program_id: loaded.record(0).program_id,
                priority,
                link_id,
            };
            let job = HelperJob::CreateMprogLink {
                ifindex: 77,
                interface: "elsewhere0".into(),
                hook: MprogHook::Tcx(Direction::Ingress),
                member,
                siblings: siblings.clone(),
            };
            let beside = || [copy(&namespace), copy(&loaded.programs[0])];
            let (answer, links) = ask(HelperKind::NetworkNamespace, &job, &beside());
            assert_eq!((answer, links.len()), (HelperResult::Opened, 1));
            let twice = failure(ask(HelperKind::NetworkNamespace, &job, &beside()).0);
            assert_eq!(twice.code, FailureCode::AlreadyExists, "{twice}");
            siblings.push(member);
            siblings.sort_by_key(|sibling| sibling.priority);
            held.push((loaded, links));
        }
        let on_hook = std::sync::Mutex::new(Vec::new());
        inside(&namespace, || {
            *on_hook.lock().unwrap() = query::mprog(77, MprogHook::Tcx(Direction::Ingress))
                .unwrap()
                .programs;
        });
        let wanted: Vec<u32> = siblings.iter().map(|member| member.program_id).collect();
        assert_eq!(*on_hook.lock().unwrap(), wanted);
    });
}

#[test]
fn it_puts_programs_on_hooks_of_netfilter_in_the_namespace_that_it_is_given() {
    isolated(|_| {
        let place = NetfilterPlace {
            family: NetfilterFamily::Ipv4,
            hook: NetfilterHook::Input,
            priority: 7,
            defragment: false,
        };
        let wanted = [("netfilter_count", ProgramKind::Netfilter)];
        if let Err(missing) = probe::takes(&plan(bpf::FUNCTIONS, &wanted).programs[0]) {
            return kernel_support::skipped(&missing);
        }
        let loaded = load(bpf::FUNCTIONS, &wanted);
        let program_id = loaded.record(0).program_id;
        let namespace = elsewhere(|| {});
        let job = HelperJob::CreateNetfilterLink { place, program_id };
        let kind = HelperKind::NetworkNamespace;
        let beside = || [copy(&namespace), copy(&loaded.programs[0])];
        let (answer, links) = ask(kind, &job, &beside());
        assert_eq!((answer, links.len()), (HelperResult::Opened, 1));
        // It is in use there, and not here.
        let taken = failure(ask(kind, &job, &beside()).0);
        assert_eq!(taken.code, FailureCode::FailedPrecondition, "{taken}");
        assert!(taken.cause.contains("priority 7"), "{taken}");
        let here =
            loader_worker::hooks::netfilter::create(loaded.programs[0].as_fd(), &place, program_id);
        assert!(here.is_ok(), "{here:?}");
        drop(links);
        assert_eq!(ask(kind, &job, &beside()).1.len(), 1, "the first is gone");
        let other = failure(ask(HelperKind::PerfEvent, &job, &beside()).0);
        assert_eq!(other.code, FailureCode::Internal, "{other}");
    });
}

/// What it opened is used in this namespace, by this process, and speaks about that one.
#[test]
fn it_opens_a_netlink_socket_in_the_namespace_that_it_is_given() {
    isolated(|_| {
        ip("link add here0 index 76 type veth peer name near");
        let namespace = elsewhere(|| ip("link add elsewhere0 index 77 type veth peer name near"));
        let kind = HelperKind::NetworkNamespace;
        let (answer, opened) = ask(kind, &HelperJob::OpenNetlink, &[copy(&namespace)]);
        assert_eq!(answer, HelperResult::Opened);
        let [opened] = <[OwnedFd; 1]>::try_from(opened).unwrap();
        let socket = Socket::from(opened);
        assert!(interfaces::exists(&socket, 77).unwrap());
        assert!(!interfaces::exists(&socket, 76).unwrap());
        // It is no mere looking: the kernel counts the capability of both.
        clsact::add_qdisc(&socket, 77).unwrap();
        assert_eq!(
            clsact::qdisc(&socket, 77).unwrap(),
            Qdisc::Clsact(Blocks::default())
        );
        let own = Socket::open().unwrap();
        assert_eq!(clsact::qdisc(&own, 76).unwrap(), Qdisc::None);
        let note = |ifindex| {
            let interface = "elsewhere0".into();
            let job = HelperJob::NoteInterface { ifindex, interface };
            let beside = [copy(&namespace), witness::create().unwrap()];
            ask(kind, &job, &beside).0
        };
        assert_eq!(note(77), HelperResult::Changed);
        let gone = failure(note(76));
        assert_eq!(gone.code, FailureCode::NotFound, "{gone}");
    });
}

/// Done in this thread, where what is left of it can be seen afterwards.
#[test]
fn inside_a_namespace_it_has_one_capability_and_no_way_out() {
    isolated(|_| {
        let outside: OwnedFd = File::open("/proc/thread-self/ns/net").unwrap().into();
        let namespace = elsewhere(|| {});
        let job = HelperJob::FindInterface { name: "lo".into() };
        let kind = HelperKind::NetworkNamespace;
        loader_worker::helper::perform(kind, &job, &[namespace]).unwrap();
        let left = rustix::thread::capabilities(None).unwrap();
        let net_admin = CapabilitySet::NET_ADMIN;
        assert_eq!((left.permitted, left.effective), (net_admin, net_admin));
        assert_eq!(left.inheritable, CapabilitySet::empty());
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        assert!(status.contains("CapAmb:\t0000000000000000\n"), "{status}");
        let out = move_into_link_name_space(outside.as_fd(), Some(LinkNameSpaceType::Network));
        assert_eq!(out, Err(Errno::PERM));
    });
}

/// A job for another kind of helper is refused, and nothing is entered for it.
#[test]
fn it_does_no_other_jobs_in_a_namespace() {
    isolated(|_| {
        let namespace = elsewhere(|| {});
        let job = HelperJob::OpenUprobe {
            file_offset: 0,
            retprobe: false,
            pid: None,
        };
        let (answer, _) = ask(HelperKind::NetworkNamespace, &job, &[namespace]);
        assert_eq!(failure(answer).code, FailureCode::Internal);
    });
}

fn copy(descriptor: &OwnedFd) -> OwnedFd {
    descriptor.try_clone().unwrap()
}

fn failure(answer: HelperResult) -> Failure {
    match answer {
        HelperResult::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

#[test]
fn paths_are_opened_with_the_clients_rights_and_no_more() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: becoming other users needs root");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let chmod = |path: &std::path::Path, mode| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(path, mode).unwrap();
    };
    chmod(directory.path(), 0o755);
    let file = |name: &str, uid, gid, mode| {
        let path = directory.path().join(name);
        std::fs::write(&path, name).unwrap();
        std::os::unix::fs::chown(&path, Some(uid), Some(gid)).unwrap();
        chmod(&path, mode);
        path.to_str().unwrap().to_owned()
    };
    let (client, group, other) = (61_999, 61_998, 61_997);
    let open = |path: &str, uid, gid, groups: &[u32]| {
        let job = HelperJob::OpenPath {
            path: path.to_owned(),
            container_pid: None,
            uid,
            gid,
            groups: groups.to_vec(),
        };
        ask(HelperKind::OpenPath, &job, &[])
    };
    let own = file("own", client, client, 0o400);
    let shared = file("shared", other, group, 0o040);
    let roots = file("root's", 0, 0, 0o600);
    for (path, uid, gid, groups) in [
        (&own, client, client, vec![]),
        (&shared, client, client, vec![group, 7]),
        (&shared, client, group, vec![]),
        (&roots, 0, 0, vec![]),
    ] {
        let (answer, opened) = open(path, uid, gid, &groups);
        assert_eq!(answer, HelperResult::Opened, "{path}");
        let [opened] = <[OwnedFd; 1]>::try_from(opened).unwrap();
        let mut file = File::from(opened);
        assert!(
            std::io::Write::write_all(&mut file, b"x").is_err(),
            "{path} for writing"
        );
        let text = std::io::read_to_string(file).unwrap();
        assert!(path.ends_with(&text), "{path}");
    }
    for (path, uid, groups) in [
        (&shared, client, vec![]),
        (&roots, client, vec![0]),
        // Root's capabilities are not taken on with its user.
        (&own, 0, vec![]),
    ] {
        let (answer, _) = open(path, uid, uid, &groups);
        let HelperResult::Failed(failure) = answer else {
            panic!("{path} was opened for {uid}");
        };
        assert_eq!(failure.code, FailureCode::PermissionDenied, "{failure}");
    }
    let job = HelperJob::OpenKprobe {
        function: "do_unlinkat".to_owned(),
        offset: 0,
        retprobe: false,
    };
    let (answer, _) = ask(HelperKind::OpenPath, &job, &[]);
    assert!(matches!(answer, HelperResult::Failed(_)), "another job");
}
