//! What a change of a chain comes to, as plain data. Pure.
//!
//! As with loads, a change has two parts. Descriptors first: the new head, the links of its members, the program on a hook
//! that had none. They vanish with the process. Then, covered by an intent, pins and the one act that puts the new head in
//! the place of the old one.

use super::direction;
use super::reach::Elsewhere;
use crate::layout::Layout;
use crate::steps::{Removal, Step};
use bincode::{Decode, Encode};
use ipc::messages::attach::Direction;
use ipc::messages::chain::{Dispatcher, Filter, HookKey, Strategy};
use std::path::PathBuf;

/// Makes one thing of a chain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ChainStep {
    /// Create the counters, if they are not there.
    OpenCounters {
        /// Where they are pinned if they are there.
        path: PathBuf,
    },
    /// Load the program that goes on the hook.
    LoadHead,
    /// Put a member in the place of its function.
    LinkMember(usize),
    /// Pin the head.
    PinHead {
        /// Where.
        path: PathBuf,
    },
    /// Pin the link of a member.
    PinMember {
        /// Which.
        member: usize,
        /// Where.
        path: PathBuf,
    },
    /// Pin the counters that were created.
    PinCounters {
        /// Where.
        path: PathBuf,
    },
    /// Make a witness of the interface of a clsact hook in another network namespace.
    MakeWitness,
    /// Note the interface in it, from inside that namespace.
    NoteInterface,
    /// Pin the witness.
    PinWitness {
        /// Where.
        path: PathBuf,
    },
    /// Put the head on an XDP hook that has nothing.
    AttachHead,
    /// Pin the link on the hook.
    PinHook {
        /// Where.
        path: PathBuf,
    },
    /// Put the head in the place of another.
    SwapHead {
        /// Pin of the link on the hook.
        link: PathBuf,
        /// Pin of the program that is on it.
        old: PathBuf,
    },
    /// Put the head on a clsact hook.
    AddFilter {
        /// Where.
        place: FilterPlace,
        /// In which network namespace, if not the loader's own.
        elsewhere: Option<Elsewhere>,
    },
    /// Put the head in the place of another.
    SwapFilter {
        /// Where.
        place: FilterPlace,
        /// In which network namespace, if not the loader's own.
        elsewhere: Option<Elsewhere>,
        /// Pin of the program that is there.
        old: PathBuf,
    },
}

/// A filter of bpfman's.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, PartialEq)]
pub struct FilterPlace {
    /// Interface.
    pub ifindex: u32,
    /// Direction.
    pub direction: Direction,
    /// Priority and handle.
    pub filter: Filter,
    /// The head that is put there: whatever else is there is not bpfman's.
    pub program_id: u32,
}

impl ChainStep {
    /// What takes it back; see [`crate::undo`].
    pub fn inverse(&self) -> Option<Removal> {
        match self {
            ChainStep::OpenCounters { .. }
            | ChainStep::LoadHead
            | ChainStep::LinkMember(_)
            | ChainStep::MakeWitness
            | ChainStep::NoteInterface
            | ChainStep::AttachHead => None,
            ChainStep::PinHead { path }
            | ChainStep::PinCounters { path }
            | ChainStep::PinWitness { path } => Some(Removal::RemovePin { path: path.clone() }),
            ChainStep::PinMember { path, .. } | ChainStep::PinHook { path } => {
                Some(Removal::RemoveLink { pin: path.clone() })
            }
            ChainStep::SwapHead { link, old } => Some(Removal::RestoreHead {
                link: link.clone(),
                head: old.clone(),
            }),
            ChainStep::AddFilter { place, elsewhere } => {
                Some(remove_filter(*place, elsewhere.as_ref()))
            }
            ChainStep::SwapFilter {
                place,
                elsewhere,
                old,
            } => {
                let (place, head) = (*place, old.clone());
                Some(match elsewhere.clone() {
                    None => Removal::RestoreFilter { place, head },
                    Some(elsewhere) => Removal::RestoreFilterElsewhere {
                        place,
                        head,
                        elsewhere,
                    },
                })
            }
        }
    }
}

/// A change, as far as it decides about steps.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// The hook.
    pub key: HookKey,
    /// What is on it now.
    pub before: Option<&'a Dispatcher>,
    /// How many members there will be.
    pub members: usize,
    /// How they will be called.
    pub strategy: Strategy,
    /// Number of the new revision.
    pub revision: u32,
    /// In which network namespace a clsact hook is, if not in the loader's own.
    pub elsewhere: Option<&'a Elsewhere>,
}

