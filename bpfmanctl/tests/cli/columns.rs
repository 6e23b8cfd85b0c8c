//! Columns of tables and labels of reports, as scripts of the established command cut them.

use crate::samples;
use crate::service::Service;
use ipc::messages::client::ClientReply;

/// Headings as scripts cut them, and nothing without rows.
#[test]
fn tables_have_their_columns() {
    let heading = |line: &str, reply: ClientReply| {
        let service = Service::start(move |_, _, _| reply.clone());
        let outcome = service.run(line);
        assert_eq!(outcome.code, 0, "{line}: {outcome:?}");
        let heading = outcome.output.lines().next().unwrap_or_default();
        heading
            .split("  ")
            .map(str::trim)
            .filter(|cell| !cell.is_empty())
            .collect::<Vec<_>>()
            .join("|")
    };
    let entry = samples::program_entry();
    let mut shop = samples::program_entry();
    let application = ("bpfman.io/application".to_owned(), "shop".to_owned());
    shop.record.metadata.extend([application.clone()]);
    assert_eq!(
        heading("program list", ClientReply::Programs(vec![entry.clone()])),
        "PROGRAM ID|TYPE|FUNCTION NAME|LINK IDS"
    );
    assert_eq!(
        heading("program list", ClientReply::Programs(vec![entry, shop])),
        "PROGRAM ID|APPLICATION|TYPE|FUNCTION NAME|LINK IDS"
    );
    let link = samples::link_entry();
    let mut shop = samples::link_entry();
    shop.program_metadata.extend([application]);
    assert_eq!(
        heading("link list", ClientReply::Links(vec![link.clone()])),
        "LINK ID|KERNEL LINK ID|KIND|PROGRAM ID|FUNCTION NAME|ATTACHMENT"
    );
    assert_eq!(
        heading("link list", ClientReply::Links(vec![link, shop])),
        "LINK ID|KERNEL LINK ID|KIND|PROGRAM ID|APPLICATION|FUNCTION NAME|ATTACHMENT"
    );
    let dispatchers = samples::chains().map(|chain| chain.dispatcher);
    assert_eq!(
        heading(
            "dispatcher list",
            ClientReply::Dispatchers(dispatchers.to_vec())
        ),
        "TYPE|NSID|IFINDEX|REVISION|PROGRAM ID|KERNEL LINK ID|PRIORITY|HANDLE|MEMBERS|NETNS|STRATEGY"
    );
    for (line, reply) in [
        ("program list", ClientReply::Programs(vec![])),
        ("link list", ClientReply::Links(vec![])),
        ("dispatcher list", ClientReply::Dispatchers(vec![])),
    ] {
        assert_eq!(heading(line, reply), "");
    }
}

/// Labels of reports, sorted within their sections.
#[test]
fn reports_have_their_labels() {
    let report = |line: &str, reply: ClientReply| {
        let service = Service::start(move |_, _, _| reply.clone());
        service.run(line).output
    };
    let labels = |report: &str, section: &str| -> Vec<String> {
        report
            .lines()
            .skip_while(|line| line.trim() != format!("{section}:"))
            .skip(1)
            .take_while(|line| line.starts_with("    "))
            .filter(|line| !line.starts_with("      "))
            .filter_map(|line| Some(line.trim().split_once(':')?.0.to_owned()))
            .collect()
    };
    let program = report(
        "program get 512",
        ClientReply::Program(Box::new(samples::full_program())),
    );
    let spec = labels(&program, "Spec");
    for label in [
        "Global",
        "GPL Compatible",
        "License",
        "Map Owner ID",
        "Map Pin Path",
        "Metadata",
        "Name",
        "Path",
        "Type",
    ] {
        assert!(
            spec.iter().any(|known| known == label),
            "{label}: {program}"
        );
    }
    let status = labels(&program, "Status");
    for label in [
        "BTF ID",
        "Kernel Type",
        "Bytecode",
        "Instructions",
        "Loaded At",
        "Map Dir",
        "Maps Used By",
        "Memory",
        "Prog Pin",
        "Size JITted",
        "Size Translated",
        "Tag",
    ] {
        assert!(
            status.iter().any(|known| known == label),
            "{label}: {program}"
        );
    }
    assert!(program.contains("  Stats:\n"), "{program}");
    let link = report(
        "link get 1",
        ClientReply::Link(Box::new(samples::xdp_link())),
    );
    let spec = labels(&link, "Spec");
    for label in [
        "BPF Function",
        "Created At",
        "Kernel Link ID",
        "Metadata",
        "Pin Path",
        "Program ID",
        "Type",
        "Interface",
        "Position",
        "Priority",
        "Proceed On",
    ] {
        assert!(spec.iter().any(|known| known == label), "{label}: {link}");
    }
    assert_eq!(labels(&link, "Status"), ["Kernel Seen", "Pin Present"]);
}
