//! Assembles the load plan.

use super::Request;
use super::attach_target::{self, Target};
use super::btf::Btf;
use super::elf::{Elf, Role};
use super::error::CompileError;
use super::functions::{Functions, Reach};
use super::kernel_btf::KernelBtf;
use super::map_types;
use super::maps::{self, Maps};
use super::sections::SectionFacts;
use super::{cgroup, elements, globals, kconfig, normalise, relocate, sections, select};
use aya_obj::{Function, Object};
use ipc::messages::program::ProgramRequest;
use ipc::plan::{InfoTable, LoadPlan, PLAN_VERSION, ProgramPlan};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;

/// Bytes of the records that the plan carries: `struct bpf_func_info` and `struct bpf_line_info`.
const FUNCTION_RECORD: u32 = 8;
const LINE_RECORD: u32 = 16;

/// Makes the plan of an object that passed [`super::check::check`].
pub(super) fn plan(
    object: &[u8],
    request: &Request<'_>,
    kernel: &mut dyn KernelBtf,
) -> Result<LoadPlan, CompileError> {
    let object_digest = Sha256::digest(object).into();
    let elf = Elf::parse(object)?;
    let functions = Functions::collect(&elf)?;
    let selected = select::select(&functions, request.programs)?;
    let facts = request
        .programs
        .iter()
        .zip(&selected)
        .map(|(program, index)| {
            let section = &elf.sections[functions.get(*index).section];
            cgroup::with_hook(sections::facts(section.name, program.kind)?, program)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let targets: Vec<Target<'_>> = request
        .programs
        .iter()
        .zip(&facts)
        .map(|(program, facts)| Target {
            kind: program.kind,
            program: &program.name,
            // What the caller says counts more than what the author wrote.
            name: program
                .attach_function
                .as_deref()
                .or(facts.target.as_deref()),
        })
        .collect();
    let attach_ids = attach_target::resolve(&targets, kernel)?;
    let btf = elf
        .with_role(Role::Btf)
        .map(|(_, section)| Btf::parse(section.data))
        .transpose()?;
    let defined = kconfig::define(&elf, btf.as_ref(), request.globals, kernel)?;
    let elf = match &defined {
        Some(bytes) => Elf::parse(bytes)?,
        None => elf,
    };
    let reaches = selected
        .iter()
        .map(|index| functions.reach(&elf, *index))
        .collect::<Result<Vec<_>, _>>()?;
    let kept: BTreeSet<usize> = reaches
        .iter()
        .flat_map(|reach| &reach.functions)
        .copied()
        .collect();
    maps::check(&elf)?;
    let initializers = elements::read(&elf, btf.as_ref())?;

    let normalised = normalise::normalise(&elf, &functions, btf.as_ref(), &kept)?;
    let mut object = relocate::parse(&normalised, &functions, &kept)?;
    globals::set(&elf, btf.as_ref(), &mut object, request)?;
    let mut maps = maps::plan(&elf, &normalised.data_sections, &object)?;
    let context = elements::Context {
        elf: &elf,
        functions: &functions,
        object: &object,
        programs: request.programs,
        selected: &selected,
        reaches: &reaches,
    };
    elements::plan(&initializers, &context, &mut maps)?;
    relocate::relocate_types(&mut object, &normalised, kernel)?;
    relocate::relocate_maps(&elf, &mut object, &maps, &reaches)?;

    let mut programs = Vec::with_capacity(selected.len());
    for ((((request, index), facts), reach), attach_btf_id) in request
        .programs
        .iter()
        .zip(selected)
        .zip(facts)
        .zip(&reaches)
        .zip(attach_ids)
    {
        let section = elf.sections[functions.get(index).section].name;
        let function = relocate::link(&mut object, &functions, index)?;
        programs.push(ProgramPlan {
            attach_btf_id,
            ..program(request, section, facts, &function, reach, &maps)?
        });
    }
    let btf = btf_blob(&object);
    if let Some(blob) = &btf {
        map_types::describe(blob, &mut maps.plans)?;
    }
    Ok(LoadPlan {
        version: PLAN_VERSION,
        object_digest,
        license: elf.license(),
        btf,
        maps: maps.plans,
        programs,
    })
}

fn btf_blob(object: &Object) -> Option<Vec<u8>> {
    object.btf.as_ref().map(aya_obj::btf::Btf::to_bytes)
}

fn program(
    request: &ProgramRequest,
    section: &str,
    facts: SectionFacts,
    function: &Function,
    reach: &Reach,
    maps: &Maps,
) -> Result<ProgramPlan, CompileError> {
    let (instructions, map_slots) = relocate::encode(&function.instructions, maps.plans.len())?;
    // The kernel takes a record for each function or none at all.
    let functions = &function.func_info.func_info;
    let complete = functions.len() == reach.functions.len();
    let func_info = complete.then(|| InfoTable {
        record_size: FUNCTION_RECORD,
        records: function.func_info.func_info_bytes(),
    });
    let lines = &function.line_info.line_info;
    let starts: BTreeSet<u32> = lines.iter().map(|line| line.insn_off).collect();
    let covered = functions
        .iter()
        .all(|function| starts.contains(&function.insn_off));
    let line_info = (complete && covered && !lines.is_empty()).then(|| InfoTable {
        record_size: LINE_RECORD,
        records: function.line_info.line_info_bytes(),
    });
    let attach_function = request
        .attach_function
        .clone()
        .or_else(|| facts.target.clone())
        .filter(|_| request.kind.is_fixed())
        .or_else(|| facts.hook.map(str::to_owned));
    Ok(ProgramPlan {
        name: request.name.clone(),
        kind: request.kind,
        section: section.to_owned(),
        prog_type: facts.prog_type,
        expected_attach_type: facts.expected_attach_type,
        flags: facts.flags,
        instructions,
        map_slots,
        func_info,
        line_info,
        attach_function,
        section_target: facts.target,
        attach_btf_id: 0,
    })
}
