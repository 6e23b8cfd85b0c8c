//! Plans of the fixture objects.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod plans;

use image_worker::compile::{Request, RunningKernel, compile};
use ipc::messages::failure::{FailureCode, Stage};
use ipc::messages::program::{GlobalValue, ProgramKind, ProgramRequest};
use ipc::plan::{LoadPlan, MapPlan, ProgramPlan};
use plans::{map, plan, plan_with, wanted};

/// Names of the maps that a program refers to, in the order of reference.
fn used<'p>(plan: &'p LoadPlan, program: &ProgramPlan) -> Vec<&'p str> {
    program
        .map_slots
        .iter()
        .map(|slot| plan.maps[slot.map as usize].name.as_str())
        .collect()
}

fn instruction(program: &ProgramPlan, index: usize) -> (u8, u8, i32) {
    let bytes = &program.instructions[index * 8..index * 8 + 8];
    (
        bytes[0],
        bytes[1] >> 4,
        i32::from_le_bytes(bytes[4..8].try_into().expect("four bytes")),
    )
}

const COUNTERS: [(&str, ProgramKind, u32, u32); 8] = [
    ("tcx_ingress_count", ProgramKind::Tcx, 3, 0),
    ("tcx_egress_count", ProgramKind::Tcx, 3, 0),
    ("tc_count", ProgramKind::Tc, 3, 0),
    ("xdp_count", ProgramKind::Xdp, 6, 37),
    ("tracepoint_count", ProgramKind::Tracepoint, 5, 0),
    ("uprobe_count", ProgramKind::Uprobe, 2, 0),
    ("uretprobe_count", ProgramKind::Uretprobe, 2, 0),
    ("optional_count", ProgramKind::Xdp, 6, 37),
];

#[test]
fn counter_programs_keep_order_kind_and_section() {
    let requested: Vec<_> = COUNTERS
        .iter()
        .map(|(name, kind, ..)| (*name, *kind))
        .collect();
    let plan = plan(bpf::COUNTER, &requested);
    assert_eq!(plan.license, "Dual BSD/GPL");
    let found: Vec<_> = plan
        .programs
        .iter()
        .map(|program| {
            (
                program.name.as_str(),
                program.kind,
                program.prog_type,
                program.expected_attach_type,
            )
        })
        .collect();
    assert_eq!(found, COUNTERS);
    assert_eq!(plan.programs[0].section, "tcx/ingress");
    assert_eq!(
        plan.programs[4].section_target.as_deref(),
        Some("syscalls/sys_enter_getpid")
    );
    assert_eq!(plan.programs[7].section, "?xdp/optional");
    for program in &plan.programs {
        assert_eq!(
            used(&plan, program),
            [".data", "counters", ".rodata", "traffic", ".rodata", ".bss"],
            "{}",
            program.name
        );
        for slot in &program.map_slots {
            let (code, source, immediate) = instruction(program, slot.instruction as usize);
            let data = plan.maps[slot.map as usize].internal;
            assert_eq!(
                (code, source, immediate),
                (0x18, if data { 2 } else { 1 }, 0)
            );
        }
        let functions = program.func_info.as_ref().expect("func_info");
        assert_eq!((functions.record_size, functions.records.len()), (8, 8));
        let lines = program.line_info.as_ref().expect("line_info");
        assert_eq!(lines.record_size, 16);
        assert_eq!(
            lines.records[..4],
            [0; 4],
            "the first line is that of the first instruction"
        );
    }
}

#[test]
fn counter_maps_are_all_in_the_plan() {
    let plan = plan(bpf::COUNTER, &[("xdp_count", ProgramKind::Xdp)]);
    let names: Vec<_> = plan.maps.iter().map(|map| map.name.as_str()).collect();
    assert_eq!(names, ["counters", "traffic", ".rodata", ".data", ".bss"]);
    let shape = |map: &MapPlan| {
        (
            map.map_type,
            map.key_size,
            map.value_size,
            map.max_entries,
            map.flags,
        )
    };
    assert_eq!(shape(map(&plan, "counters")), (2, 4, 8, 8, 0));
    assert_eq!(shape(map(&plan, "traffic")), (6, 4, 16, 8, 0));
    assert_eq!(shape(map(&plan, ".rodata")), (2, 4, 8, 1, 128));
    assert_eq!(shape(map(&plan, ".data")), (2, 4, 4, 1, 0));
    assert_eq!(shape(map(&plan, ".bss")), (2, 4, 8, 1, 0));
    assert_eq!(
        map(&plan, ".rodata").initial.as_deref(),
        Some(&1_u64.to_le_bytes()[..])
    );
    assert_eq!(
        map(&plan, ".data").initial.as_deref(),
        Some(&1_u32.to_le_bytes()[..])
    );
    assert_eq!(map(&plan, ".bss").initial, None);
    for map in &plan.maps {
        assert_eq!(map.internal, map.name.starts_with('.'), "{}", map.name);
        assert_eq!(map.freeze, map.name == ".rodata", "{}", map.name);
        assert!(
            map.btf_value_type_id > 0 && !map.pin_by_name,
            "{}",
            map.name
        );
    }
    assert_eq!(plan.btf.expect("BTF")[..2], [0x9f, 0xeb]);
}

