//! Carries out [`Step`]s: the one place where a request becomes system calls.
//!
//! An executor holds what the steps of one request made, as descriptors. Dropping it lets go of them, and of everything
//! that was not pinned.

use crate::chains::{self, member, rebuild::ChainStep, work::Work};
use crate::faults::{Faults, Point};
use crate::helpers::{Done, Helpers};
use crate::kernel::{Error, btf, info, map, pin, probe, program};
use crate::kinds::{self, AttachRequest, Attached, Prepared};
use crate::plan_file;
use crate::remove::remove;
use crate::share;
use crate::steps::{MapInstance, Step};
use crate::undo;
use crate::valid_plan::{MapRole, ValidPlan};
use ipc::limits::FRAME_DESCRIPTORS;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::helper::{HelperJob, HelperKind};
use ipc::messages::kernel::{KernelMap, KernelProgram};
use ipc::plan::{Elements, MapPlan, ProgramPlan};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Why programs that jump to each other keep their own form: kernels take no others into one array.
const JUMPS: &str = "it jumps, or is jumped to, by an array of programs that its source fills";

/// What the steps are about.
pub enum Subject<'a> {
    /// A load.
    Plan(&'a ValidPlan),
    /// An attachment.
    Attachment {
        /// What was asked for.
        request: AttachRequest<'a>,
        /// What the kind found out about the target; taken by the step that makes the link.
        prepared: Option<Prepared>,
    },
    /// A change of a chain.
    Chain(Work<'a>),
}

/// What the steps of one request made.
pub struct Executor<'a> {
    subject: Subject<'a>,
    helpers: &'a dyn Helpers,
    faults: &'a Faults,
    done: Vec<Step>,
    btf: Option<OwnedFd>,
    maps: BTreeMap<MapInstance, OwnedFd>,
    programs: Vec<member::Loaded>,
    helped: Option<Done>,
    attached: Option<Attached>,
}

/// A program that was loaded, as the kernel describes it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The program.
    pub program: KernelProgram,
    /// Why it cannot replace a function of a dispatcher, if it is of a kind that might.
    pub own_form: Option<String>,
    /// Its maps in the order of the plan: the role, and what the kernel says.
    pub maps: Vec<(MapRole, KernelMap)>,
}

impl<'a> Executor<'a> {
    /// With nothing made yet.
    pub fn new(subject: Subject<'a>, helpers: &'a dyn Helpers, faults: &'a Faults) -> Self {
        Self {
            subject,
            helpers,
            faults,
            done: Vec::new(),
            btf: None,
            maps: BTreeMap::new(),
            programs: Vec::new(),
            helped: None,
            attached: None,
        }
    }

    /// Carries out steps in order, until one fails.
    pub async fn run(&mut self, steps: Vec<Step>) -> Result<(), Failure> {
        for step in steps {
            self.faults.pass(&Point::Step(&step))?;
            self.execute(&step).await?;
            self.done.push(step);
        }
        Ok(())
    }

