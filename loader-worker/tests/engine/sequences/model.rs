//! What must be on each hook. Pure: programs, links and requests as data, and what packets see of them.

use ipc::messages::chain::Strategy;
use ipc::messages::failure::FailureCode;
use std::collections::BTreeMap;

/// The hooks of the interface, in the order in which a packet that arrives meets them.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Hook {
    Xdp,
    Tcx,
    Tc,
}

impl Hook {
    /// What a program says to let the next one of its chain run, and to be the last one.
    pub(super) fn verdicts(self) -> [i32; 2] {
        match self {
            Hook::Xdp => [2, 1],
            Hook::Tcx => [-1, 0],
            Hook::Tc => [3, 2],
        }
    }

    /// The verdict of a hook all of whose programs let the packet go on, and the only one at which the next hook sees it.
    fn passed(self) -> i32 {
        match self {
            Hook::Xdp => 2,
            Hook::Tcx => -1,
            Hook::Tc => 0,
        }
    }
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Program {
    pub(super) hook: Hook,
    pub(super) name: String,
    pub(super) tag: u32,
    pub(super) verdict: i32,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Attachment {
    pub(super) program: u32,
    pub(super) priority: i32,
    /// Verdicts after which the chain goes on.
    pub(super) proceed_on: Vec<i32>,
}

/// A request of a client.
#[derive(Clone, Debug)]
pub(super) enum Request {
    Load(Program),
    Attach(Attachment, Option<Strategy>),
    Detach(u64),
    Unload(u32),
    Convert(Hook, Option<Strategy>),
}

/// Everything that is managed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Model {
    pub(super) programs: BTreeMap<u32, Program>,
    pub(super) links: BTreeMap<u64, Attachment>,
    /// How chains were asked to be called. Forgotten with their last member.
    pub(super) requested: BTreeMap<Hook, Strategy>,
}

impl Model {
    /// The members of a hook in running order, with their links.
    pub(super) fn on(&self, hook: Hook) -> Vec<(u64, &Attachment, &Program)> {
        let mut members: Vec<_> = self
            .links
            .iter()
            .map(|(id, link)| (*id, link, &self.programs[&link.program]))
            .filter(|(_, _, program)| program.hook == hook)
            .collect();
        members.sort_by_key(|(id, link, program)| {
            // The kernel's own order knows nothing of names and masks.
            let ties = (hook != Hook::Tcx).then(|| {
                let mask = link.proceed_on.iter().fold(0, |mask, verdict| {
                    mask | 1_u64 << (verdict + i32::from(hook == Hook::Tc))
                });
                (program.name.clone(), link.program, mask)
            });
            (link.priority, ties, *id)
        });
        members
    }

    /// Tags of the programs that one packet runs, in order.
    pub(super) fn trail(&self) -> Vec<u32> {
        let mut trail = Vec::new();
        for hook in [Hook::Xdp, Hook::Tcx, Hook::Tc] {
            let mut verdict = hook.passed();
            // Nobody asks what a member on the hook itself says whether to go on.
            let is_direct = self.requested.get(&hook) == Some(&Strategy::Direct);
            for (_, link, program) in self.on(hook) {
                trail.push(program.tag);
                if is_direct || !link.proceed_on.contains(&program.verdict) {
                    verdict = program.verdict;
                    break;
                }
            }
            if verdict != hook.passed() {
                break;
            }
        }
        trail
    }

    /// How a chain with this many members is called; `replacing`: whether the kernel has freplace.
    pub(super) fn strategy(
        requested: Option<Strategy>,
        members: usize,
        replacing: bool,
    ) -> Result<Strategy, FailureCode> {
        match requested {
            Some(Strategy::Direct) if members > 1 => Err(FailureCode::FailedPrecondition),
            Some(Strategy::Libxdp) if !replacing => Err(FailureCode::Unsupported),
            Some(Strategy::Libxdp) if members > 10 => Err(FailureCode::ResourceExhausted),
            Some(strategy) => Ok(strategy),
            None if replacing && members <= 10 => Ok(Strategy::Libxdp),
            None => Ok(Strategy::Fused),
        }
    }

    /// Why a request has to be refused.
    pub(super) fn refusal(&self, request: &Request, replacing: bool) -> Option<FailureCode> {
        match request {
            Request::Load(_) | Request::Detach(_) | Request::Unload(_) => None,
            Request::Attach(link, asked) => {
                let hook = self.programs[&link.program].hook;
                let present = self.on(hook);
                if hook == Hook::Tcx {
                    return present
                        .iter()
                        .any(|(_, other, _)| other.program == link.program)
                        .then_some(FailureCode::AlreadyExists);
                }
                let requested = asked.or(self.requested.get(&hook).copied());
                Self::strategy(requested, present.len() + 1, replacing).err()
            }
            Request::Convert(hook, requested) => match self.on(*hook).len() {
                0 => Some(FailureCode::NotFound),
                members => Self::strategy(*requested, members, replacing).err(),
            },
        }
    }

    /// The states between which a request that is not refused leads, the present one first. A request that is interrupted
    /// ends in one of them. `given` is the id that a load or an attachment was given.
    pub(super) fn states(&self, request: &Request, given: Option<u64>) -> Vec<Self> {
        let mut states = vec![self.clone()];
        let mut next = self.clone();
        match request {
            Request::Load(program) => {
                let Some(id) = given.and_then(|id| u32::try_from(id).ok()) else {
                    return states;
                };
                next.programs.insert(id, program.clone());
            }
            Request::Attach(link, asked) => {
                let Some(id) = given else {
                    return states;
                };
                if let Some(strategy) = asked {
                    let hook = self.programs[&link.program].hook;
                    next.requested.insert(hook, *strategy);
                }
                next.links.insert(id, link.clone());
            }
            Request::Detach(id) => next.remove(*id),
            Request::Unload(id) => {
                let links = self.links.iter().filter(|(_, link)| link.program == *id);
                links.for_each(|(link, _)| next.remove(*link));
                next.programs.remove(id);
            }
            Request::Convert(hook, requested) => {
                match requested {
                    Some(strategy) => next.requested.insert(*hook, *strategy),
                    None => next.requested.remove(hook),
                };
            }
        }
        states.push(next);
        states
    }

    fn remove(&mut self, link: u64) {
        let removed = self.links.remove(&link).map(|link| link.program);
        if let Some(hook) = removed.map(|program| self.programs[&program].hook)
            && self.on(hook).is_empty()
        {
            self.requested.remove(&hook);
        }
    }
}
