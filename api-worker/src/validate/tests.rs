//! What is refused before anybody is asked, at each bound and past it.

use super::*;
use ipc::messages::attach::Direction;
use ipc::messages::mprog::NetkitHook;
use ipc::messages::netfilter::{NetfilterFamily, NetfilterHook, NetfilterPlace};
use ipc::messages::program::{GlobalType, ProgramRequest};

fn request(kind: ProgramKind) -> ProgramRequest {
    ProgramRequest {
        name: "count".to_owned(),
        kind,
        attach_function: None,
    }
}

fn options() -> LoadOptions {
    LoadOptions {
        programs: vec![request(ProgramKind::Tcx)],
        metadata: BTreeMap::new(),
        globals: Vec::new(),
        map_owner: None,
        maps_mode: None,
        maps_group: None,
        source: Source::File("counter.bpf.o".to_owned()),
    }
}

fn cause(result: Result<(), Failure>) -> String {
    let failure = result.unwrap_err();
    assert_eq!(
        (failure.code, failure.stage),
        (FailureCode::InvalidArgument, Stage::Request)
    );
    failure.cause
}

#[test]
fn a_type_belongs_to_one_value() {
    let value = |name: &str| GlobalValue {
        name: name.to_owned(),
        bytes: vec![0],
    };
    let typed = TypedGlobal {
        name: "limit".to_owned(),
        given_as: GlobalType::U8,
    };
    let check = |globals: Vec<GlobalValue>, types: &[TypedGlobal]| {
        let options = LoadOptions {
            globals,
            ..options()
        };
        super::types(&options, types)
    };
    let one = std::slice::from_ref(&typed);
    assert_eq!(check(vec![value("limit"), value("other")], one), Ok(()));
    assert!(cause(check(vec![value("other")], one)).contains("no value"));
    assert!(cause(check(vec![value("limit"), value("limit")], one)).contains("two values"));
    let many = vec![typed; GLOBALS + 1];
    assert!(cause(check(vec![value("limit")], &many)).contains("allowed"));
}

#[test]
fn a_plain_load_is_fine() {
    assert_eq!(load(&options()), Ok(()));
}

#[test]
fn each_bound_holds_at_the_limit_and_not_past_it() {
    let mut at = options();
    at.programs = vec![request(ProgramKind::Tcx); LOAD_PROGRAMS];
    at.metadata = (0..METADATA_ENTRIES)
        .map(|n| (n.to_string(), "v".repeat(METADATA_BYTES)))
        .collect();
    at.globals = vec![
        GlobalValue {
            name: "g".repeat(NAME_BYTES),
            bytes: vec![1]
        };
        GLOBALS
    ];
    at.source = Source::File("p".repeat(PATH_BYTES));
    at.maps_mode = Some(0o666);
    assert_eq!(load(&at), Ok(()));

    let past = |change: fn(&mut LoadOptions)| {
        let mut past = at.clone();
        change(&mut past);
        cause(load(&past))
    };
    assert!(past(|o| o.programs.push(request(ProgramKind::Tcx))).contains("programs"));
    assert!(
        past(|o| drop(o.metadata.insert("one more".to_owned(), String::new())))
            .contains("metadata entries")
    );
    assert!(
        past(|o| drop(
            o.metadata
                .insert("0".to_owned(), "v".repeat(METADATA_BYTES + 1))
        ))
        .contains("value")
    );
    assert!(
        past(|o| o.globals.push(GlobalValue {
            name: "g".to_owned(),
            bytes: vec![]
        }))
        .contains("global")
    );
    assert!(past(|o| o.globals[0].name.push('g')).contains("name of a global"));
    assert!(past(|o| o.source = Source::File("p".repeat(PATH_BYTES + 1))).contains("source path"));
    assert!(past(|o| o.maps_mode = Some(0o1000)).contains("1000"));
    assert!(past(|o| o.maps_mode = Some(0o700)).contains("700"));
}

#[test]
fn a_load_without_programs_or_with_a_nameless_one_is_refused() {
    let mut none = options();
    none.programs.clear();
    assert_eq!(cause(load(&none)), "no program is named");
    let mut nameless = options();
    nameless.programs[0].name.clear();
    assert_eq!(cause(load(&nameless)), "a program name is empty");
    let mut aimless = options();
    aimless.programs[0].kind = ProgramKind::Fentry;
    assert!(cause(load(&aimless)).contains("names no function"));
}

