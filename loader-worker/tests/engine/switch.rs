//! Failures and kills on request.

use ipc::messages::failure::{Failure, FailureCode, Stage};
use loader_worker::faults::{Faults, Point};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex};

/// Decides at which point something goes wrong.
#[derive(Clone, Default)]
pub(crate) struct Switch(Arc<Mutex<Setting>>);

#[derive(Default)]
struct Setting {
    mode: Mode,
    passed: usize,
    fired: Option<String>,
}

#[derive(Clone, Copy, Default)]
pub(crate) enum Mode {
    #[default]
    Off,
    /// The act at this point fails.
    Fail(usize),
    /// The process is killed before this point.
    Crash(usize),
}

/// What a simulated kill unwinds with.
struct Killed;

impl Switch {
    pub(crate) fn set(&self, mode: Mode) {
        *self.0.lock().unwrap() = Setting {
            mode,
            ..Setting::default()
        };
    }

    /// The point at which it went wrong since it was set.
    pub(crate) fn fired(&self) -> Option<String> {
        self.0.lock().unwrap().fired.clone()
    }

    pub(crate) fn faults(&self) -> Faults {
        let switch = self.clone();
        Faults::new(Box::new(move |point| switch.pass(point)))
    }

    fn pass(&self, point: &Point<'_>) -> Result<(), Failure> {
        let mut setting = self.0.lock().unwrap();
        // After the commit there is nothing left to fail; a kill there must leave the new state.
        if matches!((setting.mode, point), (Mode::Fail(_), Point::Answer)) {
            return Ok(());
        }
        let number = setting.passed;
        setting.passed += 1;
        let (Mode::Fail(target) | Mode::Crash(target)) = setting.mode else {
            return Ok(());
        };
        if number != target || setting.fired.is_some() {
            return Ok(());
        }
        setting.fired = Some(format!("{point:?}"));
        if matches!(setting.mode, Mode::Crash(_)) {
            drop(setting);
            // Unwinding runs no undo: the descriptors close and nothing else happens, as when a process is killed.
            resume_unwind(Box::new(Killed));
        }
        Err(Failure::new(FailureCode::Internal, Stage::Load, "injected"))
    }
}

/// Runs what may be killed; `None` when it was.
pub(crate) fn survive<T>(work: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(outcome) => Some(outcome),
        Err(cause) if cause.is::<Killed>() => None,
        Err(cause) => resume_unwind(cause),
    }
}
