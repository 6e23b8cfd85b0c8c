//! The way back. Pure: what a step made, as the removal of it.

use crate::steps::{Removal, Step};

/// What takes away what this step makes; `None` for descriptors, which vanish by themselves, and for changes to things
/// that an earlier step made.
pub fn inverse(step: &Step) -> Option<Removal> {
    match step {
        Step::LoadBtf
        | Step::CreateMap(_)
        | Step::ShareMap { .. }
        | Step::SameMap { .. }
        | Step::FillMap(_)
        | Step::FreezeMap(_)
        | Step::SetElements(_)
        | Step::LoadProgram(_)
        | Step::GiveToGroup { .. }
        | Step::SetMode { .. }
        | Step::AskHelper
        | Step::CreateLink => None,
        Step::KeepPlan { path } => Some(Removal::ForgetPlan { path: path.clone() }),
        Step::MakeDirectory { path } => Some(Removal::RemoveDirectory { path: path.clone() }),
        Step::PinMap { path, .. } | Step::PinProgram { path, .. } => {
            Some(Removal::RemovePin { path: path.clone() })
        }
        Step::Chain(step) => step.inverse(),
        Step::PinLink { path } => Some(Removal::RemoveLink { pin: path.clone() }),
    }
}

/// Takes back everything that these steps made, last first.
pub fn plan(done: &[Step]) -> Vec<Removal> {
    done.iter().rev().filter_map(inverse).collect()
}
