//! What programs attach to that are fixed to one place when they are loaded: the number of a function in the kernel's own
//! types. The loader, which reads no BTF, hands the number on.

use super::btf::{Btf, FUNC, TYPEDEF};
use super::error::CompileError;
use super::kernel_btf::KernelBtf;
use super::select::similar;
use ipc::messages::program::ProgramKind;

/// A program and the name by which its kind knows the place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'r> {
    pub(super) kind: ProgramKind,
    /// C function name of the program, for messages.
    pub(super) program: &'r str,
    /// Function or hook, from the request or the section.
    pub(super) name: Option<&'r str>,
}

/// As what the places of a kind stand among the kernel's types, and what is put before their names.
fn convention(kind: ProgramKind) -> (u32, &'static str) {
    match kind {
        // Each hook has an empty function of this name, which is what programs are put on.
        ProgramKind::Lsm => (FUNC, "bpf_lsm_"),
        // The type of a tracepoint's probe says what arguments a program gets.
        ProgramKind::TpBtf => (TYPEDEF, "btf_trace_"),
        // A function that is there for its parameters alone.
        ProgramKind::Iter => (FUNC, "bpf_iter_"),
        _ => (FUNC, ""),
    }
}

/// The type id of each program's target, 0 for kinds without. The kernel's types are only read when one needs them.
pub(super) fn resolve(
    targets: &[Target<'_>],
    kernel: &mut dyn KernelBtf,
) -> Result<Vec<u32>, CompileError> {
    if !targets.iter().any(|target| target.kind.is_fixed()) {
        return Ok(vec![0; targets.len()]);
    }
    let section = kernel.section()?;
    let types = Btf::read(&section)?;
    targets.iter().map(|target| find(target, &types)).collect()
}

fn find(target: &Target<'_>, types: &Btf<'_>) -> Result<u32, CompileError> {
    if !target.kind.is_fixed() {
        return Ok(0);
    }
    let Some(name) = target.name.filter(|name| !name.is_empty()) else {
        return Err(CompileError::NoAttachTarget {
            kind: target.kind,
            program: target.program.to_owned(),
        });
    };
    let (kind, prefix) = convention(target.kind);
    let places = || {
        (0_u32..)
            .zip(&types.types)
            .filter(|(_, ty)| ty.kind == kind)
            .filter_map(|(id, ty)| Some((id, types.text(ty.name)?.strip_prefix(prefix)?)))
    };
    places()
        .find(|(_, place)| *place == name)
        .map(|(id, _)| id)
        .ok_or_else(|| CompileError::AttachTargetNotFound {
            kind: target.kind,
            name: name.to_owned(),
            suggestions: similar(name, places().map(|(_, place)| place)),
        })
}
