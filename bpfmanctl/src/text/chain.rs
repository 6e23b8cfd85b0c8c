//! Dispatchers as tables, chains as drawings.

use super::report::NONE;
use super::{labelled, or_none, table};
use crate::console::printable;
use crate::parse::{TC_ACTIONS, XDP_ACTIONS};
use ipc::messages::chain::{
    Chain, Dispatcher, DispatcherMember, HookEntry, HookKind, HookView, InterfaceHook,
    OTHER_VERDICT, SlotCounters,
};

/// The table of `dispatcher list`.
pub(crate) fn dispatchers(dispatchers: &[Dispatcher], width: Option<u16>) -> String {
    let headings = [
        "TYPE",
        "NSID",
        "IFINDEX",
        "REVISION",
        "PROGRAM ID",
        "KERNEL LINK ID",
        "PRIORITY",
        "HANDLE",
        "MEMBERS",
        "NETNS",
        // Not the established command's: after what scripts count.
        "STRATEGY",
    ];
    let row = |dispatcher: &Dispatcher| {
        let key = dispatcher.key;
        vec![
            key.kind.to_string(),
            key.nsid.to_string(),
            key.ifindex.to_string(),
            dispatcher.revision.to_string(),
            dispatcher.program_id.to_string(),
            or_none(dispatcher.kernel_link_id, "-"),
            or_none(dispatcher.filter.map(|filter| filter.priority), "-"),
            or_none(
                dispatcher
                    .filter
                    .map(|filter| format!("{:#x}", filter.handle)),
                "-",
            ),
            dispatcher.member_count.to_string(),
            or_none(Some(&dispatcher.netns).filter(|path| !path.is_empty()), "-"),
            dispatcher.strategy.to_string(),
        ]
    };
    table(&headings, dispatchers.iter().map(row).collect(), width)
}

/// The report of `dispatcher get`.
pub(crate) fn dispatcher(chain: &Chain, width: Option<u16>) -> String {
    let dispatcher = &chain.dispatcher;
    let key = dispatcher.key;
    let mut rows = vec![
        (
            "Filter Handle",
            dispatcher
                .filter
                .map(|filter| format!("{:#x}", filter.handle)),
        ),
        (
            "Kernel Link ID",
            dispatcher.kernel_link_id.map(|id| id.to_string()),
        ),
        ("Mode", dispatcher.mode.map(|mode| mode.name().to_owned())),
        (
            "Priority",
            dispatcher.filter.map(|filter| filter.priority.to_string()),
        ),
    ];
    rows.retain(|(_, value)| value.is_some());
    rows.push(("Program ID", Some(dispatcher.program_id.to_string())));
    rows.push(("Revision", Some(dispatcher.revision.to_string())));
    rows.push((
        "Strategy",
        Some(format!("{} ({})", dispatcher.strategy, dispatcher.reason)),
    ));
    rows.sort_by_key(|(label, _)| *label);
    let rows = rows
        .into_iter()
        .map(|(label, value)| vec![format!("{label}:"), value.unwrap_or_default()])
        .collect();
    let most = match dispatcher.strategy {
        ipc::messages::chain::Strategy::Direct => 1,
        ipc::messages::chain::Strategy::Libxdp => 10,
        ipc::messages::chain::Strategy::Fused => 64,
    };
    let headings = [
        "POS",
        "PRIORITY",
        "PROGRAM ID",
        "FUNCTION NAME",
        "LINK ID",
        "KERNEL LINK ID",
        "PROCEED ON",
    ];
    let row = |member: &DispatcherMember| {
        vec![
            member.position.to_string(),
            member.priority.to_string(),
            member.program_id.to_string(),
            member.program_name.clone(),
            member.link_id.to_string(),
            or_none(member.kernel_link_id, "<none>"),
            proceed_on(key.kind, member.proceed_on),
        ]
    };
    format!(
        "Dispatcher: {} nsid={} ifindex={}\n{}Members ({}/{most}):\n{}",
        key.kind,
        key.nsid,
        key.ifindex,
        labelled(rows, 2, width),
        chain.members.len(),
        table(&headings, chain.members.iter().map(row).collect(), width)
    )
}

