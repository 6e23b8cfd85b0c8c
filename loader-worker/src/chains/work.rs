//! Carries out the steps of a change: what a chain consists of, as descriptors, until it is pinned.

use super::filter;
use super::fused;
use super::member::{self, Parts};
use super::reach::Way;
use super::rebuild::{ChainStep, FilterPlace};
use super::{dispatcher, order::Rank};
use crate::helpers::Done;
use crate::hooks::{self, Site};
use crate::kernel::clsact::Put;
use crate::kernel::limits::PROGRAM_MAPS;
use crate::kernel::{Error, btf, cpus, info, link, map, pin, program, witness};
use crate::network_namespace::NetworkNamespace;
use crate::store::records::MemberForm;
use ipc::messages::attach::{LinkRecord, XdpMode};
use ipc::messages::chain::{HookKey, HookKind, Strategy};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::helper::{HelperJob, HelperResult};
use ipc::messages::kernel::{KernelLink, KernelProgram};
use ipc::plan::ProgramPlan;
use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// A member as the new chain will have it.
#[derive(Debug)]
pub struct Member {
    /// What decides about its place.
    pub rank: Rank,
    /// The link's record, still with the old place for links that were there.
    pub link: LinkRecord,
    /// The program, opened.
    pub program: OwnedFd,
    /// Its forms.
    pub form: MemberForm,
    /// Whether its licence is compatible with the GPL.
    pub is_gpl: bool,
    /// What it is made of, where it becomes part of another program.
    pub parts: Option<Parts>,
    /// Its row of the counters.
    pub slot: usize,
}

/// What the steps are about, and what they made.
#[derive(Debug)]
pub struct Work<'a> {
    key: HookKey,
    interface: String,
    strategy: Strategy,
    members: Vec<Member>,
    namespace: Option<&'a NetworkNamespace>,
    way: Way,
    witness: Option<OwnedFd>,
    head: Option<(OwnedFd, KernelProgram)>,
    links: Vec<(OwnedFd, KernelLink)>,
    counters: Option<OwnedFd>,
    pins_counters: bool,
    hook: Option<(OwnedFd, XdpMode)>,
}

impl<'a> Work<'a> {
    /// With nothing made yet; members in the order of the chain.
    pub fn new(
        key: HookKey,
        interface: String,
        strategy: Strategy,
        members: Vec<Member>,
        namespace: Option<&'a NetworkNamespace>,
        way: Way,
    ) -> Self {
        Self {
            key,
            interface,
            strategy,
            members,
            namespace,
            way,
            witness: None,
            head: None,
            links: Vec::new(),
            counters: None,
            pins_counters: false,
            hook: None,
        }
    }

    /// The new head, as the kernel describes it.
    pub fn head(&self) -> Result<&KernelProgram, Failure> {
        self.head
            .as_ref()
            .map(|(_, program)| program)
            .ok_or_else(|| out_of_order("a head"))
    }

    /// The links of the members, as the kernel describes them.
    pub fn links(&self) -> impl Iterator<Item = &KernelLink> {
        self.links.iter().map(|(_, kernel)| kernel)
    }

    /// Whether the counters are new.
    pub fn pins_counters(&self) -> bool {
        self.pins_counters
    }

    /// How the kernel runs the head that was put on an XDP hook.
    pub fn mode(&self) -> Option<XdpMode> {
        self.hook.as_ref().map(|(_, mode)| *mode)
    }

