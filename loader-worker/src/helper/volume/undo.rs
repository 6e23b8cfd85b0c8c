//! What is taken back, last first, unless all of it succeeds.

use ipc::messages::failure::Failure;

/// See the module.
#[derive(Default)]
pub(super) struct Undo<'a>(Vec<Box<dyn FnOnce() -> Result<(), Failure> + 'a>>);

impl<'a> Undo<'a> {
    /// This has to be done, if what follows fails.
    pub(super) fn later(&mut self, step: impl FnOnce() -> Result<(), Failure> + 'a) {
        self.0.push(Box::new(step));
    }

    /// Everything has succeeded.
    pub(super) fn forget(mut self) {
        self.0.clear();
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        while let Some(step) = self.0.pop() {
            if let Err(failure) = step() {
                // Descriptor 2 is the log of the service; the next request for this volume tries again.
                eprintln!("helper: not taken back: {failure}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    fn steps(is_whole: bool) -> Vec<u32> {
        let done = RefCell::new(Vec::new());
        let mut undo = Undo::default();
        for number in 1..=2 {
            let done = &done;
            undo.later(move || {
                done.borrow_mut().push(number);
                Ok(())
            });
        }
        if is_whole {
            undo.forget();
        } else {
            drop(undo);
        }
        done.into_inner()
    }

    #[test]
    fn the_last_comes_first_and_nothing_when_all_is_well() {
        assert_eq!(steps(false), [2, 1]);
        assert!(steps(true).is_empty());
    }
}