/// The drawing of `chain show`.
pub(crate) fn chains(interface: &str, hooks: &[HookView], width: Option<u16>) -> String {
    draw(interface, hooks, width, |view, index, entry| {
        match &entry.member {
            Some(member) => {
                let hook = view.hook;
                let mut words = vec![format!("priority {}", member.priority)];
                if let Some(kind) = kind(hook) {
                    words.push(format!(
                        "goes on after {}",
                        proceed_on(kind, member.proceed_on)
                    ));
                }
                words.push(format!(
                    "program {}, link {}",
                    entry.program_id, member.link_id
                ));
                if let (Some(counters), Some(kind)) = (&member.counters, kind(hook)) {
                    words.push(counted(kind, counters));
                }
                if entry.has_moved {
                    words.push(entry.reason.clone());
                }
                words.join("; ")
            }
            None => foreign(view, index, entry),
        }
    })
}

/// The drawing of `chain explain`.
pub(crate) fn explanation(interface: &str, hooks: &[HookView], width: Option<u16>) -> String {
    draw(interface, hooks, width, |_, _, entry| entry.reason.clone())
}

fn foreign(view: &HookView, index: usize, entry: &HookEntry) -> String {
    let member = view
        .foreign
        .as_ref()
        .and_then(|dispatcher| dispatcher.members.get(index));
    let Some(member) = member else {
        return format!("program {}, not bpfman's", entry.program_id);
    };
    format!(
        "priority {}; goes on after {}; {}, not bpfman's",
        member.priority,
        proceed_on(HookKind::Xdp, member.proceed_on),
        member
            .program_id
            .map_or_else(|| "not pinned".to_owned(), |id| format!("program {id}")),
    )
}

fn draw(
    interface: &str,
    hooks: &[HookView],
    width: Option<u16>,
    words: impl Fn(&HookView, usize, &HookEntry) -> String,
) -> String {
    let mut text = String::new();
    for view in hooks.iter().filter(|view| !view.entries.is_empty()) {
        if !text.is_empty() {
            text.push('\n');
        }
        let mut heading = format!("{interface} {}", view.hook.name());
        if let Some(dispatcher) = &view.dispatcher {
            let mode = dispatcher
                .mode
                .map_or_else(String::new, |mode| format!(", {}", mode.name()));
            heading.push_str(&format!(
                ": {}{mode}, revision {} ({})",
                dispatcher.strategy, dispatcher.revision, dispatcher.reason
            ));
        }
        if let Some(dispatcher) = &view.foreign {
            heading.push_str(&format!(
                ": a dispatcher of libxdp's protocol, version {}, not bpfman's (program {})",
                dispatcher.version, dispatcher.program_id
            ));
        }
        let heading = folded(&printable(&heading, false), "", "    ", width);
        text.push_str(&heading);
        let names = view.entries.iter().map(|entry| name(entry).chars().count());
        let longest = names.max().unwrap_or_default();
        for (index, entry) in view.entries.iter().enumerate() {
            let (branch, trunk) = match index + 1 == view.entries.len() {
                true => ("└─", "  "),
                false => ("├─", "│ "),
            };
            let name = printable(&name(entry), false);
            let words = printable(&words(view, index, entry), false);
            let first = format!("  {branch} {name:longest$}  ");
            let next = format!("  {trunk} {:longest$}  ", "");
            text.push_str(&folded(&words, &first, &next, width));
        }
    }
    if text.is_empty() {
        return format!("nothing is attached to {interface}\n");
    }
    text
}

/// Least columns that are left for words beside a name. Names of functions can be as long as a line.
const WORDS: usize = 30;

/// Words behind what their first line and its continuations begin with, in lines that are not wider than the terminal.
fn folded(words: &str, first: &str, next: &str, width: Option<u16>) -> String {
    let Some(width) = width.map(usize::from) else {
        return format!("{first}{words}\n");
    };
    let begins = |start: &str| start.chars().count();
    let mut text = first.to_owned();
    let mut next = next.to_owned();
    if begins(first) + WORDS > width && !first.is_empty() {
        // Under the name.
        text.truncate(first.trim_end().len());
        text.push('\n');
        next = next.chars().take(6).collect();
        text.push_str(&next);
    }
    let mut column = begins(text.rsplit('\n').next().unwrap_or_default());
    let mut at_start = true;
    for word in words.split(' ') {
        let wanted = word.chars().count() + usize::from(!at_start);
        if !at_start && column + wanted > width {
            text.push('\n');
            text.push_str(&next);
            column = begins(&next);
            at_start = true;
        }
        if !at_start {
            text.push(' ');
        }
        text.push_str(word);
        column += word.chars().count() + usize::from(!at_start);
        at_start = false;
    }
    text.push('\n');
    text
}