    /// The link that was put on an XDP hook.
    pub fn hook(&self) -> Option<BorrowedFd<'_>> {
        self.hook.as_ref().map(|(link, _)| link.as_fd())
    }

    /// The members, in the order of the chain.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Closes what only the first part of a change needs: a change of many hooks holds their heads and links alone.
    pub fn forget_members(&mut self) {
        self.members.clear();
        if !self.pins_counters {
            self.counters = None;
        }
    }

    /// Lets go of what holds a member in its place, so that taking back ends it.
    pub fn release(&mut self) {
        self.links.clear();
        self.hook = None;
    }

    /// Carries out one step.
    pub fn execute(&mut self, step: &ChainStep) -> Result<(), Failure> {
        match step {
            ChainStep::OpenCounters { path } => self.open_counters(path),
            ChainStep::LoadHead => self.load_head(),
            ChainStep::LinkMember(member) => self.link_member(*member),
            ChainStep::PinHead { path } => pin_at(self.head_fd()?, path),
            ChainStep::PinMember { member, path } => {
                let (link, _) = self
                    .links
                    .get(*member)
                    .ok_or_else(|| out_of_order("a link"))?;
                pin_at(link.as_fd(), path)
            }
            ChainStep::PinCounters { path } => {
                let counters = self.counters.as_ref();
                pin_at(
                    counters.ok_or_else(|| out_of_order("counters"))?.as_fd(),
                    path,
                )
            }
            ChainStep::AttachHead => self.attach_head(),
            ChainStep::PinHook { path } => {
                pin_at(self.hook().ok_or_else(|| out_of_order("a hook"))?, path)
            }
            ChainStep::SwapHead { link, old } => {
                swap_head(link, self.head_fd()?, Some(old)).map_err(|error| self.refused(error))
            }
            ChainStep::MakeWitness => {
                let made = witness::create();
                self.witness = Some(made.map_err(|error| self.refused(error))?);
                Ok(())
            }
            // A job of the helper's: see [`Work::job`].
            ChainStep::NoteInterface => Err(out_of_order("another network namespace")),
            ChainStep::PinWitness { path } => pin_at(self.witness()?, path),
            ChainStep::AddFilter { place, .. } => self.put_filter(*place, Put::New),
            ChainStep::SwapFilter { place, .. } => self.put_filter(*place, Put::InPlace),
        }
    }

    fn open_counters(&mut self, path: &Path) -> Result<(), Failure> {
        match pin::get(path) {
            Ok(counters) => self.counters = Some(counters),
            Err(error) if error.is_not_found() => {
                let plan = fused::counters(possible_cpus()?);
                let counters = map::create(&plan, None, None, "bpfman_counters")
                    .map_err(|error| error.into_failure(Stage::Maps, "the counters"))?;
                self.counters = Some(counters);
                self.pins_counters = true;
            }
            Err(error) => return Err(error.into_failure(Stage::Maps, path.display())),
        }
        Ok(())
    }

    fn load_head(&mut self) -> Result<(), Failure> {
        let head = match self.strategy {
            Strategy::Libxdp => {
                let masks: Vec<u32> = self.members.iter().map(|member| member.rank.mask).collect();
                member::load_dispatcher(self.key.kind, &masks, self.has_frags())?
            }
            Strategy::Fused => self.fuse()?,
            Strategy::Direct => self.only_member()?,
        };
        let (kernel, _) = info::program(head.as_fd())
            .map_err(|error| error.into_failure(Stage::Attach, "the program of the chain"))?;
        self.head = Some((head, kernel));
        Ok(())
    }

    /// A dispatcher takes packets in several pieces only if every member does.
    fn has_frags(&self) -> bool {
        self.key.kind == HookKind::Xdp && self.members.iter().all(|member| member.form.has_frags)
    }

    fn fuse(&self) -> Result<OwnedFd, Failure> {
        let counters = self.counters.as_ref();
        let mut maps = vec![counters.ok_or_else(|| out_of_order("counters"))?.as_fd()];
        let mut indices = Vec::with_capacity(self.members.len());
        for member in &self.members {
            let parts = member.parts.as_ref().ok_or_else(|| out_of_order("parts"))?;
            // An index that no slot uses may stand for a template.
            let own = parts.maps().iter().map(|map| match map {
                Some(map) => {
                    maps.push(map.as_fd());
                    u32::try_from(maps.len() - 1).unwrap_or(u32::MAX)
                }
                None => u32::MAX,
            });
            indices.push(own.collect::<Vec<u32>>());
        }
        let members: Vec<fused::Member<'_>> = self
            .members
            .iter()
            .zip(&indices)
            .filter_map(|(member, maps)| {
                Some(fused::Member {
                    program: member.parts.as_ref()?.program(),
                    maps,
                    mask: member.rank.mask,
                    slot: member.slot,
                })
            })
            .collect();
        let fused = fused::generate(self.key.kind, &members, possible_cpus()?)?;
        let types = btf::load(&fused.btf)
            .map_err(|error| error.into_failure(Stage::Attach, "the types of the fused program"))?;
        program::load(&fused.program, self.license(), Some(types.as_fd()), &maps).map_err(|error| {
            let names: Vec<_> = self
                .members
                .iter()
                .map(|member| member.rank.name.as_str())
                .collect();
            let what = format!("the program that was fused of {}", names.join(", "));
            match used_maps(&fused.program, &maps) {
                used if used > PROGRAM_MAPS => too_many_maps(&what, used),
                _ => error.into_failure(Stage::Attach, what),
            }
        })
    }

    /// What all members allow: helpers for the GPL alone are there only if every member is under a compatible licence.
    fn license(&self) -> &'static str {
        if self.members.iter().all(|member| member.is_gpl) {
            "GPL"
        } else {
            "Proprietary"
        }
    }

    fn only_member(&self) -> Result<OwnedFd, Failure> {
        let [member] = self.members.as_slice() else {
            return Err(out_of_order("exactly one member"));
        };
        if member.form.own.is_some() {
            return member.program.try_clone().map_err(|error| {
                Error::from_io("dup", &error).into_failure(Stage::Attach, "a program")
            });
        }
        member
            .parts
            .as_ref()
            .ok_or_else(|| out_of_order("parts"))?
            .load()
    }

    fn link_member(&mut self, index: usize) -> Result<(), Failure> {
        let member = self
            .members
            .get(index)
            .ok_or_else(|| out_of_order("a member"))?;
        let function = dispatcher::function(self.key.kind, index)?;
        let failed = |error: Error| {
            error.into_failure(
                Stage::Attach,
                format!(
                    "program {} in slot {index} of the dispatcher",
                    member.rank.program_id
                ),
            )
        };
        let link = link::create_replacing(member.program.as_fd(), self.head_fd()?, function)
            .map_err(failed)?;
        let kernel = info::link(link.as_fd()).map_err(failed)?;
        self.links.push((link, kernel));
        Ok(())
    }

    /// The job of doing a step in another network namespace than the loader's own, and what goes beside it.
    pub fn job(&self, step: &ChainStep) -> Result<Option<(HelperJob, Vec<OwnedFd>)>, Failure> {
        let Some(namespace) = self.namespace else {
            return Ok(None);
        };
        let (ifindex, interface) = (self.key.ifindex, self.interface.clone());
        let (job, beside) = match step {
            ChainStep::AttachHead => {
                let program_id = self.head()?.id;
                let job = HelperJob::CreateXdpLink {
                    ifindex,
                    interface,
                    program_id,
                };
                (job, self.head_fd()?)
            }
            ChainStep::NoteInterface => {
                let job = HelperJob::NoteInterface { ifindex, interface };
                (job, self.witness()?)
            }
            _ => return Ok(None),
        };
        let beside = namespace.beside(&[beside])?;
        Ok(beside.map(|beside| (job, beside)))
    }

    /// What came of the job.
    pub fn helped(&mut self, step: &ChainStep, mut done: Done) -> Result<(), Failure> {
        match (step, done.result, done.descriptors.pop()) {
            (ChainStep::AttachHead, HelperResult::XdpLink { mode }, Some(link)) => {
                self.hook = Some((link, mode));
                Ok(())
            }
            (ChainStep::NoteInterface, HelperResult::Changed, None) => Ok(()),
            _ => Err(out_of_order("another answer of the helper's")),
        }
    }

    fn attach_head(&mut self) -> Result<(), Failure> {
        let site = Site {
            ifindex: self.key.ifindex,
            interface: &self.interface,
            program_id: self.head()?.id,
        };
        self.hook = Some(hooks::xdp::create(self.head_fd()?, site)?);
        Ok(())
    }

    fn put_filter(&self, place: FilterPlace, put: Put) -> Result<(), Failure> {
        filter::put(place, self.head_fd()?, put, &self.way).map_err(|error| {
            let vanished = self.way.vanished(place.ifindex, &self.interface);
            vanished.unwrap_or_else(|| self.refused(error))
        })
    }

    fn witness(&self) -> Result<BorrowedFd<'_>, Failure> {
        let witness = self.witness.as_ref();
        Ok(witness.ok_or_else(|| out_of_order("a witness"))?.as_fd())
    }

    fn head_fd(&self) -> Result<BorrowedFd<'_>, Failure> {
        self.head
            .as_ref()
            .map(|(head, _)| head.as_fd())
            .ok_or_else(|| out_of_order("a head"))
    }

    fn refused(&self, error: Error) -> Failure {
        error.into_failure(
            Stage::Attach,
            format!("changing the {} hook of {}", self.key.kind, self.interface),
        )
    }
}

