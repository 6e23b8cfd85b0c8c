use super::*;
use ipc::messages::attach::{Direction, LinkDetails};
use ipc::messages::kernel::KernelMap;
use ipc::messages::program::{ProgramKind, ProgramRecord, Source};
use proptest::prelude::*;

fn program(id: u32) -> StoredProgram {
    StoredProgram {
        record: ProgramRecord {
            program_id: id,
            name: format!("name_{id}"),
            kind: ProgramKind::Tcx,
            section: "tcx".into(),
            attach_function: None,
            license: "GPL".into(),
            gpl_compatible: true,
            metadata: BTreeMap::new(),
            globals: vec![],
            source: Source::File("x.o".into()),
            object_digest: [0; 32],
            plan_path: "/s/plans/a.plan".into(),
            pin_path: format!("/r/fs/prog_{id}"),
            maps_dir: format!("/r/fs/maps/{id}"),
            map_owner: None,
            loaded_by: 0,
            created_at: 0,
        },
        maps: vec![
            KernelMap {
                id: 1000 + id,
                pin_path: format!("/r/fs/maps/{id}/counters"),
                ..KernelMap::default()
            },
            KernelMap {
                name: ".rodata".into(),
                ..KernelMap::default()
            },
        ],
        forms: vec![],
        member: None,
    }
}

fn layout() -> Layout {
    Layout::new(Path::new("/r"), Path::new("/s"))
}

fn link(id: u64, program_id: u32) -> LinkRecord {
    LinkRecord {
        id,
        program_id,
        kernel_link_id: Some(1),
        kind: ProgramKind::Tcx,
        pin_path: format!("/r/fs/tcx-ingress/link_1_2_{program_id}"),
        details: LinkDetails::Tcx {
            interface: "eth0".into(),
            ifindex: 2,
            direction: Direction::Ingress,
            priority: 1,
            position: 0,
            netns: String::new(),
            nsid: 1,
        },
        created_at: 0,
        metadata: BTreeMap::new(),
    }
}

/// Everything as it should be.
fn healthy(programs: &[StoredProgram], links: &[LinkRecord]) -> Seen {
    let map_pins = programs
        .iter()
        .flat_map(|program| &program.maps)
        .map(|map| &map.pin_path);
    let maps = programs
        .iter()
        .flat_map(|program| &program.maps)
        .filter(|map| !map.pin_path.is_empty())
        .map(|map| (PathBuf::from(&map.pin_path), Behind::Found(map.id)))
        .collect();
    let pins = map_pins
        .filter(|path| !path.is_empty())
        .chain(programs.iter().map(|program| &program.record.pin_path))
        .chain(links.iter().map(|link| &link.pin_path))
        .map(PathBuf::from)
        .collect();
    let kernel = |link: &LinkRecord| KernelLink {
        id: 1,
        program_id: link.program_id,
        ifindex: 2,
        ..KernelLink::default()
    };
    Seen {
        programs: programs
            .iter()
            .map(|program| {
                (
                    program.record.program_id,
                    Behind::Found(program.record.program_id),
                )
            })
            .collect(),
        hooks: BTreeMap::new(),
        links: links
            .iter()
            .map(|link| (link.id, Behind::Found(kernel(link))))
            .collect(),
        moved: BTreeSet::new(),
        maps,
        pins,
        plans: programs
            .iter()
            .map(|program| program.record.plan_path.clone().into())
            .collect(),
        truncated: false,
    }
}

fn drift(change: impl FnOnce(&mut Seen)) -> Vec<Drift> {
    let (programs, links) = ([program(7), program(9)], [link(1, 7)]);
    let mut seen = healthy(&programs, &links);
    change(&mut seen);
    compare(
        Wanted {
            layout: &layout(),
            hooks: &[],
            programs: &programs,
            links: &links,
            unfinished: 0,
        },
        &seen,
    )
}

#[test]
fn health_has_no_findings() {
    assert_eq!(drift(|_| {}), []);
}

