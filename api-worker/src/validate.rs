//! What is checked of a client's request before any other worker hears of it: counts, lengths, shapes.
//!
//! Nothing here decides about rights or looks at state.

use ipc::limits::{
    GLOBALS, LOAD_PROGRAMS, METADATA_BYTES, METADATA_ENTRIES, NAME_BYTES, OBJECT_BYTES, PATH_BYTES,
};
use ipc::messages::attach::{AttachSpec, Sampling};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::program::{LoadOptions, MAPS_MODE_BITS, ProgramKind, Source};
use std::collections::BTreeMap;

fn invalid(cause: impl Into<String>) -> Failure {
    Failure::new(FailureCode::InvalidArgument, Stage::Request, cause)
}

fn bounded(what: &str, count: usize, limit: usize) -> Result<(), Failure> {
    if count > limit {
        Err(invalid(format!("{count} {what}, {limit} allowed")))
    } else {
        Ok(())
    }
}

fn name(what: &str, name: &str) -> Result<(), Failure> {
    if name.is_empty() {
        return Err(invalid(format!("{what} is empty")));
    }
    if name.contains('\0') {
        return Err(invalid(format!("{what} contains a NUL")));
    }
    bounded(&format!("bytes of {what}"), name.len(), NAME_BYTES)
}

fn path(what: &str, path: &str) -> Result<(), Failure> {
    if path.contains('\0') {
        return Err(invalid(format!("{what} contains a NUL")));
    }
    bounded(&format!("bytes of {what}"), path.len(), PATH_BYTES)
}

/// Labels.
///
/// # Errors
///
/// `InvalidArgument` past a bound.
pub fn metadata(metadata: &BTreeMap<String, String>) -> Result<(), Failure> {
    bounded("metadata entries", metadata.len(), METADATA_ENTRIES)?;
    for (key, value) in metadata {
        if key.is_empty() {
            return Err(invalid("a metadata key is empty"));
        }
        bounded("bytes of a metadata key", key.len(), METADATA_BYTES)?;
        bounded(
            &format!("bytes of the metadata value of \"{key}\""),
            value.len(),
            METADATA_BYTES,
        )?;
    }
    Ok(())
}

/// A load request.
///
/// # Errors
///
/// `InvalidArgument` naming what is wrong.
pub fn load(options: &LoadOptions) -> Result<(), Failure> {
    if options.programs.is_empty() {
        return Err(invalid("no program is named").remedy("name at least one as TYPE:NAME"));
    }
    bounded(
        "programs in one load",
        options.programs.len(),
        LOAD_PROGRAMS,
    )?;
    for program in &options.programs {
        name("a program name", &program.name)?;
        match (program.kind, &program.attach_function) {
            (ProgramKind::Fentry | ProgramKind::Fexit | ProgramKind::Lsm, None) => {
                return Err(invalid(format!(
                    "{} program \"{}\" names no function",
                    program.kind, program.name
                ))
                .remedy("give it as TYPE:NAME:FUNCTION"));
            }
            (_, Some(function)) => name("an attach function", function)?,
            (_, None) => {}
        }
    }
    metadata(&options.metadata)?;
    bounded("global variables", options.globals.len(), GLOBALS)?;
    for global in &options.globals {
        name("the name of a global variable", &global.name)?;
        bounded(
            "bytes of a global variable",
            global.bytes.len(),
            OBJECT_BYTES as usize,
        )?;
    }
    if let Some(mode) = options.maps_mode
        && mode & !MAPS_MODE_BITS != 0
    {
        return Err(invalid(format!("{mode:o} is no mode for map pins"))
            .remedy("use a mode made of read and write bits, such as 0640"));
    }
    match &options.source {
        Source::File(source) => path("the source path", source),
    }
}

/// Checks the name of an interface.
pub fn interface(interface: &str) -> Result<(), Failure> {
    name("the interface name", interface)
}