#[test]
fn globals_are_written_into_their_sections() {
    let programs = [("xdp_count", ProgramKind::Xdp)];
    let globals: [(&str, &[u8]); 3] = [
        ("step", &7_u64.to_le_bytes()),
        ("enabled", &0_u32.to_le_bytes()),
        ("total", &9_u64.to_le_bytes()),
    ];
    let plan = plan_with(bpf::COUNTER, &programs, &globals).expect("a plan");
    assert_eq!(
        map(&plan, ".rodata").initial.as_deref(),
        Some(&7_u64.to_le_bytes()[..])
    );
    assert_eq!(map(&plan, ".data").initial, None, "all zeroes now");
    assert_eq!(
        map(&plan, ".bss").initial.as_deref(),
        Some(&9_u64.to_le_bytes()[..])
    );
}

#[test]
fn wrong_globals_are_refused() {
    let programs = [("xdp_count", ProgramKind::Xdp)];
    let unknown = plan_with(bpf::COUNTER, &programs, &[("stop", &[0; 8])]).expect_err("unknown");
    assert_eq!(
        unknown.cause,
        "global variable \"stop\" not found in program; available: [enabled, step, total]"
    );
    assert_eq!(
        (unknown.code, unknown.stage),
        (FailureCode::NotFound, Stage::Compile)
    );
    assert!(unknown.remedy.contains("step"), "{}", unknown.remedy);
    let short = plan_with(bpf::COUNTER, &programs, &[("step", &[0; 4])]).expect_err("size");
    assert_eq!(
        short.cause,
        "set variable \"step\": it has 8 bytes, the value has 4"
    );
    let one = GlobalValue {
        name: "step".into(),
        bytes: vec![0; 8],
    };
    let many = vec![one; ipc::limits::GLOBALS + 1];
    let request = Request {
        programs: &[wanted("xdp_count", ProgramKind::Xdp)],
        globals: &many,
        types: &[],
    };
    let many = compile(bpf::COUNTER, &request, &mut RunningKernel::default()).expect_err("many");
    assert_eq!(many.code, FailureCode::ResourceExhausted);
}

#[test]
fn unknown_programs_are_refused_with_what_there_is() {
    let failure = plan_with(
        bpf::ORDER,
        &[("order_frist", ProgramKind::Tcx), ("zzz", ProgramKind::Tcx)],
        &[],
    )
    .expect_err("unknown programs");
    assert_eq!(
        failure.cause,
        "program(s) not found in object file: [order_frist, zzz]; \
         available programs: [order_first, order_second, order_third]"
    );
    assert!(
        failure.remedy.starts_with("did you mean: order_first"),
        "{}",
        failure.remedy
    );
    assert_eq!(
        (failure.code, failure.stage),
        (FailureCode::NotFound, Stage::Compile)
    );
}

#[test]
fn requests_are_bounded() {
    let refused = |programs: &[(&str, ProgramKind)]| {
        plan_with(bpf::ORDER, programs, &[])
            .expect_err("refused")
            .cause
    };
    let first = ("order_first", ProgramKind::Tcx);
    assert_eq!(refused(&[]), "no program is asked for");
    assert_eq!(
        refused(&[first, first]),
        "program \"order_first\" is asked for twice"
    );
    assert!(refused(&[first; ipc::limits::LOAD_PROGRAMS + 1]).starts_with("more than 64"));
}

#[test]
fn kinds_must_agree_with_sections() {
    let failure = plan_with(bpf::COUNTER, &[("xdp_count", ProgramKind::Tracepoint)], &[])
        .expect_err("mismatch");
    assert_eq!(
        failure.cause,
        "program type mismatch: caller specified tracepoint but ELF section \"xdp\" implies xdp"
    );
    assert_eq!(failure.code, FailureCode::FailedPrecondition);
    assert!(plan_with(bpf::COUNTER, &[("tc_count", ProgramKind::Tcx)], &[]).is_ok());
}

