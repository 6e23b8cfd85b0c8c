//! What is checked of a client's request before any other worker hears of it: counts, lengths, shapes.
//!
//! Nothing here decides about rights or looks at state.

use ipc::limits::{
    GLOBALS, LOAD_PROGRAMS, METADATA_BYTES, METADATA_ENTRIES, NAME_BYTES, OBJECT_BYTES, PATH_BYTES,
    PROBE_PLACES, REFERENCE_BYTES,
};
use ipc::messages::attach::{AttachSpec, Sampling};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::program::{
    GlobalValue, LoadOptions, MAPS_MODE_BITS, ProgramKind, Source, TypedGlobal,
};
use ipc::messages::pull::ImageSource;
use std::collections::{BTreeMap, BTreeSet};

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

/// The types of values in a load request: each belongs to one value.
///
/// # Errors
///
/// `InvalidArgument` naming what is wrong.
pub fn types(options: &LoadOptions, types: &[TypedGlobal]) -> Result<(), Failure> {
    bounded("types of global variables", types.len(), GLOBALS)?;
    for typed in types {
        let of = |global: &&GlobalValue| global.name == typed.name;
        match options.globals.iter().filter(of).count() {
            1 => {}
            0 => {
                return Err(invalid(format!(
                    "\"{}\" has a type and no value",
                    typed.name
                )));
            }
            _ => {
                return Err(
                    invalid(format!("\"{}\" has a type and two values", typed.name))
                        .remedy("set each global variable once"),
                );
            }
        }
    }
    Ok(())
}

/// A load request for an image.
///
/// # Errors
///
/// `InvalidArgument` naming what is wrong.
pub fn load_image(options: &LoadOptions) -> Result<&ImageSource, Failure> {
    check_options(options)?;
    match &options.source {
        // What it turns out to be is for the image worker to say.
        Source::Image(source) if source.origin.is_none() => {
            reference(&source.url)?;
            Ok(source)
        }
        _ => Err(invalid("the source is no image to be fetched")),
    }
}

/// A reference to an image, as far as its length goes: what it means is for the image worker.
///
/// # Errors
///
/// `InvalidArgument` past a bound.
pub fn reference(reference: &str) -> Result<(), Failure> {
    if reference.is_empty() {
        return Err(invalid("the image reference is empty"));
    }
    bounded(
        "bytes of an image reference",
        reference.len(),
        REFERENCE_BYTES,
    )
}

/// A load request for a file.
///
/// # Errors
///
/// `InvalidArgument` naming what is wrong.
pub fn load(options: &LoadOptions) -> Result<(), Failure> {
    check_options(options)?;
    let Source::File(source) = &options.source else {
        return Err(invalid("the source is no file"));
    };
    path("the source path", source)
}

fn check_options(options: &LoadOptions) -> Result<(), Failure> {
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
    Ok(())
}

/// Checks the name of an interface, and what is said of the network namespace that it is in.
///
/// # Errors
///
/// `InvalidArgument` naming what is wrong.
pub fn hooks(name: &str, netns: Option<&str>, descriptors: usize) -> Result<(), Failure> {
    interface(name)?;
    if descriptors != usize::from(netns.is_some()) {
        return Err(invalid(
            "a network namespace goes with its file and its path, or with neither",
        ));
    }
    netns.map_or(Ok(()), |netns| {
        path("the path of the network namespace", netns)
    })
}

fn interface(interface: &str) -> Result<(), Failure> {
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
        AttachSpec::Uprobe { .. }
            | AttachSpec::UprobeMulti { .. }
            | AttachSpec::Usdt { .. }
            | AttachSpec::Cgroup { .. }
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
        | AttachSpec::XdpGuest {
            interface,
            priority,
            ..
        }
        | AttachSpec::Tc {
            interface,
            priority,
            ..
        }
        | AttachSpec::Netkit {
            interface,
            priority,
            ..
        } => {
            self::interface(interface)?;
            if *priority < 0 {
                return Err(invalid(format!("priority {priority} is negative"))
                    .remedy("use 0 or more; lower runs first"));
            }
            if let AttachSpec::Xdp { proceed_on, .. } | AttachSpec::XdpGuest { proceed_on, .. } =
                spec
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
        AttachSpec::Netfilter(place) => match place.out_of_range() {
            Some(cause) => Err(invalid(cause).remedy("lower priorities run first")),
            None => Ok(()),
        },
        AttachSpec::KprobeMulti { functions } => probed(functions),
        AttachSpec::UprobeMulti {
            target,
            path: opened,
            functions,
            pid,
            container_pid,
        } => {
            path("the target", target)?;
            path("the path of the target", opened)?;
            probed(functions)?;
            positive("pid", *pid)?;
            positive("container pid", *container_pid)
        }
        AttachSpec::Usdt {
            target,
            path: opened,
            provider,
            name: probe,
            pid,
            container_pid,
        } => {
            path("the target", target)?;
            path("the path of the target", opened)?;
            name("the provider of the probe", provider)?;
            name("the name of the probe", probe)?;
            positive("pid", *pid)?;
            positive("container pid", *container_pid)
        }
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

/// Functions of one link, each once.
fn probed(functions: &[String]) -> Result<(), Failure> {
    if functions.is_empty() {
        return Err(invalid("no function is named").remedy("name at least one"));
    }
    bounded("functions of one link", functions.len(), PROBE_PLACES)?;
    let mut seen = BTreeSet::new();
    for function in functions {
        name("the function name", function)?;
        if !seen.insert(function) {
            return Err(invalid(format!("function \"{function}\" is named twice")));
        }
    }
    Ok(())
}

/// The name of a library that is to be found.
///
/// # Errors
///
/// `InvalidArgument` naming what is wrong.
pub fn library(text: &str) -> Result<(), Failure> {
    name("the target", text)
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
mod tests;
