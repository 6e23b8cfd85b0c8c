//! Links.

use super::report::{NONE, Section};
use super::{or_none, table};
use crate::inventory::ForeignLinkRow;
use crate::kernel_names::link_type;
use crate::parse::{TC_ACTIONS, XDP_ACTIONS};
use crate::select::application;
use crate::time::rfc3339;
use ipc::messages::attach::{Link, LinkDetails, LinkEntry, LinkNumbers, Sampling};

/// The table of `link list`.
pub(crate) fn links(
    entries: &[LinkEntry],
    foreign: &[ForeignLinkRow],
    width: Option<u16>,
) -> String {
    let with_application = entries
        .iter()
        .any(|entry| !application(&entry.program_metadata).is_empty());
    let mut headings = vec![
        "LINK ID",
        "KERNEL LINK ID",
        "KIND",
        "PROGRAM ID",
        "FUNCTION NAME",
        "ATTACHMENT",
    ];
    if with_application {
        headings.insert(4, "APPLICATION");
    }
    let row = |entry: &LinkEntry| {
        let record = &entry.record;
        let mut row = vec![
            record.id.to_string(),
            or_none(record.kernel_link_id, "<none>"),
            record.kind.to_string(),
            record.program_id.to_string(),
            entry.program_name.clone(),
            attachment(&record.details),
        ];
        if with_application {
            row.insert(4, application(&entry.program_metadata).to_owned());
        }
        row
    };
    let foreign_row = |foreign: &ForeignLinkRow| {
        let link = &foreign.link.link;
        let mut row = vec![
            "<none>".to_owned(),
            link.id.to_string(),
            link_type(link.link_type),
            or_none(
                Some(link.program_id).filter(|program| *program != 0),
                "<none>",
            ),
            foreign.program_name.clone(),
            foreign.link.attachment.clone(),
        ];
        if with_application {
            row.insert(4, String::new());
        }
        row
    };
    let rows = entries
        .iter()
        .map(row)
        .chain(foreign.iter().map(foreign_row));
    table(&headings, rows.collect(), width)
}

/// Where a link is attached, in one cell.
pub(super) fn attachment(details: &LinkDetails) -> String {
    let at = |netns: &str| {
        if netns.is_empty() {
            String::new()
        } else {
            format!(" netns={netns}")
        }
    };
    match details {
        LinkDetails::Xdp {
            interface,
            position,
            netns,
            ..
        } => {
            format!("{interface} pos-{position}{}", at(netns))
        }
        LinkDetails::XdpGuest {
            interface,
            position,
            ..
        } => format!("{interface} pos-{position} libxdp"),
        LinkDetails::Tcx {
            interface,
            direction,
            position,
            netns,
            ..
        }
        | LinkDetails::Tc {
            interface,
            direction,
            position,
            netns,
            ..
        } => {
            format!(
                "{interface} {} pos-{position}{}",
                direction.name(),
                at(netns)
            )
        }
        LinkDetails::Netkit {
            interface,
            hook,
            position,
            netns,
            ..
        } => format!("{interface} {} pos-{position}{}", hook.name(), at(netns)),
        LinkDetails::Tracepoint { group, name } => format!("{group}/{name}"),
        LinkDetails::Kprobe {
            function, offset, ..
        } => match offset {
            0 => function.clone(),
            offset => format!("{function}+{offset}"),
        },
        LinkDetails::Fentry { function } | LinkDetails::Fexit { function } => function.clone(),
        LinkDetails::Lsm { hook } => hook.clone(),
        LinkDetails::RawTracepoint { name } | LinkDetails::TpBtf { name } => name.clone(),
        LinkDetails::Iter { target } => target.clone(),
        LinkDetails::SkLookup { netns, .. } => format!("sockets{}", at(netns)),
        LinkDetails::Netfilter { place, netns, .. } => format!(
            "{} {} prio-{}{}",
            place.family.name(),
            place.hook.name(),
            place.priority,
            at(netns)
        ),
        LinkDetails::Cgroup { path, hook } => format!("{path} {hook}"),
        LinkDetails::KprobeMulti { functions, .. } => several(functions),
        LinkDetails::UprobeMulti {
            target, functions, ..
        } => format!("{target} {}", several(functions)),
        LinkDetails::Usdt {
            target,
            provider,
            name,
            ..
        } => format!("{target} {provider}:{name}"),
        LinkDetails::PerfEvent {
            event, pid, cpu, ..
        } => {
            let pid = pid.map_or_else(String::new, |pid| format!(" pid={pid}"));
            let cpu = cpu.map_or_else(String::new, |cpu| format!(" cpu={cpu}"));
            format!("{event}{pid}{cpu}")
        }
        LinkDetails::Uprobe {
            target,
            function,
            offset,
            ..
        } => match (function.as_str(), offset) {
            ("", offset) => format!("{target} +{offset}"),
            (function, 0) => format!("{target} {function}"),
            (function, offset) => format!("{target} {function}+{offset}"),
        },
    }
}

