//! Locks off the request path.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks; what a thread that panicked has left is as good as before: nothing here is ever half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