fn name(entry: &HookEntry) -> String {
    if entry.name.is_empty() {
        "?".to_owned()
    } else {
        entry.name.clone()
    }
}

/// Hooks on which bpfman calls the programs itself, and therefore looks at their verdicts.
fn kind(hook: InterfaceHook) -> Option<HookKind> {
    match hook {
        InterfaceHook::Xdp => Some(HookKind::Xdp),
        InterfaceHook::TcIngress => Some(HookKind::TcIngress),
        InterfaceHook::TcEgress => Some(HookKind::TcEgress),
        InterfaceHook::TcxIngress
        | InterfaceHook::TcxEgress
        | InterfaceHook::NetkitPrimary
        | InterfaceHook::NetkitPeer => None,
    }
}

fn actions(kind: HookKind) -> &'static [(&'static str, i32)] {
    match kind {
        HookKind::Xdp => &XDP_ACTIONS,
        HookKind::TcIngress | HookKind::TcEgress => &TC_ACTIONS,
    }
}

/// A mask as the names of its verdicts.
fn proceed_on(kind: HookKind, mask: u32) -> String {
    let shift = match kind {
        HookKind::Xdp => 0,
        HookKind::TcIngress | HookKind::TcEgress => 1,
    };
    let names: Vec<&str> = actions(kind)
        .iter()
        .filter(|(_, verdict)| mask >> (verdict + shift) & 1 == 1)
        .map(|(name, _)| *name)
        .collect();
    if names.is_empty() {
        NONE.to_owned()
    } else {
        names.join(", ")
    }
}

fn counted(kind: HookKind, counters: &SlotCounters) -> String {
    let verdicts: Vec<String> = counters
        .verdicts
        .iter()
        .map(|(verdict, count)| {
            let known = actions(kind).iter().find(|(_, number)| number == verdict);
            let name = match known {
                Some((name, _)) => (*name).to_owned(),
                None if *verdict == OTHER_VERDICT => "other".to_owned(),
                None => verdict.to_string(),
            };
            format!("{name} {count}")
        })
        .collect();
    match verdicts.as_slice() {
        [] => "no packets".to_owned(),
        verdicts => format!("{} packets: {}", counters.packets, verdicts.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn tables() {
        let [xdp, tc] = samples::chains();
        let list = [xdp.dispatcher.clone(), tc.dispatcher.clone()];
        insta::assert_snapshot!(dispatchers(&list, None));
        insta::assert_snapshot!(dispatcher(&xdp, None));
        insta::assert_snapshot!(dispatcher(&tc, None));
        assert_eq!(dispatchers(&[], None), "");
    }

    #[test]
    fn drawings() {
        let hooks = samples::hooks();
        insta::assert_snapshot!(chains("eth0", &hooks, None));
        insta::assert_snapshot!(explanation("eth0", &hooks, None));
        insta::assert_snapshot!(chains("eth0", &[samples::foreign_hook()], None));
        assert_eq!(chains("eth0", &[], None), "nothing is attached to eth0\n");
    }

    #[test]
    fn drawings_fit_the_terminal_and_lose_nothing() {
        let mut hooks = samples::hooks();
        insta::assert_snapshot!(chains("eth0", &hooks, Some(80)));
        hooks[0].entries[0].name = "a_function_with_a_name_as_long_as_a_line_of_text".to_owned();
        hooks.push(samples::foreign_hook());
        insta::assert_snapshot!(chains("eth0", &hooks, Some(60)));
        let without = |text: String| -> String {
            let blank = |character: &char| !" \n│".contains(*character);
            text.chars().filter(blank).collect()
        };
        for width in [20, 40, 60, 80, 200] {
            for drawing in [chains, explanation] {
                let folded = drawing("eth0", &hooks, Some(width));
                if width >= 60 {
                    let longest = folded.lines().map(|line| line.chars().count()).max();
                    assert!(longest <= Some(usize::from(width)), "{folded}");
                }
                assert_eq!(without(folded), without(drawing("eth0", &hooks, None)));
            }
        }
    }
}