#[test]
fn descriptors_are_for_uprobes_and_for_nothing_else() {
    let tcx = AttachSpec::Tcx {
        interface: "eth0".to_owned(),
        direction: Direction::Ingress,
        priority: 0,
    };
    assert_eq!(attach(&tcx, 0), Ok(()));
    assert!(cause(attach(&tcx, 1)).contains("descriptors"));
    let uprobe = AttachSpec::Uprobe {
        target: "libc".to_owned(),
        path: "/lib/libc.so.6".to_owned(),
        function: Some("malloc".to_owned()),
        offset: 0,
        pid: None,
        container_pid: None,
    };
    assert_eq!(attach(&uprobe, 1), Ok(()));
    assert!(cause(attach(&uprobe, 0)).contains("descriptors"));
}

#[test]
fn network_namespaces_are_for_hooks_of_the_network() {
    let tcx = |interface: &str| AttachSpec::Tcx {
        interface: interface.to_owned(),
        direction: Direction::Ingress,
        priority: 0,
    };
    let netns = "/run/netns/blue";
    assert_eq!(attach_in_namespace(&tcx("eth0"), netns), Ok(()));
    let tc = AttachSpec::Tc {
        interface: "eth0".into(),
        direction: Direction::Ingress,
        priority: 50,
        proceed_on: Vec::new(),
        strategy: None,
    };
    assert_eq!(attach_in_namespace(&tc, netns), Ok(()));
    assert_eq!(attach_in_namespace(&AttachSpec::SkLookup, netns), Ok(()));
    assert!(cause(attach_in_namespace(&tcx(""), netns)).contains("interface name"));
    let lsm = cause(attach_in_namespace(&AttachSpec::Lsm, netns));
    assert_eq!(lsm, "the hook of a lsm attach is in no network namespace");
    let long = "p".repeat(PATH_BYTES + 1);
    assert!(cause(attach_in_namespace(&tcx("eth0"), &long)).contains("network namespace"));
    assert!(cause(attach_in_namespace(&tcx("eth0"), "a\0b")).contains("NUL"));
}