#[test]
fn each_loss_is_one_finding() {
    let gone = drift(|seen| {
        seen.programs.insert(9, Behind::Nothing);
        seen.pins.remove(Path::new("/r/fs/prog_9"));
        seen.pins.remove(Path::new("/r/fs/maps/9/counters"));
    });
    assert!(
        matches!(&gone[..], [Drift::ProgramGone { id: 9, .. }]),
        "{gone:?}"
    );
    let replaced = drift(|seen| drop(seen.programs.insert(9, Behind::Found(10))));
    assert!(matches!(
        &replaced[..],
        [Drift::ProgramReplaced {
            id: 9,
            found: 10,
            ..
        }]
    ));
    let of_map =
        |behind| drift(|seen| drop(seen.maps.insert("/r/fs/maps/7/counters".into(), behind)));
    let map = of_map(Behind::Nothing);
    assert!(matches!(&map[..], [Drift::MapGone { program: 7, .. }]));
    let map = of_map(Behind::Unknown("EACCES".into()));
    assert!(matches!(&map[..], [Drift::Unreadable { .. }]));
    let map = of_map(Behind::Found(1009));
    assert!(matches!(
        &map[..],
        [Drift::MapReplaced {
            program: 7,
            id: 1007,
            found: 1009,
            ..
        }]
    ));
    let plan = drift(|seen| seen.plans.clear());
    assert!(matches!(
        &plan[..],
        [Drift::PlanGone { .. }, Drift::PlanGone { .. }]
    ));
    let link = drift(|seen| drop(seen.links.insert(1, Behind::Nothing)));
    assert!(matches!(&link[..], [Drift::LinkGone { id: 1, .. }]));
    let unknown = drift(|seen| drop(seen.links.insert(1, Behind::Unknown("EACCES".into()))));
    assert!(matches!(&unknown[..], [Drift::Unreadable { .. }]));
    // One to another program, and another to the same.
    for (found, program) in [(1, 9), (2, 7)] {
        let other = KernelLink {
            id: found,
            program_id: program,
            ifindex: 2,
            ..KernelLink::default()
        };
        let replaced = drift(|seen| drop(seen.links.insert(1, Behind::Found(other))));
        assert_eq!(
            replaced,
            [Drift::LinkReplaced {
                id: 1,
                found,
                program,
                pin: "/r/fs/tcx-ingress/link_1_2_7".into()
            }]
        );
    }
    let idle = KernelLink {
        id: 1,
        program_id: 7,
        ifindex: 0,
        ..KernelLink::default()
    };
    let idle = drift(|seen| drop(seen.links.insert(1, Behind::Found(idle))));
    assert!(matches!(&idle[..], [Drift::LinkIdle { id: 1, .. }]));
    let moved = drift(|seen| assert!(seen.moved.insert("/r/fs/tcx-ingress/link_1_2_7".into())));
    assert_eq!(
        moved,
        [Drift::Moved {
            what: "link 1".into(),
            place: "interface eth0".into()
        }]
    );
    let orphan = drift(|seen| assert!(seen.pins.insert("/r/fs/links/99".into())));
    assert_eq!(
        orphan,
        [Drift::Orphan {
            pin: "/r/fs/links/99".into()
        }]
    );
    let set = drift(|seen| assert!(seen.pins.insert("/r/fs/maps/9/of_an_unloaded_owner".into())));
    assert_eq!(set, []);
}

#[test]
fn a_program_that_its_links_hold_is_not_gone() {
    let lose_pin = |seen: &mut Seen| {
        seen.programs.insert(7, Behind::Nothing);
        seen.pins.remove(Path::new("/r/fs/prog_7"));
    };
    let held = drift(lose_pin);
    assert!(
        matches!(&held[..], [Drift::ProgramPinGone { id: 7, .. }]),
        "{held:?}"
    );
    assert!(!held[0].to_string().contains("from the kernel"));
    // A link to another program behind its own link's pin holds nothing.
    let replaced = drift(|seen| {
        lose_pin(seen);
        let other = KernelLink {
            program_id: 9,
            ifindex: 2,
            ..KernelLink::default()
        };
        seen.links.insert(1, Behind::Found(other));
    });
    assert!(
        matches!(
            &replaced[..],
            [Drift::ProgramGone { id: 7, .. }, Drift::LinkReplaced { .. }]
        ),
        "{replaced:?}"
    );
}