/// The first of several functions, and how many there are more.
fn several(functions: &[String]) -> String {
    match functions {
        [] => String::new(),
        [only] => only.clone(),
        [first, others @ ..] => format!("{first} and {} more", others.len()),
    }
}

/// The report of `link get`; `link attach` leaves out what the user has just said.
pub(crate) fn link(link: &Link, with_function: bool, width: Option<u16>) -> String {
    let record = &link.record;
    let metadata: Vec<String> = record
        .metadata
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let mut spec = Section::new("Spec");
    if with_function {
        spec.row("BPF Function", &link.program_name);
    }
    spec.row("Created At", rfc3339(record.created_at));
    spec.row("Kernel Link ID", or_none(record.kernel_link_id, NONE));
    spec.row("Metadata", metadata.join(", "));
    spec.row("Pin Path", &record.pin_path);
    spec.row("Program ID", record.program_id);
    spec.row("Type", record.kind);
    details(&mut spec, &record.details);

    let mut status = Section::new("Status");
    numbers(&mut status, link.numbers);
    status.row("Kernel Seen", link.kernel.is_some());
    status.row("Pin Present", link.pin_present);

    format!(
        "Link ID: {}\n{}{}",
        record.id,
        spec.render(width),
        status.render(width)
    )
}

/// What the record does not say already.
fn numbers(status: &mut Section, numbers: LinkNumbers) {
    match numbers {
        LinkNumbers::None | LinkNumbers::Netfilter { .. } => {}
        LinkNumbers::KprobeMulti { missed, .. } => status.row("Calls Missed", missed),
        LinkNumbers::Kprobe { address, missed } => {
            if address != 0 {
                status.row("Address", format!("{address:#x}"));
            }
            status.row("Calls Missed", missed);
        }
    }
}