#[test]
fn hopeless_attachments_are_refused_here() {
    let tcx = |priority| AttachSpec::Tcx {
        interface: "lo".to_owned(),
        direction: Direction::Egress,
        priority,
    };
    assert!(cause(attach(&tcx(-1), 0)).contains("negative"));
    let xdp = AttachSpec::Xdp {
        interface: "lo".to_owned(),
        priority: 0,
        proceed_on: vec![2, 5],
        strategy: None,
    };
    assert!(cause(attach(&xdp, 0)).contains("5 is no XDP verdict"));
    let guest = |priority, proceed_on| AttachSpec::XdpGuest {
        interface: "lo".to_owned(),
        priority,
        proceed_on,
    };
    assert_eq!(attach(&guest(0, vec![2, 31]), 0), Ok(()));
    assert!(cause(attach(&guest(0, vec![2, 5]), 0)).contains("5 is no XDP verdict"));
    assert!(cause(attach(&guest(-1, vec![]), 0)).contains("negative"));
    let tc = AttachSpec::Tc {
        interface: "lo".to_owned(),
        direction: Direction::Egress,
        priority: 0,
        proceed_on: vec![-1, 8, 31],
        strategy: None,
    };
    assert!(cause(attach(&tc, 0)).contains("31 is no TC verdict"));
    let tracepoint = AttachSpec::Tracepoint {
        group: "..".to_owned(),
        name: "x".to_owned(),
    };
    assert!(cause(attach(&tracepoint, 0)).contains("no tracepoint"));
    let kprobe = |function: &str| AttachSpec::Kprobe {
        function: function.to_owned(),
        offset: 0,
    };
    assert_eq!(attach(&kprobe("do_unlinkat"), 0), Ok(()));
    assert!(cause(attach(&kprobe(""), 0)).contains("function name is empty"));
    assert!(cause(attach(&kprobe("a\0"), 0)).contains("NUL"));
    assert_eq!(attach(&AttachSpec::Lsm, 0), Ok(()));
    assert!(cause(attach(&AttachSpec::Fentry, 1)).contains("descriptors"));
    let cgroup = |kind, path: &str| AttachSpec::Cgroup {
        kind,
        path: path.to_owned(),
    };
    let skb = ProgramKind::CgroupSkb;
    assert_eq!(attach(&cgroup(skb, "/sys/fs/cgroup/a"), 1), Ok(()));
    assert!(cause(attach(&cgroup(skb, "/a"), 0)).contains("descriptors"));
    assert!(cause(attach(&cgroup(ProgramKind::Xdp, "/a"), 1)).contains("no control group"));
    let netkit = |interface: &str, priority| AttachSpec::Netkit {
        interface: interface.into(),
        hook: NetkitHook::Peer,
        priority,
    };
    assert_eq!(attach(&netkit("nk0", 0), 0), Ok(()));
    assert!(cause(attach(&netkit("nk0", -1), 0)).contains("negative"));
    assert!(cause(attach(&netkit("", 0), 0)).contains("interface name"));
    assert!(cause(attach(&netkit("nk0", 0), 1)).contains("descriptors"));
    let netfilter = |priority, defragment| {
        AttachSpec::Netfilter(NetfilterPlace {
            family: NetfilterFamily::Ipv4,
            hook: NetfilterHook::Output,
            priority,
            defragment,
        })
    };
    assert_eq!(attach(&netfilter(i32::MIN + 1, false), 0), Ok(()));
    assert!(cause(attach(&netfilter(i32::MIN, false), 0)).contains("the kernel's own"));
    assert!(cause(attach(&netfilter(i32::MAX, false), 0)).contains("the kernel's own"));
    assert!(cause(attach(&netfilter(-400, true), 0)).contains("not after -400"));
    assert!(cause(attach(&netfilter(0, false), 1)).contains("descriptors"));
    let multi = |functions: &[&str]| AttachSpec::KprobeMulti {
        functions: functions.iter().map(ToString::to_string).collect(),
    };
    let many: Vec<String> = (0..=PROBE_PLACES)
        .map(|number| format!("f{number}"))
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(attach(&multi(&many[1..]), 0), Ok(()));
    assert!(cause(attach(&multi(&many), 0)).contains("functions of one link"));
    assert!(cause(attach(&multi(&[]), 0)).contains("no function"));
    assert!(cause(attach(&multi(&["a", "b", "a"]), 0)).contains("twice"));
    let usdt_in = |container_pid, provider: &str, pid| AttachSpec::Usdt {
        target: "t".to_owned(),
        path: "/t".to_owned(),
        provider: provider.to_owned(),
        name: "n".to_owned(),
        pid,
        container_pid,
    };
    let usdt = |provider, pid| usdt_in(None, provider, pid);
    assert_eq!(attach(&usdt("p", None), 1), Ok(()));
    assert!(cause(attach(&usdt("p", None), 0)).contains("descriptors"));
    assert!(cause(attach(&usdt("", None), 1)).contains("provider"));
    assert!(cause(attach(&usdt("p", Some(0)), 1)).contains("pid 0"));
    assert!(cause(attach(&usdt_in(Some(0), "p", None), 1)).contains("container pid 0"));
    let event = |sampling, pid, cpu| AttachSpec::PerfEvent {
        event: "cpu-clock".to_owned(),
        sampling,
        pid,
        cpu,
    };
    let often = Sampling::Frequency(1);
    assert_eq!(attach(&event(often, Some(1), None), 0), Ok(()));
    assert_eq!(attach(&event(often, None, Some(0)), 0), Ok(()));
    assert!(cause(attach(&event(often, None, None), 0)).contains("neither"));
    assert!(cause(attach(&event(often, Some(0), None), 0)).contains("pid 0"));
    assert!(cause(attach(&event(Sampling::Period(0), Some(1), None), 0)).contains("of 0"));
    let long = "p".repeat(PATH_BYTES + 1);
    assert!(cause(attach(&cgroup(skb, &long), 1)).contains("control group"));
    let uprobe = |pid, offset| AttachSpec::Uprobe {
        target: "t".to_owned(),
        path: "/t".to_owned(),
        function: None,
        offset,
        pid,
        container_pid: None,
    };
    assert!(cause(attach(&uprobe(None, 0), 1)).contains("neither"));
    assert!(cause(attach(&uprobe(Some(-3), 8), 1)).contains("pid -3"));
    let long = "i".repeat(NAME_BYTES + 1);
    let tcx = AttachSpec::Tcx {
        interface: long,
        direction: Direction::Ingress,
        priority: 0,
    };
    assert!(cause(attach(&tcx, 0)).contains("interface name"));
}

#[test]
fn a_namespace_to_look_into_comes_with_its_file() {
    assert_eq!(hooks("eth0", None, 0), Ok(()));
    assert_eq!(hooks("eth0", Some("/run/netns/a"), 1), Ok(()));
    assert!(cause(hooks("", None, 0)).contains("interface"));
    for (netns, descriptors) in [(None, 1), (Some("/run/netns/a"), 0)] {
        assert!(cause(hooks("eth0", netns, descriptors)).contains("with neither"));
    }
    let long = "p".repeat(PATH_BYTES + 1);
    assert!(cause(hooks("eth0", Some(&long), 1)).contains("network namespace"));
}
