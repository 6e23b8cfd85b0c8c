//! Programs of chains: in which form they are loaded, and what they are made of when they become part of another one.

use super::{dispatcher, support};
use crate::kernel::program::{self, Replaced};
use crate::kernel::{Error, btf, map, pin};
use crate::plan_file;
use crate::store::records::StoredProgram;
use crate::valid_plan::{MapRole, ValidPlan};
use ipc::messages::chain::HookKind;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::program::ProgramKind;
use ipc::plan::ProgramPlan;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// A program of a chain, loaded.
#[derive(Debug)]
pub struct Loaded {
    /// The program.
    pub program: OwnedFd,
    /// Why it cannot replace a function of a dispatcher; `None` where it can.
    pub own_form: Option<String>,
}

/// Why a program for entries of maps is loaded in its own form.
const IN_MAPS: &str = "it runs in entries of a devmap or cpumap";

/// Whether the kernel runs a program where packets are redirected to, and on no interface.
fn runs_in_maps(plan: &ProgramPlan) -> bool {
    const DEVMAP: u32 = 33;
    const CPUMAP: u32 = 35;
    plan.kind == ProgramKind::Xdp && [DEVMAP, CPUMAP].contains(&plan.expected_attach_type)
}

/// Refuses to put such a program on an interface.
pub fn check_is_for_interfaces(stored: &StoredProgram) -> Result<(), Failure> {
    let own = stored.member.as_ref().and_then(|form| form.own.as_deref());
    if own != Some(IN_MAPS) {
        return Ok(());
    }
    let record = &stored.record;
    let cause = format!(
        "program {} (section \"{}\") cannot be on an interface: {IN_MAPS}",
        record.program_id, record.section,
    );
    Err(
        Failure::new(FailureCode::InvalidArgument, Stage::Attach, cause).remedy(format!(
            "an application puts {} into its map; for interfaces, give the program the section \"xdp\"",
            record.pin_path
        )),
    )
}

