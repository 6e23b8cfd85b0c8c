//! JSON results have the keys of the established command, all of them, of the right types, and null where it says so.

use crate::samples;
use crate::service::Service;
use ipc::messages::attach::Link;
use ipc::messages::client::{ClientReply, ClientRequest};
use ipc::messages::program::{Program, ProgramKind, Source};
use ipc::messages::pull::{ImageSource, PullPolicy};
use serde_json::Value;
use std::collections::BTreeMap;

/// What a value must be.
enum Shape {
    Bool,
    U32,
    U64,
    I32,
    Text,
    /// RFC 3339.
    Time,
    /// Always null.
    Null,
    /// Null in one sample at least, and not null in another one.
    OrNull(&'static Shape),
    List(&'static Shape),
    /// Any keys.
    Map(&'static Shape),
    /// Exactly these keys.
    Keys(&'static [(&'static str, Shape)]),
    /// These keys; the second list may be left out, the third one is ours.
    Some(
        &'static [(&'static str, Shape)],
        &'static [(&'static str, Shape)],
        &'static [&'static str],
    ),
    /// Checked by the test itself.
    Any,
}

use Shape::{Any, Bool, I32, Keys, List, Map, Null, OrNull, Some as Partly, Text, Time, U32, U64};

const PROGRAM: Shape = Keys(&[("record", PROGRAM_RECORD), ("status", PROGRAM_STATUS)]);
const PROGRAM_RECORD: Shape = Keys(&[
    ("program_id", U32),
    (
        "load",
        Keys(&[
            ("object_path", Text),
            ("source_path", OrNull(&Text)),
            ("program_name", Text),
            ("program_type", Text),
            ("global_data", Map(&Text)),
            (
                "image_source",
                OrNull(&Keys(&[
                    ("url", Text),
                    ("digest", Text),
                    ("pull_policy", Text),
                ])),
            ),
            ("attach_func", OrNull(&Text)),
            ("map_owner_id", Null),
        ]),
    ),
    ("license", Text),
    ("gpl_compatible", Bool),
    (
        "handles",
        Keys(&[
            ("pin_path", Text),
            ("map_pin_path", Text),
            ("map_owner_id", OrNull(&U32)),
        ]),
    ),
    (
        "meta",
        Keys(&[
            ("name", Text),
            ("owner", Text),
            ("description", Text),
            ("metadata", Map(&Text)),
        ]),
    ),
    ("created_at", Time),
    ("updated_at", Null),
]);
const PROGRAM_STATUS: Shape = Keys(&[
    ("kernel", OrNull(&KERNEL_PROGRAM)),
    (
        "stats",
        OrNull(&Keys(&[
            ("runtime", U64),
            ("run_count", U64),
            ("recursion_misses", U64),
        ])),
    ),
    ("prog_pin", Text),
    ("map_dir", Text),
    ("bytecode", Text),
    ("links", List(&LINK)),
    (
        "maps",
        List(&Keys(&[
            ("id", U32),
            ("name", Text),
            ("map_type", Text),
            ("key_size", U32),
            ("value_size", U32),
            ("max_entries", U32),
            ("flags", U32),
            ("btf_id", U32),
            ("has_btf_id", Bool),
            ("map_extra", U64),
            ("has_map_extra", Bool),
            ("memlock", U64),
            ("has_memlock", Bool),
            ("frozen", Bool),
            ("pin_path", Text),
            ("present", Bool),
        ])),
    ),
    ("map_used_by", List(&U32)),
]);
const KERNEL_PROGRAM: Shape = Keys(&[
    ("id", U32),
    ("name", Text),
    ("program_type", Text),
    ("tag", Text),
    ("loaded_at", Time),
    ("uid", U32),
    ("has_uid", Bool),
    ("btf_id", U32),
    ("has_btf_id", Bool),
    ("map_ids", List(&U32)),
    ("has_map_ids", Bool),
    ("jited_size", U32),
    ("xlated_size", U32),
    ("verified_insns", U32),
    ("memlock", U64),
    ("has_memlock", Bool),
    ("restricted", Bool),
]);
const LINK: Shape = Keys(&[
    ("record", LINK_RECORD),
    (
        "status",
        Keys(&[
            ("kernel", OrNull(&KERNEL_LINK)),
            ("kernel_seen", Bool),
            ("pin_present", Bool),
        ]),
    ),
]);
const LINK_RECORD: Shape = Keys(&[
    ("id", U64),
    ("program_id", U32),
    ("kernel_link_id", OrNull(&U32)),
    ("kind", Text),
    ("pin_path", OrNull(&Text)),
    ("details", Any),
    ("created_at", Time),
    ("metadata", OrNull(&Map(&Text))),
]);
const KERNEL_LINK: Shape = Keys(&[
    ("id", U32),
    ("program_id", U32),
    ("link_type", Text),
    ("attach_type", Text),
    ("ifindex", U32),
    ("target_obj_id", U32),
    ("target_btf_id", U32),
    ("cgroup_id", U64),
    ("netns_ino", U32),
    ("netfilter_pf", U32),
    ("netfilter_hooknum", U32),
    ("netfilter_priority", I32),
    ("netfilter_flags", U32),
    ("kprobe_multi_count", U32),
    ("kprobe_multi_flags", U32),
    ("kprobe_multi_missed", U64),
    ("kprobe_address", U64),
    ("kprobe_missed", U64),
]);
/// By kind.
const DETAILS: &[(&str, Shape)] = &[
    ("tracepoint", Keys(&[("group", Text), ("name", Text)])),
    ("kprobe", KPROBE),
    ("kretprobe", KPROBE),
    ("uprobe", UPROBE),
    ("uretprobe", UPROBE),
    ("fentry", Keys(&[("fn_name", Text)])),
    ("fexit", Keys(&[("fn_name", Text)])),
    ("lsm", Keys(&[("hook_name", Text)])),
    (
        "xdp",
        Partly(
            &[
                ("interface", Text),
                ("ifindex", U32),
                ("priority", I32),
                ("position", I32),
                ("proceed_on", List(&I32)),
                ("netns", Text),
                ("nsid", U64),
                ("dispatcher_id", U32),
                ("revision", U32),
            ],
            &[],
            &["mode", "strategy"],
        ),
    ),
    (
        "tc",
        Partly(
            &[
                ("interface", Text),
                ("ifindex", U32),
                ("direction", Text),
                ("priority", I32),
                ("position", I32),
                ("proceed_on", List(&I32)),
                ("netns", Text),
                ("nsid", U64),
                ("dispatcher_id", U32),
                ("revision", U32),
            ],
            &[],
            &["strategy"],
        ),
    ),
    (
        "tcx",
        Keys(&[
            ("interface", Text),
            ("ifindex", U32),
            ("direction", Text),
            ("priority", I32),
            ("position", I32),
            ("netns", Text),
            ("nsid", U64),
        ]),
    ),
];
const KPROBE: Shape = Keys(&[("fn_name", Text), ("offset", U64), ("retprobe", Bool)]);
const UPROBE: Shape = Keys(&[
    ("target", Text),
    ("fn_name", Text),
    ("offset", U64),
    ("pid", I32),
    ("retprobe", Bool),
    ("container_pid", I32),
]);
const KEY: Shape = Keys(&[("type", Text), ("nsid", U64), ("ifindex", U32)]);
const RUNTIME: Shape = Partly(
    &[("program_id", U32), ("netns_path", Text)],
    &[
        ("kernel_link_id", U32),
        ("filter_priority", U32),
        ("filter_handle", U32),
    ],
    &[],
);
const DISPATCHER_LIST: Shape = Keys(&[(
    "dispatchers",
    List(&Partly(
        &[
            ("key", KEY),
            ("revision", U32),
            ("runtime", RUNTIME),
            ("member_count", U32),
        ],
        &[],
        &["strategy", "strategy_reason", "mode", "interface"],
    )),
)]);
const DISPATCHER: Shape = Partly(
    &[
        ("key", KEY),
        ("revision", U32),
        ("runtime", RUNTIME),
        (
            "members",
            List(&Partly(
                &[
                    ("program_id", U32),
                    ("program_name", Text),
                    ("prog_pin_path", Text),
                    ("link_id", U64),
                    ("kernel_link_id", OrNull(&U32)),
                    ("link_pin_path", Text),
                    ("position", I32),
                    ("priority", I32),
                    ("proceed_on", U32),
                    ("ifname", Text),
                    ("metadata", OrNull(&Map(&Text))),
                ],
                &[],
                &["counters"],
            )),
        ),
    ],
    &[],
    &["strategy", "strategy_reason", "mode"],
);
const LIST_ENTRY: Shape = Keys(&[
    ("program_id", U32),
    ("managed", Bool),
    ("application", Text),
    ("type", Text),
    ("function_name", Text),
    ("links", List(&U64)),
    ("record", OrNull(&PROGRAM_RECORD)),
    ("kernel", OrNull(&KERNEL_PROGRAM)),
]);

