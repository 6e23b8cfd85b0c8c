//! One operation on a volume at a time.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Volumes that something is being done to.
#[derive(Clone, Debug, Default)]
pub(super) struct Busy(Arc<Mutex<HashSet<String>>>);

/// One of them, until it is dropped. There are never more than requests in flight.
#[derive(Debug)]
pub(super) struct Volume {
    busy: Busy,
    id: String,
}

impl Busy {
    fn volumes(&self) -> MutexGuard<'_, HashSet<String>> {
        // Nothing panics while the lock is held; a poisoned set would still be whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The volume, unless somebody has it.
    pub(super) fn take(&self, id: &str) -> Option<Volume> {
        self.volumes().insert(id.to_owned()).then(|| Volume {
            busy: self.clone(),
            id: id.to_owned(),
        })
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        self.busy.volumes().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_taken_once_and_others_besides() {
        let busy = Busy::default();
        let first = busy.take("a");
        assert!(first.is_some() && busy.take("b").is_some());
        assert!(busy.take("a").is_none());
        drop(first);
        assert!(busy.take("a").is_some());
        assert!(busy.volumes().is_empty());
    }
}