/// Loads a program so that it can be a member of any chain: in the form that replaces a function, or, where the kernel or
/// the program does not allow that, in its own.
pub fn load(
    plan: &ProgramPlan,
    license: &str,
    types: Option<BorrowedFd<'_>>,
    maps: &[BorrowedFd<'_>],
) -> Result<Loaded, Error> {
    let hook = hook_of(plan.kind);
    let own_form = match (support::replacing(), types, &plan.func_info) {
        _ if runs_in_maps(plan) => IN_MAPS.to_owned(),
        (Err(missing), _, _) => missing.clone(),
        (Ok(()), Some(types), Some(_)) => match load_replacing(hook, plan, license, types, maps) {
            Ok(program) => {
                return Ok(Loaded {
                    program,
                    own_form: None,
                });
            }
            Err(error) => last_line(&error),
        },
        (Ok(()), _, _) => "it has no type information (compile with -g)".to_owned(),
    };
    // Where both forms are refused, what the verifier says about the program's own form is what its author understands.
    let program = program::load(plan, license, types, maps)?;
    Ok(Loaded {
        program,
        own_form: Some(own_form),
    })
}

fn load_replacing(
    hook: HookKind,
    plan: &ProgramPlan,
    license: &str,
    types: BorrowedFd<'_>,
    maps: &[BorrowedFd<'_>],
) -> Result<OwnedFd, Error> {
    let broken = |_: Failure| Error::new("the dispatcher", rustix::io::Errno::NOEXEC);
    let target = load_dispatcher(hook, &[0], false).map_err(broken)?;
    let replaced = Replaced {
        program: target.as_fd(),
        function: dispatcher::function(hook, 0).map_err(broken)?,
    };
    program::load_replacing(plan, license, types, maps, replaced)
}

/// Loads the dispatcher for members with these masks.
pub fn load_dispatcher(hook: HookKind, masks: &[u32], has_frags: bool) -> Result<OwnedFd, Failure> {
    let contents = dispatcher::configuration(hook, masks, has_frags);
    load_configured(hook, &contents, has_frags)
}

/// Loads the dispatcher with this configuration.
pub fn load_configured(
    hook: HookKind,
    contents: &[u8],
    has_frags: bool,
) -> Result<OwnedFd, Failure> {
    let plan = dispatcher::plan(hook)?.plan();
    let failed = |error: Error| error.into_failure(Stage::Attach, "the dispatcher");
    let types = plan
        .btf
        .as_deref()
        .map(btf::load)
        .transpose()
        .map_err(failed)?;
    let types = types.as_ref().map(AsFd::as_fd);
    let configuration =
        map::create(&plan.maps[0], types, None, &plan.maps[0].name).map_err(failed)?;
    map::write_initial(configuration.as_fd(), contents).map_err(failed)?;
    map::freeze(configuration.as_fd()).map_err(failed)?;
    let mut program = plan.programs[0].clone();
    if has_frags {
        program.flags |= super::fused::HAS_FRAGS;
    }
    program::load(&program, &plan.license, types, &[configuration.as_fd()]).map_err(failed)
}

/// What a member consists of.
#[derive(Debug)]
pub struct Parts {
    valid: ValidPlan,
    index: usize,
    /// By map of the plan; templates are never made again.
    maps: Vec<Option<OwnedFd>>,
}

impl Parts {
    /// Reads the stored plan of a program and opens its maps: those that it runs with, not copies.
    pub fn open(stored: &StoredProgram) -> Result<Self, Failure> {
        let record = &stored.record;
        let valid = plan_file::read(Path::new(&record.plan_path))?;
        let index = valid
            .plan()
            .programs
            .iter()
            .position(|program| program.name == record.name && program.kind == record.kind)
            .ok_or_else(|| gone(stored, &record.plan_path))?;
        let maps = valid.plan().maps.iter().enumerate();
        let maps = maps
            .map(|(map, plan)| {
                let sections = stored
                    .member
                    .as_ref()
                    .and_then(|form| form.sections.as_ref());
                let path = match (valid.role(map), sections) {
                    (MapRole::Template, _) => return Ok(None),
                    (MapRole::Public, _) => Path::new(&record.maps_dir).join(&plan.name),
                    (MapRole::Internal, Some(sections)) => {
                        Path::new(sections).join(map.to_string())
                    }
                    (MapRole::Internal, None) => return Err(gone(stored, &plan.name)),
                };
                match pin::get(&path) {
                    Ok(map) => Ok(Some(map)),
                    Err(error) if error.is_not_found() => {
                        Err(gone(stored, &path.display().to_string()))
                    }
                    Err(error) => Err(error.into_failure(Stage::Attach, path.display())),
                }
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { valid, index, maps })
    }

    /// The program as its plan has it.
    pub fn program(&self) -> &ProgramPlan {
        &self.valid.plan().programs[self.index]
    }

    /// Its maps, in the order of the plan.
    pub fn maps(&self) -> &[Option<OwnedFd>] {
        &self.maps
    }

    /// Loads it in its own form, with the same maps.
    pub fn load(&self) -> Result<OwnedFd, Failure> {
        let failed = |error: Error| {
            error.into_failure(
                Stage::Attach,
                format!("program \"{}\"", self.program().name),
            )
        };
        let plan = self.valid.plan();
        let types = plan
            .btf
            .as_deref()
            .map(btf::load)
            .transpose()
            .map_err(failed)?;
        // No slot names a template, see `ValidPlan::role`; any descriptor does in its place.
        let filler = self.maps.iter().flatten().next();
        let maps: Vec<BorrowedFd<'_>> = self
            .maps
            .iter()
            .filter_map(|map| map.as_ref().or(filler))
            .map(AsFd::as_fd)
            .collect();
        program::load(
            self.program(),
            &plan.license,
            types.as_ref().map(AsFd::as_fd),
            &maps,
        )
        .map_err(failed)
    }
}

fn hook_of(kind: ProgramKind) -> HookKind {
    match kind {
        ProgramKind::Xdp => HookKind::Xdp,
        // The two directions do not differ in what a program may do.
        _ => HookKind::TcIngress,
    }
}

fn last_line(error: &Error) -> String {
    let log = error.verifier_log.as_deref().unwrap_or_default();
    let line = log
        .lines()
        .rev()
        .find(|line| !line.is_empty() && !line.starts_with("processed "));
    match line {
        Some(line) => format!("the kernel says \"{line}\""),
        None => error.to_string(),
    }
}

fn gone(stored: &StoredProgram, what: &str) -> Failure {
    let id = stored.record.program_id;
    Failure::new(
        FailureCode::FailedPrecondition,
        Stage::Attach,
        format!("program {id} cannot be made part of another: {what} is gone"),
    )
    .remedy(format!("unload program {id} and load it again"))
}
