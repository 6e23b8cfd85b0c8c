//! A small plan with one of everything, for tests.

use super::*;
use ipc::messages::program::ProgramKind;
use ipc::plan::MapSlot;

/// `r1 = map; exit`, twice as long as it need be.
pub(crate) fn plan() -> LoadPlan {
    let program = |name: &str| {
        let mut instructions = Vec::new();
        instructions.extend_from_slice(&[LD_IMM64, 0x11, 0, 0, 0, 0, 0, 0]);
        instructions.extend_from_slice(&[0; 8]);
        instructions.extend_from_slice(&[LD_IMM64, 0x21, 0, 0, 0, 0, 0, 0]);
        instructions.extend_from_slice(&[0; 8]);
        instructions.extend_from_slice(&[0xb7, 0, 0, 0, 0, 0, 0, 0]);
        instructions.extend_from_slice(&[0x95, 0, 0, 0, 0, 0, 0, 0]);
        ProgramPlan {
            name: name.into(),
            kind: ProgramKind::Tcx,
            section: "tcx/ingress".into(),
            prog_type: 3,
            expected_attach_type: 46,
            flags: 0,
            instructions,
            map_slots: vec![
                MapSlot {
                    instruction: 0,
                    map: 0,
                },
                MapSlot {
                    instruction: 2,
                    map: 1,
                },
            ],
            func_info: Some(InfoTable {
                record_size: 8,
                records: vec![0; 16],
            }),
            line_info: Some(InfoTable {
                record_size: 16,
                records: vec![0; 32],
            }),
            attach_function: None,
            section_target: None,
            attach_btf_id: 0,
        }
    };
    LoadPlan {
        version: PLAN_VERSION,
        object_digest: [7; 32],
        license: "GPL".into(),
        btf: Some(vec![0; 24]),
        maps: vec![
            map("counters", false),
            MapPlan {
                initial: Some(vec![1; 8]),
                freeze: true,
                ..map(".rodata", true)
            },
            MapPlan {
                inner: Some(3),
                map_type: 12,
                ..map("outer", false)
            },
            map("template", false),
        ],
        programs: vec![program("first"), program("second")],
    }
}

fn map(name: &str, internal: bool) -> MapPlan {
    MapPlan {
        internal,
        ..MapPlan::plain(name, 2, (4, 8), 1)
    }
}

/// The same, through every check.
pub(crate) fn valid(plan: LoadPlan) -> Result<ValidPlan, Failure> {
    let bytes = ipc::codec::encode(&plan, ipc::limits::PLAN_BYTES).expect("the sample is small");
    ValidPlan::try_from(EncodedPlan {
        digest: crate::plan_intake::digest(&bytes),
        bytes,
        plan,
    })
}
