//! The primitives under this crate: those of `std`, or loom's when its model checker runs.
//!
//! `Arc` stays that of `std` in both: what is checked is the order of locks and flags, not who frees what.

#[cfg(all(test, loom))]
pub(crate) use loom::sync::{Mutex, MutexGuard, atomic::AtomicBool};
#[cfg(not(all(test, loom)))]
pub(crate) use std::sync::{Mutex, MutexGuard, atomic::AtomicBool};

use std::sync::PoisonError;

/// Locks, poisoned or not: no code of a caller runs under the locks of this crate, so what they guard is always whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