/// What samples have shown of places that may be null: whether null, whether a value.
#[derive(Default)]
struct Seen(BTreeMap<String, (bool, bool)>);

impl Seen {
    fn check(&mut self, shape: &Shape, value: &Value, path: &str) {
        let fits = match shape {
            Bool => value.is_boolean(),
            U32 => value
                .as_u64()
                .is_some_and(|number| number <= u64::from(u32::MAX)),
            U64 => value.is_u64(),
            I32 => value
                .as_i64()
                .is_some_and(|number| i32::try_from(number).is_ok()),
            Text => value.is_string(),
            Time => value.as_str().is_some_and(is_time),
            Null => value.is_null(),
            Any => true,
            OrNull(shape) => {
                let seen = self.0.entry(path.to_owned()).or_default();
                if value.is_null() {
                    seen.0 = true;
                } else {
                    seen.1 = true;
                    self.check(shape, value, path);
                }
                true
            }
            List(shape) => {
                for item in value
                    .as_array()
                    .unwrap_or_else(|| panic!("{path}: {value}"))
                {
                    self.check(shape, item, &format!("{path}[]"));
                }
                true
            }
            Map(shape) => {
                for item in object(value, path).values() {
                    self.check(shape, item, &format!("{path}{{}}"));
                }
                true
            }
            Keys(keys) => {
                self.object(keys, &[], &[], value, path);
                true
            }
            Partly(keys, optional, own) => {
                self.object(keys, optional, own, value, path);
                true
            }
        };
        assert!(fits, "{path}: {value}");
    }

