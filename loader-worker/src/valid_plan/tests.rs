use super::sample::{plan, valid};
use super::*;
use ipc::messages::program::ProgramKind;
use ipc::plan::MapSlot;

fn refused_with(change: impl FnOnce(&mut LoadPlan), text: &str) {
    let mut plan = plan();
    change(&mut plan);
    let failure = valid(plan).expect_err(text);
    assert!(
        failure.cause.contains(text),
        "\"{}\" does not contain \"{text}\"",
        failure.cause
    );
}

#[test]
fn the_sample_is_valid() {
    let valid = valid(plan()).unwrap();
    assert_eq!(valid.role(0), MapRole::Public);
    assert_eq!(valid.role(1), MapRole::Internal);
    assert_eq!(valid.role(2), MapRole::Public);
    assert_eq!(valid.role(3), MapRole::Template);
    assert_eq!(valid.creation_order(), [0, 1, 3, 2]);
}

#[test]
fn indices_are_checked() {
    refused_with(
        |plan| plan.programs[0].map_slots[1].map = 4,
        "not in the plan",
    );
    refused_with(
        |plan| plan.programs[0].map_slots[1].map = u32::MAX,
        "not in the plan",
    );
    refused_with(
        |plan| plan.programs[0].map_slots[1].instruction = 5,
        "double instruction",
    );
    refused_with(
        |plan| plan.programs[0].map_slots[1].instruction = u32::MAX,
        "double instruction",
    );
    refused_with(
        |plan| plan.programs[0].map_slots[1].instruction = 4,
        "double instruction",
    );
    refused_with(
        |plan| plan.programs[0].map_slots[1].instruction = 1,
        "overlap",
    );
    refused_with(
        |plan| {
            plan.programs[0].map_slots.push(MapSlot {
                instruction: 0,
                map: 0,
            })
        },
        "overlap",
    );
    refused_with(
        |plan| plan.programs[0].map_slots.truncate(1),
        "no slot fills",
    );
    refused_with(|plan| plan.maps[2].inner = Some(9), "inner map is not");
    refused_with(|plan| plan.maps[2].inner = Some(2), "has an inner map");
}

#[test]
fn sizes_are_checked() {
    refused_with(
        |plan| plan.programs[0].instructions.truncate(47),
        "no instructions",
    );
    refused_with(
        |plan| plan.programs[0].instructions.clear(),
        "no instructions",
    );
    refused_with(|plan| plan.maps[1].initial = Some(vec![0; 7]), "7 bytes");
    refused_with(|plan| plan.maps[1].key_size = 8, "data section");
    let table = |record_size, bytes| {
        Some(InfoTable {
            record_size,
            records: vec![0; bytes],
        })
    };
    for bad in [table(0, 0), table(8, 9), table(10, 20), table(256, 256)] {
        refused_with(move |plan| plan.programs[1].func_info = bad, "func_info");
    }
    refused_with(|plan| plan.btf = None, "func_info without BTF");
    refused_with(
        |plan| {
            plan.btf = None;
            plan.maps[0].btf_key_type_id = 1;
        },
        "BTF that is not there",
    );
}

#[test]
fn one_more_than_each_bound_is_refused() {
    let over = |change: &dyn Fn(&mut LoadPlan)| {
        let mut plan = plan();
        change(&mut plan);
        assert_eq!(
            valid(plan).unwrap_err().code,
            FailureCode::ResourceExhausted
        );
    };
    over(&|plan| plan.btf = Some(vec![0; limits::BTF_BYTES + 1]));
    over(&|plan| {
        let program = plan.programs[0].clone();
        plan.programs = vec![program; LOAD_PROGRAMS + 1];
    });
    over(&|plan| {
        let map = plan.maps[0].clone();
        plan.maps = vec![map; limits::PLAN_MAPS + 1];
    });
    over(&|plan| {
        let program = plan.programs[0].clone();
        plan.programs = vec![program; 5];
        let map = plan.maps[0].clone();
        plan.maps = vec![map; limits::LOAD_MAPS / 5 + 1];
    });
    over(&|plan| plan.programs[0].instructions = vec![0; limits::INSTRUCTION_BYTES + 8]);
    over(&|plan| plan.programs[0].name = "n".repeat(NAME_BYTES + 1));
}

#[test]
fn names_that_cannot_be_files_are_refused() {
    for name in ["a/b", "a.b", "..", &"n".repeat(limits::PIN_NAME_BYTES + 1)] {
        let mut plan = plan();
        plan.maps[0].name = name.into();
        let failure = valid(plan).unwrap_err();
        assert_eq!(failure.code, FailureCode::InvalidArgument, "{name}");
    }
    refused_with(|plan| plan.maps[0].name = "a\0b".into(), "NUL");
    refused_with(|plan| plan.maps[0].name.clear(), "no name");
    refused_with(|plan| plan.maps[0].name = "outer".into(), "two maps");
    refused_with(|plan| plan.programs.clear(), "no program");
    refused_with(|plan| plan.version += 1, "version");
}

#[test]
fn programs_for_one_place_name_it_and_others_do_not() {
    refused_with(|plan| plan.programs[0].attach_btf_id = 5, "no target");
    refused_with(
        |plan| plan.programs[0].kind = ProgramKind::Fentry,
        "no target",
    );
    let fentry = |function: Option<&str>| {
        let mut plan = plan();
        plan.programs[0].kind = ProgramKind::Fentry;
        plan.programs[0].attach_btf_id = 5;
        plan.programs[0].attach_function = function.map(str::to_owned);
        valid(plan)
    };
    assert!(fentry(Some("do_unlinkat")).is_ok());
    assert!(fentry(None).is_err());
}

#[test]
fn programs_of_control_groups_are_for_the_hook_that_they_name() {
    let program = |hook: Option<&str>, attach_type| {
        let mut plan = plan();
        plan.programs[0].kind = ProgramKind::CgroupSkb;
        plan.programs[0].attach_function = hook.map(str::to_owned);
        plan.programs[0].expected_attach_type = attach_type;
        valid(plan)
    };
    assert!(program(Some("egress"), 1).is_ok());
    for (hook, attach_type) in [
        (None, 1),
        (Some("egress"), 0),
        (Some("ingress"), 1),
        (Some("connect4"), 10),
    ] {
        let failure = program(hook, attach_type).unwrap_err();
        assert!(failure.cause.contains("not that of the hook"), "{failure}");
    }
}