#[test]
fn siblings_that_cannot_be_compiled_do_not_matter() {
    let plan = plan(
        bpf::INVALID,
        &[
            ("accepted", ProgramKind::Tcx),
            ("rejected", ProgramKind::Tcx),
        ],
    );
    assert_eq!(plan.programs.len(), 2);
    let failure = plan_with(bpf::INVALID, &[("unresolved", ProgramKind::Xdp)], &[])
        .expect_err("an unknown kernel function");
    assert_eq!(
        failure.cause,
        "function \"unresolved\" uses \"bpfman_no_such_kernel_function\", \
         which the object does not define"
    );
    assert_eq!(failure.code, FailureCode::Unsupported);
}

#[test]
fn core_objects_bring_what_they_call() {
    let plan = plan(
        bpf::CORE,
        &[
            ("core_task", ProgramKind::Tracepoint),
            ("core_callback", ProgramKind::Tracepoint),
        ],
    );
    let functions = |index: usize| {
        plan.programs[index]
            .func_info
            .as_ref()
            .map(|table| table.records.len() / 8)
    };
    assert_eq!(functions(0), Some(3), "the program, read_pid, is_watched");
    assert_eq!(functions(1), Some(2), "the program, add_event");
    let sources = |index: usize, code: u8| {
        let program = &plan.programs[index];
        (0..program.instructions.len() / 8)
            .map(|at| instruction(program, at))
            .filter(|(found, source, _)| *found == code && *source != 0)
            .map(|(_, source, _)| source)
            .collect::<Vec<_>>()
    };
    assert_eq!(sources(0, 0x85), [1, 1], "two calls of subprograms");
    assert!(sources(1, 0x18).contains(&4), "a pointer to a subprogram");
}

#[test]
fn bit_fields_of_the_kernel_are_not_loaded_as_a_whole() {
    let failure = plan_with(
        bpf::CORE,
        &[("core_bit_field", ProgramKind::Tracepoint)],
        &[],
    )
    .expect_err("a bit field");
    assert_eq!(
        failure.cause,
        "\"task_struct.in_execve\" is a bit field in the running kernel: \
         read it with BPF_CORE_READ_BITFIELD"
    );
    assert_eq!(failure.code, FailureCode::Unsupported);
}

#[test]
fn maps_of_many_types() {
    let plan = plan(bpf::MAPS, &[("uses_none", ProgramKind::Tc)]);
    let names: Vec<_> = plan.maps.iter().map(|map| map.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "hash",
            "recent",
            "shared",
            "events",
            "samples",
            "tables.inner",
            "tables"
        ]
    );
    assert!(plan.programs[0].map_slots.is_empty());
    assert_eq!(map(&plan, "hash").flags, 1);
    assert_eq!(map(&plan, "samples").max_entries, 0);
    assert_eq!(map(&plan, "events").max_entries % 4096, 0);
    assert_eq!(map(&plan, "tables").inner, Some(5));
    assert_eq!(map(&plan, "tables").value_size, 4);
    assert_eq!(map(&plan, "tables.inner").max_entries, 2);
    assert!(map(&plan, "shared").pin_by_name && !map(&plan, "hash").pin_by_name);
    for name in ["samples", "tables"] {
        assert_eq!(map(&plan, name).btf_key_type_id, 0, "{name}");
    }
}

#[test]
fn types_of_keys_and_values_are_told_apart_by_what_is_in_them() {
    let tally = |object, program| {
        let plan = plan(object, &[(program, ProgramKind::Tracepoint)]);
        let map = map(&plan, "tally");
        (
            map.key_type.clone().unwrap(),
            map.value_type.clone().unwrap(),
        )
    };
    let (key, value) = tally(bpf::TALLY, "tally_first");
    assert_eq!(key.text, "u32");
    assert_eq!(value.text, "struct tally { u64 events; u64 last; }");
    // Type definitions and qualifiers do not count.
    assert_eq!(
        tally(bpf::TALLY_TOO, "tally_second"),
        (key.clone(), value.clone())
    );
    let (other_key, other_value) = tally(bpf::TALLY_OTHER, "tally_other");
    assert_eq!(other_key, key);
    assert_ne!(other_value.digest, value.digest);

    let maps = plan(bpf::MAPS, &[("uses_none", ProgramKind::Tc)]);
    let text = |name| map(&maps, name).value_type.clone().map(|ty| ty.text);
    assert_eq!(
        text("tables").as_deref(),
        Some("map of type 2 with 2 entries, u32 to u64")
    );
    assert_eq!(text("events"), None);
    assert_eq!(
        map(&maps, "hash").key_type.clone().unwrap().text,
        "struct key { u32 address; u16 port; u16 protocol; }"
    );
}

