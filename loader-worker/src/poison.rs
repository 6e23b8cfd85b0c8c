//! Locks of what is whole at any moment, so that a thread that panicked while holding one has left nothing half done.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The lock.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