#[test]
fn links_without_programs_and_unfinished_changes_are_found() {
    let links = [link(1, 7)];
    let wanted = Wanted {
        layout: &layout(),
        hooks: &[],
        programs: &[],
        links: &links,
        unfinished: 2,
    };
    let found = compare(wanted, &healthy(&[], &links));
    assert_eq!(
        found,
        [
            Drift::LinkAlone { id: 1, program: 7 },
            Drift::Unfinished { count: 2 }
        ]
    );
}

#[test]
fn after_a_reboot_everything_is_gone_and_nothing_is_an_orphan() {
    let found = drift(|seen| {
        let plans = std::mem::take(&mut seen.plans);
        *seen = Seen {
            plans,
            ..Seen::default()
        };
    });
    assert_eq!(found.len(), 3);
    assert!(
        found
            .iter()
            .all(|drift| matches!(drift, Drift::ProgramGone { .. } | Drift::LinkGone { .. }))
    );
}

#[test]
fn a_report_is_bounded() {
    let programs: Vec<_> = (1..).take(FINDINGS + 1).map(program).collect();
    let wanted = Wanted {
        layout: &layout(),
        hooks: &[],
        programs: &programs,
        links: &[],
        unfinished: 0,
    };
    let found = compare(wanted, &Seen::default());
    let report = report(wanted, &found);
    assert_eq!(report.checked as usize, FINDINGS + 1);
    assert_eq!(report.findings.len(), FINDINGS + 1);
    assert_eq!(report.findings[FINDINGS], "and 1 more");
}

proptest! {
    /// Nothing is reported of what is as it should be, and everything that is not is reported.
    #[test]
    fn findings_are_exactly_the_differences(
        ids in proptest::collection::btree_set(1u32..50, 0..10),
        lost in proptest::collection::btree_set(1u32..50, 0..10),
        orphans in proptest::collection::btree_set(1u32..50, 0..5),
    ) {
        let programs: Vec<_> = ids.iter().map(|id| program(*id)).collect();
        let mut seen = healthy(&programs, &[]);
        for id in &lost {
            seen.programs.remove(id);
        }
        for id in &orphans {
            seen.pins.insert(format!("/r/fs/links/{id}").into());
        }
        let wanted = Wanted { layout: &layout(), hooks: &[], programs: &programs, links: &[], unfinished: 0 };
        let found = compare(wanted, &seen);
        prop_assert_eq!(found.len(), ids.intersection(&lost).count() + orphans.len());
    }
}

#[test]
fn a_link_without_effect_says_where_it_was() {
    let interface = |netns: &str| LinkDetails::Tcx {
        interface: "eth0".into(),
        ifindex: 2,
        direction: Direction::Ingress,
        priority: 0,
        position: 0,
        netns: netns.into(),
        nsid: 1,
    };
    let sockets = |netns: &str| LinkDetails::SkLookup {
        netns: netns.into(),
        nsid: 1,
    };
    let (gone, there) = (
        KernelLink::default(),
        KernelLink {
            ifindex: 2,
            netns_ino: 1,
            cgroup_id: 1,
            ..KernelLink::default()
        },
    );
    for (details, place) in [
        (interface(""), "interface eth0"),
        (
            interface("/run/netns/blue"),
            "interface eth0 of network namespace /run/netns/blue",
        ),
        (sockets(""), "the service's network namespace"),
        (
            sockets("/run/netns/blue"),
            "network namespace /run/netns/blue",
        ),
        (
            LinkDetails::Cgroup {
                path: "/sys/fs/cgroup/a".into(),
                hook: "ingress".into(),
            },
            "control group /sys/fs/cgroup/a",
        ),
    ] {
        assert_eq!(lost_place(&details, &there), None);
        assert_eq!(lost_place(&details, &gone).as_deref(), Some(place));
    }
}
