//! What programs attach to that are fixed to one place when they are loaded: the number of a function in the kernel's own
//! types. The loader, which reads no BTF, hands the number on.

use super::btf::{Btf, FUNC};
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

/// What the names of a kind look like among the kernel's types; `None` for kinds that are fixed to nothing.
fn prefix(kind: ProgramKind) -> Option<&'static str> {
    match kind {
        ProgramKind::Fentry | ProgramKind::Fexit => Some(""),
        // Each hook has an empty function of this name, which is what programs are put on.
        ProgramKind::Lsm => Some("bpf_lsm_"),
        _ => None,
    }
}

/// Whether programs of this kind are loaded for one place.
pub(super) fn has_target(kind: ProgramKind) -> bool {
    prefix(kind).is_some()
}

/// The type id of each program's target, 0 for kinds without. The kernel's types are only read when one needs them.
pub(super) fn resolve(
    targets: &[Target<'_>],
    kernel: &mut dyn KernelBtf,
) -> Result<Vec<u32>, CompileError> {
    if !targets.iter().any(|target| has_target(target.kind)) {
        return Ok(vec![0; targets.len()]);
    }
    let section = kernel.section()?;
    let types = Btf::read(&section)?;
    targets.iter().map(|target| find(target, &types)).collect()
}

fn find(target: &Target<'_>, types: &Btf<'_>) -> Result<u32, CompileError> {
    let Some(prefix) = prefix(target.kind) else {
        return Ok(0);
    };
    let Some(name) = target.name.filter(|name| !name.is_empty()) else {
        return Err(CompileError::NoAttachTarget {
            kind: target.kind,
            program: target.program.to_owned(),
        });
    };
    let functions = || {
        (0_u32..)
            .zip(&types.types)
            .filter(|(_, ty)| ty.kind == FUNC)
            .filter_map(|(id, ty)| Some((id, types.text(ty.name)?.strip_prefix(prefix)?)))
    };
    functions()
        .find(|(_, function)| *function == name)
        .map(|(id, _)| id)
        .ok_or_else(|| CompileError::AttachTargetNotFound {
            kind: target.kind,
            name: name.to_owned(),
            suggestions: similar(name, functions().map(|(_, function)| function)),
        })
}