fn details(spec: &mut Section, details: &LinkDetails) {
    match details {
        LinkDetails::Xdp {
            interface,
            priority,
            position,
            proceed_on,
            netns,
            mode,
            strategy,
            ..
        } => {
            spec.row("Interface", interface);
            spec.row("Mode", mode.name());
            spec.row("Network Namespace", netns);
            spec.row("Position", position);
            spec.row("Priority", priority);
            spec.row("Proceed On", actions(proceed_on, &XDP_ACTIONS));
            spec.row("Strategy", strategy);
        }
        LinkDetails::XdpGuest {
            interface,
            priority,
            position,
            proceed_on,
            dispatcher_id,
            mode,
            ..
        } => {
            spec.row("Cooperate", "libxdp");
            spec.row("Dispatcher ID", dispatcher_id);
            spec.row("Interface", interface);
            spec.row("Mode", mode.name());
            spec.row("Position", position);
            spec.row("Priority", priority);
            spec.row("Proceed On", actions(proceed_on, &XDP_ACTIONS));
        }
        LinkDetails::Tc {
            interface,
            direction,
            priority,
            position,
            proceed_on,
            netns,
            strategy,
            ..
        } => {
            spec.row("Direction", direction.name());
            spec.row("Interface", interface);
            spec.row("Network Namespace", netns);
            spec.row("Position", position);
            spec.row("Priority", priority);
            spec.row("Proceed On", actions(proceed_on, &TC_ACTIONS));
            spec.row("Strategy", strategy);
        }
        LinkDetails::Tcx {
            interface,
            direction,
            priority,
            position,
            netns,
            ..
        } => {
            spec.row("Direction", direction.name());
            spec.row("Interface", interface);
            spec.row("Network Namespace", netns);
            spec.row("Position", position);
            spec.row("Priority", priority);
        }
        LinkDetails::Netkit {
            interface,
            hook,
            priority,
            position,
            netns,
            ..
        } => {
            spec.row("Hook", hook.name());
            spec.row("Interface", interface);
            spec.row("Network Namespace", netns);
            spec.row("Position", position);
            spec.row("Priority", priority);
        }
        LinkDetails::Tracepoint { group, name } => {
            spec.row("Tracepoint", format!("{group}/{name}"))
        }
        LinkDetails::Kprobe {
            function,
            offset,
            retprobe,
        } => {
            let attach_type = if *retprobe { "kretprobe" } else { "kprobe" };
            spec.row("Attach Type", attach_type);
            spec.row("Target Function", function);
            if *offset != 0 {
                spec.row("Target Offset", offset);
            }
        }
        LinkDetails::Fentry { function } | LinkDetails::Fexit { function } => {
            spec.row("Target Function", function);
        }
        LinkDetails::Lsm { hook } => spec.row("LSM Hook", hook),
        LinkDetails::RawTracepoint { name } | LinkDetails::TpBtf { name } => {
            spec.row("Tracepoint", name);
        }
        LinkDetails::Iter { target } => spec.row("Iterator", target),
        LinkDetails::SkLookup { netns, .. } => spec.row("Network Namespace", netns),
        LinkDetails::KprobeMulti {
            functions,
            retprobe,
        } => {
            spec.row("At Return", retprobe);
            spec.row("Target Functions", functions.join(", "));
        }
        LinkDetails::UprobeMulti {
            target,
            path,
            functions,
            pid,
            retprobe,
            container_pid,
        } => {
            spec.row("At Return", retprobe);
            spec.row("Target Functions", functions.join(", "));
            binary(spec, target, path, *pid, *container_pid);
        }
        LinkDetails::Usdt {
            target,
            path,
            provider,
            name,
            pid,
            places,
            container_pid,
        } => {
            spec.row("Places", places);
            spec.row("Probe", format!("{provider}:{name}"));
            binary(spec, target, path, *pid, *container_pid);
        }
        LinkDetails::PerfEvent {
            event,
            sampling,
            pid,
            cpu,
        } => {
            if let Some(cpu) = cpu {
                spec.row("CPU", cpu);
            }
            spec.row("Event", event);
            match sampling {
                Sampling::Period(period) => spec.row("Period", period),
                Sampling::Frequency(frequency) => spec.row("Frequency", frequency),
            }
            if let Some(pid) = pid {
                spec.row("PID", pid);
            }
        }
        LinkDetails::Netfilter { place, netns, .. } => {
            spec.row("Defragmented", place.defragment);
            spec.row("Family", place.family.name());
            spec.row("Hook", place.hook.name());
            spec.row("Network Namespace", netns);
            spec.row("Priority", place.priority);
        }
        LinkDetails::Cgroup { path, hook } => {
            spec.row("Attach Type", hook);
            spec.row("Control Group", path);
        }
        LinkDetails::Uprobe {
            target,
            path,
            function,
            offset,
            pid,
            retprobe,
            container_pid,
            file_offset: _,
        } => {
            spec.row(
                "Attach Type",
                if *retprobe { "uretprobe" } else { "uprobe" },
            );
            spec.row("Target Function", function);
            if *offset != 0 {
                spec.row("Target Offset", offset);
            }
            binary(spec, target, path, *pid, *container_pid);
        }
    }
}

/// A binary or library, of one process or all.
fn binary(spec: &mut Section, target: &str, path: &str, pid: i32, container_pid: i32) {
    spec.row("Target", target);
    // What a library's name was resolved to.
    if path != target {
        spec.row("Target Path", path);
    }
    if pid != 0 {
        spec.row("PID", pid);
    }
    if container_pid != 0 {
        spec.row("Container PID", container_pid);
    }
}

fn actions(numbers: &[i32], known: &[(&str, i32)]) -> String {
    let name = |number: &i32| {
        let action = known.iter().find(|(_, known)| known == number);
        action.map_or_else(|| number.to_string(), |(name, _)| (*name).to_owned())
    };
    numbers.iter().map(name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::rows;
    use crate::samples;
    use crate::select::APPLICATION;

    #[test]
    fn lists() {
        let mut entries: Vec<LinkEntry> = samples::links()
            .into_iter()
            .map(samples::entry_of)
            .collect();
        entries.push(samples::entry_of(samples::uprobe_link("malloc", 4)));
        entries[0].record.kernel_link_id = None;
        insta::assert_snapshot!(links(&entries, &[], None));
        entries[1]
            .program_metadata
            .insert(APPLICATION.to_owned(), "shop".to_owned());
        insta::assert_snapshot!(links(&entries, &[rows::foreign_link()], None));
        assert_eq!(links(&[], &[], None), "");
    }

    #[test]
    fn every_kind() {
        let mut all = samples::links();
        all.push(samples::uprobe_link("malloc", 4));
        let text: Vec<String> = all.iter().map(|sample| link(sample, true, None)).collect();
        insta::assert_snapshot!(text.join("\n"));
    }

    #[test]
    fn an_attach_does_not_repeat_the_function() {
        let sample = samples::xdp_link();
        assert!(link(&sample, true, None).contains("BPF Function:"));
        assert!(!link(&sample, false, None).contains("BPF Function:"));
    }
}