/// Puts another program on the link of a hook, if the present one is what the caller thinks.
pub fn swap_head(link: &Path, head: BorrowedFd<'_>, old: Option<&Path>) -> Result<(), Error> {
    let hook = pin::get(link)?;
    let old = old.map(pin::get).transpose()?;
    link::update(hook.as_fd(), head, old.as_ref().map(AsFd::as_fd))
}

fn pin_at(object: BorrowedFd<'_>, path: &Path) -> Result<(), Failure> {
    pin::pin(object, path).map_err(|error| error.into_failure(Stage::Pin, path.display()))
}

/// Steps are planned in this crate, so this is a fault of it; it is still no reason to end the process.
fn possible_cpus() -> Result<u32, Failure> {
    cpus::possible().map_err(|errno| {
        Error::new("counting possible CPUs", errno).into_failure(Stage::Maps, "the counters")
    })
}

/// How many maps the kernel counts: a map that several members share is one.
fn used_maps(program: &ProgramPlan, maps: &[BorrowedFd<'_>]) -> usize {
    let slots = program.map_slots.iter();
    let used = slots.filter_map(|slot| maps.get(slot.map as usize));
    let ids = used.filter_map(|map| Some(info::map(*map).ok()?.id));
    ids.collect::<BTreeSet<u32>>().len()
}

fn too_many_maps(what: &str, used: usize) -> Failure {
    let cause = format!(
        "{what} would use {used} maps, those of its members and one that counts; the kernel lets a program use {PROGRAM_MAPS}"
    );
    Failure::new(FailureCode::ResourceExhausted, Stage::Attach, cause)
        .remedy("have members share their maps (program load --map-owner-id), or detach some first")
}

fn out_of_order(what: &str) -> Failure {
    Failure::new(
        FailureCode::Internal,
        Stage::Attach,
        format!("a step needs {what} that is not there"),
    )
    .remedy("this is a fault of bpfman, please report it")
}