#[test]
fn objects_without_btf_and_license() {
    let plan = plan(bpf::BARE, &[("bare_count", ProgramKind::Tc)]);
    assert_eq!(plan.license, "");
    assert_eq!(plan.btf, None);
    assert_eq!(used(&plan, &plan.programs[0]), ["legacy", ".bss"]);
    assert_eq!(
        (
            map(&plan, "legacy").map_type,
            map(&plan, "legacy").value_size
        ),
        (2, 8)
    );
    assert_eq!(
        (&plan.programs[0].func_info, &plan.programs[0].line_info),
        (&None, &None)
    );
}

#[test]
fn the_digest_is_that_of_the_file() {
    use sha2::{Digest as _, Sha256};
    let plan = plan(bpf::BARE, &[("bare_count", ProgramKind::Tc)]);
    assert_eq!(
        plan.object_digest,
        <[u8; 32]>::from(Sha256::digest(bpf::BARE))
    );
}

#[test]
fn programs_for_one_place_get_its_number_in_the_kernels_types() {
    let number = |name: &str, kind, attach_function: Option<&str>| {
        let program = ProgramRequest {
            attach_function: attach_function.map(str::to_owned),
            ..wanted(name, kind)
        };
        let request = Request {
            programs: &[program],
            globals: &[],
            types: &[],
        };
        compile(bpf::FUNCTIONS, &request, &mut RunningKernel::default())
            .map(|plan| plan.programs[0].clone())
    };
    let section = number("fentry_count", ProgramKind::Fentry, None).expect("a plan");
    assert_eq!(section.attach_function.as_deref(), Some("do_unlinkat"));
    let caller = number("fentry_count", ProgramKind::Fentry, Some("vfs_unlink")).expect("a plan");
    assert_eq!(caller.attach_function.as_deref(), Some("vfs_unlink"));
    assert_ne!(section.attach_btf_id, 0);
    assert_ne!(caller.attach_btf_id, 0);
    assert_ne!(section.attach_btf_id, caller.attach_btf_id);
    let hook = number("lsm_count", ProgramKind::Lsm, None).expect("a plan");
    assert_ne!(hook.attach_btf_id, 0);
    let free = number("kprobe_count", ProgramKind::Kprobe, None).expect("a plan");
    assert_eq!((free.attach_btf_id, free.attach_function), (0, None));

    let missing = number("lsm_count", ProgramKind::Lsm, Some("inode_unlik")).expect_err("no hook");
    assert_eq!(missing.code, FailureCode::NotFound);
    assert!(
        missing.cause.contains("security hook \"inode_unlik\""),
        "{missing}"
    );
    assert!(missing.remedy.contains("inode_unlink"), "{missing}");
    // The empty function behind a hook is no hook's name.
    assert!(number("lsm_count", ProgramKind::Lsm, Some("bpf_lsm_inode_unlink")).is_err());
}

#[test]
fn variables_of_the_kernel_are_data_that_only_programs_which_use_them_need() {
    let plan = plan(bpf::KCONFIG, &[("kconfig_known", ProgramKind::Tracepoint)]);
    let variables = map(&plan, ".kconfig");
    assert_eq!(
        (variables.map_type, variables.max_entries, variables.flags),
        (2, 1, 128)
    );
    assert!(variables.internal && variables.freeze);
    assert_eq!(variables.btf_value_type_id, 0);
    let initial = variables.initial.as_deref().expect("values");
    assert_eq!(initial.len(), 32, "four of them");
    assert!(used(&plan, &plan.programs[0]).contains(&".kconfig"));

    let number = [("kconfig_number", ProgramKind::Tracepoint)];
    let failure = plan_with(bpf::KCONFIG, &number, &[]).expect_err("no value");
    assert_eq!(failure.code, FailureCode::Unsupported);
    assert_eq!(
        failure.cause,
        "function \"kconfig_number\" uses \"CONFIG_BPFMAN_NUMBER\", which the object does not define"
    );
    assert!(
        failure
            .remedy
            .contains("--global CONFIG_BPFMAN_NUMBER:TYPE=VALUE"),
        "{failure}"
    );
    let value = 250_u32.to_le_bytes();
    let given = plan_with(bpf::KCONFIG, &number, &[("CONFIG_BPFMAN_NUMBER", &value)]);
    let given = given.expect("a plan");
    let variables = map(&given, ".kconfig").initial.as_deref().expect("values");
    assert!(variables.chunks(8).any(|variable| variable[..4] == value));
    // It is a number of four bytes.
    let refused = plan_with(bpf::KCONFIG, &number, &[("CONFIG_BPFMAN_NUMBER", &[1])]);
    assert!(refused.expect_err("one byte").cause.contains("has 4 bytes"));
}