/// The first part: descriptors only.
pub fn create(layout: &Layout, change: Change<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    if change.strategy == Strategy::Fused {
        steps.push(ChainStep::OpenCounters {
            path: layout.hook_counters(change.key),
        });
    }
    steps.push(ChainStep::LoadHead);
    if change.strategy == Strategy::Libxdp {
        steps.extend((0..change.members).map(ChainStep::LinkMember));
    }
    if change.before.is_none() && direction(change.key.kind).is_none() {
        steps.push(ChainStep::AttachHead);
    }
    if change.before.is_none() && change.elsewhere.is_some() {
        steps.extend([ChainStep::MakeWitness, ChainStep::NoteInterface]);
    }
    steps.into_iter().map(Step::Chain).collect()
}

/// The second part. `head` is the kernel id of the new head, `filter` where it goes on a clsact hook.
pub fn keep(
    layout: &Layout,
    change: Change<'_>,
    head: u32,
    filter: Option<Filter>,
    pins_counters: bool,
) -> Vec<Step> {
    let Change {
        key,
        before,
        revision,
        ..
    } = change;
    let mut steps = vec![Step::MakeDirectory {
        path: layout.revision(key, revision),
    }];
    let mut chain = vec![ChainStep::PinHead {
        path: layout.head(key, revision),
    }];
    if change.strategy == Strategy::Libxdp {
        chain.extend((0..change.members).map(|member| ChainStep::PinMember {
            member,
            path: layout.member(key, revision, member),
        }));
    }
    if pins_counters {
        chain.push(ChainStep::PinCounters {
            path: layout.hook_counters(key),
        });
    }
    let old = before.map(|before| layout.head(key, before.revision));
    let elsewhere = change.elsewhere.cloned();
    if let (Some(elsewhere), None) = (&elsewhere, &old) {
        chain.push(ChainStep::PinWitness {
            path: elsewhere.witness.clone(),
        });
    }
    let place = direction(key.kind)
        .zip(filter)
        .map(|(direction, filter)| FilterPlace {
            ifindex: key.ifindex,
            direction,
            filter,
            program_id: head,
        });
    chain.push(match (place, old) {
        (Some(place), Some(old)) => ChainStep::SwapFilter {
            place,
            elsewhere,
            old,
        },
        (Some(place), None) => ChainStep::AddFilter { place, elsewhere },
        (None, Some(old)) => ChainStep::SwapHead {
            link: layout.hook_link(key),
            old,
        },
        (None, None) => ChainStep::PinHook {
            path: layout.hook_link(key),
        },
    });
    steps.extend(chain.into_iter().map(Step::Chain));
    steps
}

/// What nobody needs after the change: the old revision, and counters that are counted no more.
pub fn outdated(layout: &Layout, change: Change<'_>) -> Vec<Removal> {
    let Some(before) = change.before else {
        return Vec::new();
    };
    let mut removals = vec![Removal::RemoveRevision {
        path: layout.revision(change.key, before.revision),
    }];
    if before.strategy == Strategy::Fused && change.strategy != Strategy::Fused {
        removals.push(Removal::RemovePin {
            path: layout.hook_counters(change.key),
        });
    }
    removals
}

/// Everything of a hook. The witness goes last: it tells about the filter as long as there may be one.
pub fn remove(
    layout: &Layout,
    dispatcher: &Dispatcher,
    elsewhere: Option<&Elsewhere>,
) -> Vec<Removal> {
    let key = dispatcher.key;
    let mut removals = Vec::new();
    match (direction(key.kind), dispatcher.filter) {
        (Some(direction), Some(filter)) => {
            let place = FilterPlace {
                ifindex: key.ifindex,
                direction,
                filter,
                program_id: dispatcher.program_id,
            };
            removals.push(remove_filter(place, elsewhere));
        }
        _ => removals.push(Removal::RemoveLink {
            pin: layout.hook_link(key),
        }),
    }
    removals.push(Removal::RemoveRevision {
        path: layout.revision(key, dispatcher.revision),
    });
    if dispatcher.strategy == Strategy::Fused {
        removals.push(Removal::RemovePin {
            path: layout.hook_counters(key),
        });
    }
    if let Some(elsewhere) = elsewhere {
        removals.push(Removal::RemovePin {
            path: elsewhere.witness.clone(),
        });
    }
    removals
}

fn remove_filter(place: FilterPlace, elsewhere: Option<&Elsewhere>) -> Removal {
    match elsewhere.cloned() {
        None => Removal::RemoveFilter(place),
        Some(elsewhere) => Removal::RemoveFilterElsewhere { place, elsewhere },
    }
}
