//! Programs as this interface tells of them. Where the established services differ, every field that one of them fills is
//! filled; the numbers of types are those of `BpfmanProgramType`.

use crate::proto::bytecode_location::Location;
use crate::proto::list_response::ListResult;
use crate::proto::{
    BpfmanProgramType, BytecodeLocation, GetResponse, KernelProgramInfo, ListRequest,
    LoadResponseInfo, ProgramInfo,
};
use ipc::messages::kernel::KernelProgram;
use ipc::messages::program::{Program, ProgramEntry, ProgramKind, ProgramRecord};
use std::collections::BTreeMap;
use tonic::Status;

/// The kind that a number of the interface stands for.
pub(super) fn kind(number: i64) -> Option<ProgramKind> {
    let number = i32::try_from(number).ok()?;
    Some(match BpfmanProgramType::try_from(number).ok()? {
        BpfmanProgramType::Xdp => ProgramKind::Xdp,
        BpfmanProgramType::Tc => ProgramKind::Tc,
        BpfmanProgramType::Tracepoint => ProgramKind::Tracepoint,
        BpfmanProgramType::Kprobe => ProgramKind::Kprobe,
        BpfmanProgramType::Uprobe => ProgramKind::Uprobe,
        BpfmanProgramType::Fentry => ProgramKind::Fentry,
        BpfmanProgramType::Fexit => ProgramKind::Fexit,
        BpfmanProgramType::Tcx => ProgramKind::Tcx,
        BpfmanProgramType::Lsm => ProgramKind::Lsm,
    })
}

/// The number of a kind; 0 for those that the interface has none for.
fn number(kind: ProgramKind) -> u32 {
    let known = match kind {
        ProgramKind::Tc => BpfmanProgramType::Tc,
        ProgramKind::Tracepoint => BpfmanProgramType::Tracepoint,
        ProgramKind::Kprobe
        | ProgramKind::Kretprobe
        | ProgramKind::KprobeMulti
        | ProgramKind::KretprobeMulti => BpfmanProgramType::Kprobe,
        ProgramKind::Uprobe
        | ProgramKind::Uretprobe
        | ProgramKind::UprobeMulti
        | ProgramKind::UretprobeMulti
        | ProgramKind::Usdt => BpfmanProgramType::Uprobe,
        ProgramKind::Fentry => BpfmanProgramType::Fentry,
        ProgramKind::Fexit => BpfmanProgramType::Fexit,
        ProgramKind::Tcx => BpfmanProgramType::Tcx,
        ProgramKind::Lsm => BpfmanProgramType::Lsm,
        _ => BpfmanProgramType::Xdp,
    };
    known as u32
}

/// The answer to `Load`, in the order of the request. Where the bytecode came from is told as it was asked for; secrets were
/// taken out of that.
pub(super) fn loaded(programs: Vec<Program>, bytecode: &BytecodeLocation) -> Vec<LoadResponseInfo> {
    let told = |program: Program| LoadResponseInfo {
        kernel_info: program
            .kernel
            .as_ref()
            .map(|kernel| kernel_info(program.record.kind, kernel)),
        info: Some(ProgramInfo {
            bytecode: Some(bytecode.clone()),
            ..info(program.record, Vec::new(), program.map_used_by)
        }),
    };
    programs.into_iter().map(told).collect()
}

/// The answer to `Get`.
///
/// # Errors
///
/// `Internal` when the program is gone from the kernel.
pub(super) fn got(program: Program) -> Result<GetResponse, Status> {
    let record = program.record;
    let kernel = program.kernel.ok_or_else(|| {
        Status::internal(format!(
            "program {} is in the store and not in the kernel: requires reconciliation; unload it, or restart bpfmand",
            record.program_id
        ))
    })?;
    let links = program.links.iter().map(|link| link.record.id).collect();
    Ok(GetResponse {
        kernel_info: Some(kernel_info(record.kind, &kernel)),
        info: Some(info(record, links, program.map_used_by)),
    })
}

/// The answer to `List`: what is asked for of what is managed and in the kernel.
///
/// # Errors
///
/// `InvalidArgument` for a type that is none.
pub(super) fn listed(
    request: &ListRequest,
    programs: Vec<ProgramEntry>,
) -> Result<Vec<ListResult>, Status> {
    let wanted = wanted_kind(request)?;
    let mut users: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for program in &programs {
        let sharing = users.entry(program.record.maps_dir.clone()).or_default();
        sharing.push(program.record.program_id);
    }
    let is_wanted = |record: &ProgramRecord| {
        wanted.is_none_or(|kind| record.kind == kind)
            && request
                .match_metadata
                .iter()
                .all(|(key, value)| record.metadata.get(key) == Some(value))
    };
    let told = |program: ProgramEntry| {
        let (record, kernel) = (program.record, program.kernel?);
        let sharing = users.get(&record.maps_dir).cloned().unwrap_or_default();
        is_wanted(&record).then(|| ListResult {
            kernel_info: Some(kernel_info(record.kind, &kernel)),
            info: Some(info(record, program.links, sharing)),
        })
    };
    Ok(programs.into_iter().filter_map(told).collect())
}

/// The kind that is asked for, if one is.
///
/// # Errors
///
/// `InvalidArgument` for a number that is none.
pub(super) fn wanted_kind(request: &ListRequest) -> Result<Option<ProgramKind>, Status> {
    let found = |number: u32| {
        kind(number.into())
            .ok_or_else(|| Status::invalid_argument(format!("{number} is no program type")))
    };
    request.program_type.map(found).transpose()
}

fn info(record: ProgramRecord, links: Vec<u64>, map_used_by: Vec<u32>) -> ProgramInfo {
    let mut users = map_used_by;
    users.sort_unstable();
    let globals = record.globals.into_iter();
    ProgramInfo {
        name: record.name,
        // As the established service tells what it keeps. Here that is the compiled plan.
        bytecode: Some(BytecodeLocation {
            location: Some(Location::File(record.plan_path)),
        }),
        links: links.into_iter().map(link_id).collect(),
        global_data: globals.map(|global| (global.name, global.bytes)).collect(),
        map_owner_id: record.map_owner,
        map_pin_path: record.maps_dir,
        map_used_by: users.iter().map(u32::to_string).collect(),
        metadata: record.metadata,
    }
}

/// The interface has half as many bits as ids have; they count from 1, so that none is lost in practice.
pub(super) fn link_id(id: u64) -> u32 {
    id as u32
}

fn kernel_info(kind: ProgramKind, kernel: &KernelProgram) -> KernelProgramInfo {
    let loaded_at = prost_types::Timestamp {
        seconds: kernel.loaded_at,
        nanos: 0,
    };
    let tag = kernel.tag.iter().map(|byte| format!("{byte:02x}"));
    KernelProgramInfo {
        id: kernel.id,
        name: kernel.name.clone(),
        program_type: number(kind),
        loaded_at: loaded_at.to_string(),
        tag: tag.collect(),
        gpl_compatible: kernel.gpl_compatible,
        map_ids: kernel.map_ids.clone(),
        btf_id: kernel.btf_id,
        bytes_xlated: kernel.xlated_size,
        jited: kernel.jited_size > 0,
        bytes_jited: kernel.jited_size,
        bytes_memlock: kernel
            .memlock
            .map_or(0, |bytes| u32::try_from(bytes).unwrap_or(u32::MAX)),
        verified_insns: kernel.verified_insns,
    }
}

#[cfg(test)]
#[path = "programs/tests.rs"]
mod tests;