    fn object(
        &mut self,
        keys: &[(&str, Shape)],
        optional: &[(&str, Shape)],
        own: &[&str],
        value: &Value,
        path: &str,
    ) {
        let found = object(value, path);
        for (name, shape) in keys {
            let value = found
                .get(*name)
                .unwrap_or_else(|| panic!("{path}.{name} is missing"));
            self.check(shape, value, &format!("{path}.{name}"));
        }
        for (name, shape) in optional {
            if let Some(value) = found.get(*name) {
                self.check(shape, value, &format!("{path}.{name}"));
            }
        }
        for name in found.keys() {
            let known = keys.iter().chain(optional).any(|(known, _)| known == name);
            assert!(
                known || own.contains(&name.as_str()),
                "{path}.{name} is not known"
            );
        }
    }

    /// A rule about null of which samples show one half only is not tested.
    fn both(&self, except: &[&str]) {
        for (path, seen) in &self.0 {
            assert!(
                *seen == (true, true) || except.contains(&path.as_str()),
                "{path}: null {}, a value {}",
                seen.0,
                seen.1
            );
        }
    }
}

fn object<'a>(value: &'a Value, path: &str) -> &'a serde_json::Map<String, Value> {
    value
        .as_object()
        .unwrap_or_else(|| panic!("{path}: {value}"))
}

fn is_time(text: &str) -> bool {
    let digits: String = text
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    digits == "0000-00-00T00:00:00Z"
}

/// What a command prints when the service answers so.
fn printed(line: &str, replies: Vec<ClientReply>) -> Value {
    let service = Service::start(move |number, _: &ClientRequest, _| replies[number].clone());
    let outcome = service.run(line);
    assert_eq!(outcome.code, 0, "{line}: {outcome:?}");
    serde_json::from_str(&outcome.output).unwrap()
}

/// Links with and without everything that may be missing.
fn links() -> Vec<Link> {
    let mut links = samples::links();
    let mut uprobe = samples::uprobe_link("malloc", 0);
    uprobe.record.kind = ProgramKind::Uprobe;
    links.push(uprobe);
    let mut bare = links[0].clone();
    bare.record.metadata.clear();
    bare.record.pin_path.clear();
    bare.record.kernel_link_id = None;
    bare.kernel = None;
    links.push(bare);
    let mut full = links[0].clone();
    full.record.metadata = BTreeMap::from([("owner".to_owned(), "acme".to_owned())]);
    links.push(full);
    links
}

