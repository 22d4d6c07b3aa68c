//! Handles that know the process that made them.
//!
//! `fork` copies locks in any state and no threads at all: in the child such a handle must be neither used nor destroyed.

use std::{mem, process, sync::Arc};

use depinmesh_core::error::{Error, ErrorKind};
use pyo3::prelude::*;

use crate::errors::to_exception;

/// A share of something that belongs to one process. A forked child leaks it.
pub(crate) struct Owned<T: Send + Sync> {
    /// `None` only while it is dropped.
    share: Option<Arc<T>>,
    /// What is done before the share is given back.
    farewell: fn(&T),
    pid: u32,
}

impl<T: Send + Sync> Owned<T> {
    pub(crate) fn new(share: Arc<T>, farewell: fn(&T)) -> Self {
        Self { share: Some(share), farewell, pid: process::id() }
    }

    /// The value; `ForkedProcessError` in a child.
    pub(crate) fn get(&self, py: Python<'_>) -> PyResult<&Arc<T>> {
        self.here().ok_or_else(|| {
            let error = Error::new(
                ErrorKind::ForkedProcess,
                "this node belongs to the parent process; a child needs a node of its own, best in a process that was spawned",
            );
            to_exception(py, &error)
        })
    }

    /// The value; `None` in a child.
    pub(crate) fn here(&self) -> Option<&Arc<T>> {
        self.share.as_ref().filter(|_| self.pid == process::id())
    }
}

impl<T: Send + Sync> Drop for Owned<T> {
    fn drop(&mut self) {
        let Some(share) = self.share.take() else { return };
        if self.pid != process::id() {
            mem::forget(share);
            return;
        }
        let farewell = self.farewell;
        detached(move || {
            farewell(&share);
            drop(share);
        });
    }
}

/// Runs what may wait for other threads. Python objects are destroyed with the interpreter in hand: it is given away.
fn detached(work: impl FnOnce() + Send) {
    let mut work = Some(work);
    let mut run = || {
        if let Some(work) = work.take() {
            work();
        }
    };
    if Python::try_attach(|py| py.detach(&mut run)).is_none() {
        run();
    }
}
