//! Object file to load plan.
//!
//! The steps, each in its own file: is it an object ([`check`](mod@check)), what is in it (`elf`, `functions`, `btf`,
//! `btf_ext`, `core`), what is asked for (`select`, `sections`), what it
//! attaches to (`attach_target`), a form that aya-obj takes (`normalise`,
//! `btf_rewrite`), values of what the kernel knows (`kconfig`) and of globals (`globals`,
//! `global_types`), maps (`maps`, `map_types`, `elements`), relocation by aya-obj (`relocate`,
//! `bit_fields`), and the plan (`plan`).
//!
//! Everything that the file says is checked before aya-obj sees it: aya-obj indexes, multiplies and recurses by what
//! it reads. No descriptor, no system call and no state is involved, except that the kernel's own types are read when
//! an object has CO-RE relocations or asks what the kernel can ([`kernel_btf`]).

mod attach_target;
mod bit_fields;
mod btf;
mod btf_ext;
mod btf_rewrite;
mod bytes;
mod cgroup;
pub mod check;
mod core;
pub mod describe;
mod elements;
mod elf;
pub mod error;
mod functions;
mod global_types;
mod globals;
mod kconfig;
pub mod kernel_btf;
mod map_types;
mod maps;
mod normalise;
mod plan;
mod relocate;
mod sections;
mod select;

pub use error::CompileError;
pub use kernel_btf::{KernelBtf, RunningKernel};
pub(crate) use select::similar;

use ipc::messages::failure::Failure;
use ipc::messages::program::{GlobalValue, ProgramRequest, TypedGlobal};
use ipc::plan::LoadPlan;

/// What is wanted from an object.
#[derive(Clone, Copy, Debug)]
pub struct Request<'r> {
    /// Programs, at least one.
    pub programs: &'r [ProgramRequest],
    /// Values for global variables.
    pub globals: &'r [GlobalValue],
    /// What the values of some of them were given as.
    pub types: &'r [TypedGlobal],
}

/// Compiles an object into the plan for the programs asked for.
pub fn compile(
    object: &[u8],
    request: &Request<'_>,
    kernel_btf: &mut dyn KernelBtf,
) -> Result<LoadPlan, Failure> {
    check::check(object)?;
    Ok(plan::plan(object, request, kernel_btf)?)
}
