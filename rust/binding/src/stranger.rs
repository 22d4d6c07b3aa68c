//! A peer without a gate, for `depinmesh.testing` and the demonstration.

use depinmesh_core::stranger::{self, Visit};
use pyo3::prelude::*;

use crate::{errors::OrRaise as _, fork::Owned, identity::SecretKey};

type VisitRow = (u64, u64, u64, u64, u64, Vec<String>, bool);

#[pyclass(frozen, module = "depinmesh._core")]
pub(crate) struct Stranger(Owned<stranger::Stranger>);

#[pymethods]
impl Stranger {
    #[new]
    #[pyo3(signature = (key, nodes, topic, /))]
    fn new(py: Python<'_>, key: &SecretKey, nodes: Vec<Vec<String>>, topic: &str) -> PyResult<Self> {
        let core = py.detach(|| stranger::Stranger::visit(&key.0, &nodes, topic)).or_raise(py)?;
        Ok(Self(Owned::new(core, stranger::Stranger::leave)))
    }

    fn report(&self, py: Python<'_>) -> PyResult<VisitRow> {
        let Visit { connected, identified, events_received, events_sent, events_published, ends, is_over } =
            self.0.get(py)?.report();
        Ok((connected, identified, events_received, events_sent, events_published, ends, is_over))
    }

    fn leave(&self, py: Python<'_>) -> PyResult<()> {
        self.0.get(py)?.leave();
        Ok(())
    }
}