/// An attach request and the descriptors beside it.
///
/// # Errors
///
/// `InvalidArgument` naming what is wrong.
pub fn attach(spec: &AttachSpec, descriptors: usize) -> Result<(), Failure> {
    let wanted = usize::from(matches!(
        spec,
        AttachSpec::Uprobe { .. } | AttachSpec::Cgroup { .. }
    ));
    if descriptors != wanted {
        return Err(invalid(format!(
            "{descriptors} descriptors beside a {} attach, {wanted} needed",
            spec.name()
        )));
    }
    match spec {
        AttachSpec::Tcx {
            interface,
            priority,
            ..
        }
        | AttachSpec::Xdp {
            interface,
            priority,
            ..
        }
        | AttachSpec::Tc {
            interface,
            priority,
            ..
        } => {
            self::interface(interface)?;
            if *priority < 0 {
                return Err(invalid(format!("priority {priority} is negative"))
                    .remedy("use 0 or more; lower runs first"));
            }
            if let AttachSpec::Xdp { proceed_on, .. } = spec
                && let Some(unknown) = proceed_on
                    .iter()
                    .find(|action| !matches!(action, 0..=4 | 31))
            {
                return Err(invalid(format!("{unknown} is no XDP verdict"))
                    .remedy("verdicts are aborted, drop, pass, tx, redirect, dispatcher_return"));
            }
            if let AttachSpec::Tc { proceed_on, .. } = spec
                && let Some(unknown) = proceed_on
                    .iter()
                    .find(|action| !matches!(action, -1..=8 | 30))
            {
                return Err(invalid(format!("{unknown} is no TC verdict")).remedy(
                    "verdicts are unspec, ok, reclassify, shot, pipe, stolen, queued, repeat, redirect, trap, \
                     dispatcher_return",
                ));
            }
            Ok(())
        }
        AttachSpec::Tracepoint {
            group,
            name: tracepoint,
        } => {
            name("the tracepoint group", group)?;
            name("the tracepoint name", tracepoint)?;
            for part in [group, tracepoint] {
                if part.contains('/')
                    || part.chars().any(char::is_whitespace)
                    || part.starts_with('.')
                {
                    return Err(
                        invalid(format!("\"{group}/{tracepoint}\" is no tracepoint"))
                            .remedy("give it as GROUP/NAME, for example syscalls/sys_enter_openat"),
                    );
                }
            }
            Ok(())
        }
        AttachSpec::Kprobe { function, .. } => name("the function name", function),
        AttachSpec::RawTracepoint { name: tracepoint } => name("the tracepoint name", tracepoint),
        AttachSpec::Fentry
        | AttachSpec::Fexit
        | AttachSpec::Lsm
        | AttachSpec::TpBtf
        | AttachSpec::Iter
        | AttachSpec::SkLookup => Ok(()),
        AttachSpec::PerfEvent {
            event,
            sampling,
            pid,
            cpu,
        } => {
            name("the event name", event)?;
            if matches!(sampling, Sampling::Period(0) | Sampling::Frequency(0)) {
                return Err(invalid("a sampling of 0 takes no samples").remedy("give 1 or more"));
            }
            if pid.is_none() && cpu.is_none() {
                return Err(invalid("neither a process nor a CPU is given")
                    .remedy("give --pid or --cpu; attach once for each CPU"));
            }
            positive("pid", *pid)
        }
        AttachSpec::Cgroup { kind, path: opened } => {
            if !kind.is_cgroup() {
                return Err(invalid(format!("{kind} programs run in no control group")));
            }
            path("the path of the control group", opened)
        }
        AttachSpec::Uprobe {
            target,
            path: opened,
            function,
            offset,
            pid,
            container_pid,
        } => {
            path("the target", target)?;
            path("the path of the target", opened)?;
            if target.is_empty() {
                return Err(
                    invalid("the uprobe target is empty").remedy("give a path or a library name")
                );
            }
            match function {
                Some(function) => name("the function name", function)?,
                None if *offset == 0 => {
                    return Err(invalid("neither a function nor an offset is given")
                        .remedy("give --fn-name, --offset, or both"));
                }
                None => {}
            }
            positive("pid", *pid)?;
            positive("container pid", *container_pid)
        }
    }
}

fn positive(what: &str, value: Option<i32>) -> Result<(), Failure> {
    match value {
        Some(value) if value <= 0 => Err(invalid(format!("{what} {value} is not positive"))),
        _ => Ok(()),
    }
}

/// An attach request for another network namespace, whose file is the one descriptor beside it.
///
/// # Errors
///
/// `InvalidArgument` naming what is wrong.
pub fn attach_in_namespace(spec: &AttachSpec, netns: &str) -> Result<(), Failure> {
    if !spec.is_in_network_namespace() {
        return Err(invalid(format!(
            "the hook of a {} attach is in no network namespace",
            spec.name()
        ))
        .remedy("leave the network namespace out"));
    }
    path("the path of the network namespace", netns)?;
    attach(spec, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::messages::attach::Direction;
    use ipc::messages::program::{GlobalValue, ProgramRequest};

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
        assert!(
            past(|o| o.source = Source::File("p".repeat(PATH_BYTES + 1))).contains("source path")
        );
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
}