/// As if it came from an image.
fn from_image(program: &Program) -> Program {
    let mut program = program.clone();
    program.record.source = Source::Image(ImageSource {
        url: "quay.io/acme/counter:v1".to_owned(),
        pull_policy: PullPolicy::IfNotPresent,
        origin: None,
    });
    program
}

#[test]
fn programs() {
    let mut gone = samples::program();
    gone.kernel = None;
    let mut full = samples::full_program();
    full.links = links();
    let mut seen = Seen::default();
    for program in [from_image(&full), samples::program(), full, gone] {
        let got = printed(
            "program get 512 -o json",
            vec![ClientReply::Program(Box::new(program.clone()))],
        );
        seen.check(&PROGRAM, &got, "");
        let loaded = printed(
            "program load /etc/passwd --programs xdp:p -o json",
            vec![ClientReply::Loaded(vec![program])],
        );
        const LOADED: Shape = Keys(&[("programs", List(&PROGRAM))]);
        Seen::default().check(&LOADED, &loaded, "");
    }
    seen.both(&[]);
}

#[test]
fn lists_of_programs() {
    const LIST: Shape = Keys(&[("programs", List(&LIST_ENTRY))]);
    let mut gone = samples::program_entry();
    gone.kernel = None;
    let mut shared = samples::program_entry();
    shared.record.map_owner = Some(1);
    shared.record.attach_function = Some("do_unlinkat".to_owned());
    let mut pulled = samples::program_entry();
    pulled.record.source = from_image(&samples::program()).record.source;
    let list = printed(
        "program list --all -o json",
        vec![
            ClientReply::Programs(vec![samples::program_entry(), gone, shared, pulled]),
            ClientReply::KernelPrograms(vec![samples::foreign_program()]),
        ],
    );
    let mut seen = Seen::default();
    seen.check(&LIST, &list, "");
    seen.both(&[]);
}

#[test]
fn links_of_every_kind() {
    let mut seen = Seen::default();
    let mut kinds: Vec<&str> = DETAILS.iter().map(|(kind, _)| *kind).collect();
    for link in links() {
        let kind = link.record.kind.name();
        let got = printed(
            "link get 1 -o json",
            vec![ClientReply::Link(Box::new(link.clone()))],
        );
        seen.check(&LINK, &got, "");
        if let Some((_, shape)) = DETAILS.iter().find(|(known, _)| *known == kind) {
            seen.check(shape, &got["record"]["details"], kind);
            kinds.retain(|left| *left != kind);
        }
        let attached = printed(
            "link attach fentry 512 -o json",
            vec![ClientReply::Link(Box::new(link))],
        );
        assert_eq!(attached, got);
    }
    assert!(kinds.is_empty(), "no sample of {kinds:?}");
    seen.both(&[]);
}

#[test]
fn lists_of_links_are_of_records() {
    const LIST: Shape = Keys(&[("links", List(&LINK_RECORD))]);
    let entries = links().into_iter().map(samples::entry_of).collect();
    let list = printed("link list -o json", vec![ClientReply::Links(entries)]);
    let mut seen = Seen::default();
    seen.check(&LIST, &list, "");
    seen.both(&[]);
}

#[test]
fn dispatchers() {
    let chains = samples::chains();
    let list = chains
        .iter()
        .map(|chain| chain.dispatcher.clone())
        .collect();
    let list = printed(
        "dispatcher list -o json",
        vec![ClientReply::Dispatchers(list)],
    );
    Seen::default().check(&DISPATCHER_LIST, &list, "");

    let mut seen = Seen::default();
    for mut chain in chains {
        if let [first, ..] = chain.members.as_mut_slice() {
            first.kernel_link_id = None;
            first.metadata.insert("owner".to_owned(), "acme".to_owned());
        }
        let got = printed(
            "dispatcher get xdp 4026531840 2 -o json",
            vec![ClientReply::Chain(Box::new(chain))],
        );
        seen.check(&DISPATCHER, &got, "");
    }
    seen.both(&[]);
}

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
        "TYPE|NSID|IFINDEX|REVISION|PROGRAM ID|KERNEL LINK ID|PRIORITY|HANDLE|MEMBERS|STRATEGY|NETNS"
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
