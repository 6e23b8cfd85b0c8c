//! Plans of fixture objects, for tests.
#![allow(dead_code, reason = "each test binary uses a part")]

use image_worker::compile::{Request, RunningKernel, compile};
use ipc::messages::failure::Failure;
use ipc::messages::program::{GlobalValue, ProgramKind, ProgramRequest};
use ipc::plan::{LoadPlan, MapPlan};

pub(crate) fn wanted(name: &str, kind: ProgramKind) -> ProgramRequest {
    ProgramRequest {
        name: name.to_owned(),
        kind,
        attach_function: None,
    }
}

pub(crate) fn plan_with(
    object: &[u8],
    programs: &[(&str, ProgramKind)],
    globals: &[(&str, &[u8])],
) -> Result<LoadPlan, Failure> {
    let programs: Vec<_> = programs
        .iter()
        .map(|(name, kind)| wanted(name, *kind))
        .collect();
    let globals: Vec<_> = globals
        .iter()
        .map(|(name, bytes)| GlobalValue {
            name: (*name).to_owned(),
            bytes: bytes.to_vec(),
        })
        .collect();
    let request = Request {
        programs: &programs,
        globals: &globals,
        types: &[],
    };
    compile(object, &request, &mut RunningKernel::default())
}

pub(crate) fn plan(object: &[u8], programs: &[(&str, ProgramKind)]) -> LoadPlan {
    plan_with(object, programs, &[]).expect("a plan")
}

pub(crate) fn map<'p>(plan: &'p LoadPlan, name: &str) -> &'p MapPlan {
    plan.maps.iter().find(|map| map.name == name).expect(name)
}
