//! The receiving end of a subscription.

use std::sync::Arc;

use depinmesh_core::pubsub::{Delivered, topics};
use depinmesh_mailbox::{RingStats, Taken};
use pyo3::{prelude::*, types::PyList};

use crate::{event::Event, fork::Owned};

/// Events that are made room for before they are taken; a batch of the pump.
const USUAL_BATCH: usize = 256;

#[pyclass(frozen, module = "depinmesh._core")]
pub(crate) struct Subscription {
    core: Owned<topics::Subscription>,
    #[pyo3(get)]
    id: u64,
}

impl Subscription {
    pub(crate) fn new(core: Arc<topics::Subscription>) -> Self {
        let id = core.id();
        Self { core: Owned::new(core, topics::Subscription::close), id }
    }
}

#[pymethods]
impl Subscription {
    /// Events, oldest first; none: parked; `None`: ended.
    #[pyo3(signature = (limit, /))]
    fn take<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Option<Bound<'py, PyList>>> {
        let core = self.core.get(py)?;
        take(py, limit, |events| core.take(limit, events))
    }

    /// Delivered, dropped, pending, pending bytes.
    fn stats(&self, py: Python<'_>) -> PyResult<(u64, u64, usize, usize)> {
        let RingStats { delivered, dropped, pending, pending_bytes } = self.core.get(py)?.stats();
        Ok((delivered, dropped, pending, pending_bytes))
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let core = self.core.get(py)?;
        py.detach(|| core.close());
        Ok(())
    }
}

/// What `from` gives, as Python events. The ring is left before the first of them is made.
pub(crate) fn take(
    py: Python<'_>,
    limit: usize,
    from: impl FnOnce(&mut Vec<Arc<Delivered>>) -> Taken,
) -> PyResult<Option<Bound<'_, PyList>>> {
    let mut events = Vec::with_capacity(limit.min(USUAL_BATCH));
    if from(&mut events) == Taken::Ended {
        return Ok(None);
    }
    PyList::new(py, events.into_iter().map(Event::new)).map(Some)
}