    /// The hook, for the acts between the steps.
    pub fn faults(&self) -> &'a Faults {
        self.faults
    }

    /// Takes back what was done, last first. What cannot be taken back is told to the log and left to the intent.
    pub async fn undo(&mut self) -> Result<(), Failure> {
        let removals = undo::plan(&self.done);
        self.done.clear();
        // A link has to lose this holder before it can go.
        self.attached = None;
        if let Subject::Chain(work) = &mut self.subject {
            work.release();
        }
        let mut outcome = Ok(());
        for removal in &removals {
            if let Err(failure) = remove(removal, self.helpers).await {
                tracing::error!(?removal, %failure, "a failed request could not be taken back");
                outcome = Err(failure);
            }
        }
        outcome
    }

    /// The programs that were loaded, in the order of the plan.
    pub fn loaded(&self) -> Result<Vec<Loaded>, Failure> {
        let valid = self.plan()?;
        let describe = |(index, loaded): (usize, &member::Loaded)| {
            let name = &valid.plan().programs[index].name;
            let failed =
                |error: Error| error.into_failure(Stage::Load, format!("program \"{name}\""));
            let (mut program, _) = info::program(loaded.program.as_fd()).map_err(failed)?;
            program.memlock = info::memlock(loaded.program.as_fd());
            let maps = (0..valid.plan().maps.len())
                .filter(|map| valid.role(*map) != MapRole::Template)
                .map(|map| {
                    let found = self.map(MapInstance {
                        program: index,
                        map,
                    })?;
                    let mut described = info::map(found).map_err(failed)?;
                    // The kernel keeps 15 characters of it.
                    described.pin_path.clear();
                    Ok((valid.role(map), described))
                })
                .collect::<Result<_, Failure>>()?;
            Ok(Loaded {
                program,
                own_form: loaded.own_form.clone(),
                maps,
            })
        };
        self.programs.iter().enumerate().map(describe).collect()
    }

    /// The chain that was made.
    pub fn chain(&self) -> Result<&Work<'a>, Failure> {
        match &self.subject {
            Subject::Chain(work) => Ok(work),
            Subject::Plan(_) | Subject::Attachment { .. } => Err(out_of_order("a chain")),
        }
    }

    /// Closes what the steps that are left do not need.
    pub fn forget_members(&mut self) {
        if let Subject::Chain(work) = &mut self.subject {
            work.forget_members();
        }
    }

    /// The link that was made.
    pub fn attached(&self) -> Result<&Attached, Failure> {
        self.attached.as_ref().ok_or_else(|| out_of_order("a link"))
    }

    async fn execute(&mut self, step: &Step) -> Result<(), Failure> {
        match step {
            Step::LoadBtf => self.load_btf(),
            Step::CreateMap(instance) => self.create_map(*instance),
            Step::ShareMap {
                instance,
                pin,
                with,
                form,
            } => {
                let plan = &self.plan()?.plan().maps[instance.map];
                let shared = share::open(plan, pin, *with, form.as_ref())?;
                self.maps.insert(*instance, shared);
                Ok(())
            }
            Step::SameMap { instance, of } => self.same_map(*instance, *of),
            Step::FillMap(instance) => self.fill_map(*instance),
            Step::FreezeMap(instance) => map::freeze(self.map(*instance)?)
                .map_err(|error| self.map_failure(*instance, error)),
            Step::SetElements(instance) => self.set_elements(*instance),
            Step::LoadProgram(index) => self.load_program(*index),
            Step::KeepPlan { path } => plan_file::write(path, self.plan()?.bytes()),
            Step::MakeDirectory { path } => {
                pin::make_directories(path).map_err(|error| pin_failure(path, error))
            }
            Step::PinMap { instance, path } => {
                pin::pin(self.map(*instance)?, path).map_err(|error| pin_failure(path, error))
            }
            Step::GiveToGroup { paths, gid } => self.give_to_group(paths, *gid).await,
            Step::SetMode { paths, mode } => paths.iter().try_for_each(|path| {
                pin::set_mode(path, *mode).map_err(|error| pin_failure(path, error))
            }),
            Step::PinProgram { program, path } => {
                let program = self
                    .programs
                    .get(*program)
                    .ok_or_else(|| out_of_order("a program"))?;
                pin::pin(program.program.as_fd(), path).map_err(|error| pin_failure(path, error))
            }
            Step::AskHelper => self.ask_helper().await,
            Step::CreateLink => self.create_link(),
            Step::Chain(step) => self.change_chain(step).await,
            Step::PinLink { path } => pin::pin(self.attached()?.link.as_fd(), path)
                .map_err(|error| pin_failure(path, error)),
        }
    }

    fn load_btf(&mut self) -> Result<(), Failure> {
        let blob = self.plan()?.plan().btf.as_deref().unwrap_or_default();
        let loaded = btf::load(blob).map_err(|error| {
            error.into_failure(Stage::Load, "the type information of the object")
        })?;
        self.btf = Some(loaded);
        Ok(())
    }

    fn create_map(&mut self, instance: MapInstance) -> Result<(), Failure> {
        let plan = &self.plan()?.plan().maps[instance.map];
        let inner = plan
            .inner
            .map(|inner| {
                self.map(MapInstance {
                    map: inner as usize,
                    ..instance
                })
            })
            .transpose()?;
        let created = map::create(plan, self.btf.as_ref().map(AsFd::as_fd), inner, &plan.name)
            .map_err(|error| refused_map(plan, error))?;
        self.maps.insert(instance, created);
        Ok(())
    }

    fn same_map(&mut self, instance: MapInstance, of: MapInstance) -> Result<(), Failure> {
        let same = self.map(of)?.try_clone_to_owned();
        let same =
            same.map_err(|error| self.map_failure(of, Error::from_io("F_DUPFD_CLOEXEC", &error)))?;
        self.maps.insert(instance, same);
        Ok(())
    }

    fn fill_map(&mut self, instance: MapInstance) -> Result<(), Failure> {
        let contents = self.plan()?.plan().maps[instance.map]
            .initial
            .as_deref()
            .unwrap_or_default();
        map::write_initial(self.map(instance)?, contents)
            .map_err(|error| self.map_failure(instance, error))
    }

    fn set_elements(&self, instance: MapInstance) -> Result<(), Failure> {
        let plan = &self.plan()?.plan().maps[instance.map];
        let Some(elements) = &plan.elements else {
            return Ok(());
        };
        let map = self.map(instance)?;
        for element in elements.list() {
            let value = match elements {
                Elements::Maps(_) => self.map(MapInstance {
                    map: element.value as usize,
                    ..instance
                })?,
                Elements::Programs(_) => {
                    let program = self.programs.get(element.value as usize);
                    program
                        .map(|loaded| loaded.program.as_fd())
                        .ok_or_else(|| out_of_order("a program"))?
                }
            };
            map::put(map, element.key, value).map_err(|error| {
                let what = format!("map \"{}\", element {}", plan.name, element.key);
                error.into_failure(Stage::Maps, what)
            })?;
        }
        Ok(())
    }

    fn load_program(&mut self, index: usize) -> Result<(), Failure> {
        let valid = self.plan()?;
        let plan = &valid.plan().programs[index];
        let maps = (0..valid.plan().maps.len())
            .map(|map| {
                self.map(MapInstance {
                    program: index,
                    map,
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let btf = self.btf.as_ref().map(AsFd::as_fd);
        let license = &valid.plan().license;
        let is_member = chains::takes(plan.kind);
        let jumps = valid.jumps(index);
        let loaded = if is_member && !jumps {
            member::load(plan, license, btf, &maps)
        } else {
            program::load(plan, license, btf, &maps).map(|program| member::Loaded {
                program,
                own_form: (is_member && jumps).then(|| JUMPS.to_owned()),
            })
        };
        self.programs
            .push(loaded.map_err(|error| load_failure(plan, error))?);
        Ok(())
    }

    async fn give_to_group(&mut self, paths: &[PathBuf], gid: u32) -> Result<(), Failure> {
        for paths in paths.chunks(usize::from(FRAME_DESCRIPTORS)) {
            let pins = paths
                .iter()
                .map(|path| {
                    rustix::fs::open(
                        path,
                        OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW,
                        Mode::empty(),
                    )
                    .map_err(|errno| pin_failure(path, Error::new("open", errno)))
                })
                .collect::<Result<Vec<_>, _>>()?;
            let job = HelperJob::ChangeGroup { gid };
            self.helpers.run(HelperKind::ChangeGroup, job, pins).await?;
        }
        Ok(())
    }

    async fn ask_helper(&mut self) -> Result<(), Failure> {
        let Subject::Attachment {
            prepared:
                Some(Prepared::NeedsHelper {
                    kind,
                    job,
                    descriptors,
                    ..
                }),
            ..
        } = &mut self.subject
        else {
            return Err(out_of_order("a job for a helper"));
        };
        let (kind, job, descriptors) = (*kind, job.clone(), std::mem::take(descriptors));
        self.helped = Some(self.helpers.run(kind, job, descriptors).await?);
        Ok(())
    }

    async fn change_chain(&mut self, step: &ChainStep) -> Result<(), Failure> {
        let Subject::Chain(work) = &mut self.subject else {
            return Err(out_of_order("a chain"));
        };
        match work.job(step)? {
            None => work.execute(step),
            Some((job, beside)) => {
                let kind = HelperKind::NetworkNamespace;
                work.helped(step, self.helpers.run(kind, job, beside).await?)
            }
        }
    }

    fn create_link(&mut self) -> Result<(), Failure> {
        let Subject::Attachment { request, prepared } = &mut self.subject else {
            return Err(out_of_order("an attachment"));
        };
        let prepared = prepared.take().ok_or_else(|| out_of_order("a hook"))?;
        self.attached = Some(kinds::attach(
            request,
            prepared.into_hook(),
            self.helped.take(),
        )?);
        Ok(())
    }

    fn plan(&self) -> Result<&'a ValidPlan, Failure> {
        match &self.subject {
            Subject::Plan(valid) => Ok(valid),
            Subject::Attachment { .. } | Subject::Chain(_) => Err(out_of_order("a plan")),
        }
    }

    fn map(&self, instance: MapInstance) -> Result<BorrowedFd<'_>, Failure> {
        self.maps
            .get(&instance)
            .map(AsFd::as_fd)
            .ok_or_else(|| out_of_order("a map"))
    }

    fn map_failure(&self, instance: MapInstance, error: Error) -> Failure {
        let name = self
            .plan()
            .ok()
            .and_then(|valid| valid.plan().maps.get(instance.map));
        let name = name.map_or("", |map| map.name.as_str());
        error.into_failure(Stage::Maps, format!("map \"{name}\""))
    }
}

/// A map that the kernel refuses: it does not say what it dislikes (`EINVAL`), so all is told that it was asked for.
fn refused_map(plan: &MapPlan, error: Error) -> Failure {
    let MapPlan {
        name,
        map_type,
        key_size,
        value_size,
        max_entries,
        flags,
        ..
    } = plan;
    if error.errno != Errno::INVAL {
        return error.into_failure(Stage::Maps, format!("map \"{name}\""));
    }
    let what = format!(
        "map \"{name}\" (type {map_type}, key of {key_size} bytes, value of {value_size} bytes, {max_entries} entries, \
         flags {flags:#x})"
    );
    let failure = error.into_failure(Stage::Maps, what);
    // Storages that hang on sockets, files, tasks and control groups have none.
    const STORAGES: [u32; 6] = [19, 21, 24, 28, 29, 32];
    if *max_entries == 0 && !STORAGES.contains(map_type) {
        return Failure {
            code: FailureCode::InvalidArgument,
            ..failure
        }
        .remedy("such a map has at least one entry: set max_entries in its definition");
    }
    failure.remedy(
        "the kernel has no such type, or not with these sizes and flags: see the map's definition",
    )
}

fn pin_failure(path: &Path, error: Error) -> Failure {
    error.into_failure(Stage::Pin, path.display())
}

/// Steps are planned in this crate, so this is a fault of it; it is still no reason to end the process.
fn out_of_order(what: &str) -> Failure {
    Failure::new(
        FailureCode::Internal,
        Stage::Load,
        format!("a step needs {what} that is not there"),
    )
    .remedy("this is a fault of bpfman, please report it")
}

/// A refused program. Where the kernel gives no reason, an empty program in its place tells if it would take any.
fn load_failure(plan: &ProgramPlan, error: Error) -> Failure {
    let what = format!("program \"{}\"", plan.name);
    let without_reason = error.verifier_log.is_none()
        && (error.errno == Errno::INVAL || plan.attach_btf_id != 0 && error.is_refused());
    if without_reason && let Err(missing) = probe::takes(plan) {
        return Failure::new(
            FailureCode::Unsupported,
            Stage::Load,
            format!("{what}: {missing}"),
        );
    }
    error.into_failure(Stage::Load, what)
}
