//! Whether the kernel lets a program replace a function of another (freplace), found by trying.

use super::{dispatcher, member};
use crate::kernel::program::{self, Replaced};
use crate::kernel::{btf, link};
use ipc::messages::chain::HookKind;
use ipc::messages::failure::Failure;
use ipc::messages::program::ProgramKind;
use ipc::plan::{InfoTable, ProgramPlan};
use std::os::fd::AsFd;
use std::sync::OnceLock;

/// Why it does not, for people. Remembered for the life of the process, because it cannot change.
pub fn replacing() -> &'static Result<(), String> {
    static ANSWER: OnceLock<Result<(), String>> = OnceLock::new();
    ANSWER.get_or_init(|| {
        try_replacing().map_err(|reason| {
            format!(
                "this kernel lets no program replace a function of another (freplace): {reason}"
            )
        })
    })
}

/// Puts an empty program in the place of a function of a dispatcher that is on no hook.
fn try_replacing() -> Result<(), String> {
    const RETURN_ZERO: [u8; 16] = [0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0];
    let hook = HookKind::Xdp;
    let failed = |failure: Failure| failure.cause;
    let target = member::load_dispatcher(hook, &[0], false).map_err(failed)?;
    let function = dispatcher::function(hook, 0).map_err(failed)?;
    // It has the type of the function that it replaces.
    let template = dispatcher::plan(hook).map_err(failed)?.plan();
    let types = btf::load(template.btf.as_deref().unwrap_or_default())
        .map_err(|error| error.to_string())?;
    let empty = ProgramPlan {
        name: "bpfman_probe".into(),
        kind: ProgramKind::Xdp,
        section: String::new(),
        prog_type: 0,
        expected_attach_type: 0,
        flags: 0,
        instructions: RETURN_ZERO.to_vec(),
        map_slots: Vec::new(),
        func_info: Some(InfoTable {
            record_size: 8,
            records: [0, function].map(u32::to_ne_bytes).concat(),
        }),
        line_info: None,
        attach_function: None,
        section_target: None,
        attach_btf_id: 0,
    };
    let replaced = Replaced {
        program: target.as_fd(),
        function,
    };
    let program = program::load_replacing(&empty, "GPL", types.as_fd(), &[], replaced)
        .map_err(|error| error.to_string())?;
    link::create_replacing(program.as_fd(), target.as_fd(), function)
        .map(drop)
        .map_err(|error| error.to_string())
}
