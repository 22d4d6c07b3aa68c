//! Items of the mailbox as Python tuples, the first element of which names the form (`Item` of `_core.pyi`).

use depinmesh_core::{
    error::Error,
    events::{Control, NodeEvent, Question, Value},
};
use depinmesh_mailbox::{Drained, Item, Mailbox};
use pyo3::{
    IntoPyObjectExt as _, intern,
    prelude::*,
    types::{PyDict, PyList, PyTuple},
};

use crate::{convert::peer_row, errors::failure};

/// At most `limit` items; none: parked; `None`: closed. The mailbox is left before the first object is made.
pub(crate) fn drain<'py>(
    py: Python<'py>,
    mailbox: &Mailbox<Control>,
    limit: usize,
) -> PyResult<Option<Bound<'py, PyList>>> {
    match mailbox.drain(limit) {
        Drained::Items(items) => {
            let items = items.iter().map(|item| item_tuple(py, item)).collect::<PyResult<Vec<_>>>()?;
            PyList::new(py, items).map(Some)
        }
        Drained::Parked => Ok(Some(PyList::empty(py))),
        Drained::Closed => Ok(None),
    }
}

fn item_tuple<'py>(py: Python<'py>, item: &Item<Control>) -> PyResult<Bound<'py, PyTuple>> {
    match item {
        Item::Ready(subscription) => (intern!(py, "ready"), subscription).into_pyobject(py),
        Item::Control(Control::Done { op, result: Ok(value) }) => {
            (intern!(py, "done"), op, value_object(py, value)?).into_pyobject(py)
        }
        Item::Control(Control::Done { op, result: Err(error) }) => {
            (intern!(py, "failed"), op, failure(py, error)?).into_pyobject(py)
        }
        Item::Control(Control::Request { id, question: Question::Wallets { database, waiting } }) => {
            let waiting: Vec<_> = waiting.iter().map(ToString::to_string).collect();
            (intern!(py, "wallets"), id, database, waiting).into_pyobject(py)
        }
        Item::Control(Control::Request { id, question: Question::Bootstrap }) => {
            (intern!(py, "bootstrap"), id).into_pyobject(py)
        }
        Item::Control(Control::Cancel { id }) => (intern!(py, "cancel"), id).into_pyobject(py),
        Item::Control(Control::Event(event)) => {
            let (name, fields) = event_fields(py, event)?;
            (intern!(py, "event"), name, fields).into_pyobject(py)
        }
        Item::Control(Control::Stopped(error)) => {
            let failure = error.as_ref().map(|error: &Error| failure(py, error)).transpose()?;
            (intern!(py, "stopped"), failure).into_pyobject(py)
        }
    }
}

fn value_object<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    match value {
        Value::None => Ok(py.None().into_bound(py)),
        Value::Text(text) => text.into_bound_py_any(py),
    }
}

/// The fields of one event, set one by one under the names of its class in `depinmesh.events`.
struct Fields<'py>(Bound<'py, PyDict>);

impl<'py> Fields<'py> {
    fn with(self, name: &'static str, value: impl IntoPyObject<'py>) -> PyResult<Self> {
        self.0.set_item(name, value)?;
        Ok(self)
    }
}

fn event_fields<'py>(py: Python<'py>, event: &NodeEvent) -> PyResult<(&'static str, Bound<'py, PyDict>)> {
    let fields = Fields(PyDict::new(py));
    let (name, fields) = match event {
        NodeEvent::PeerConnected { peer } => ("PeerConnected", fields.with("peer", peer_row(py, peer)?)?),
        NodeEvent::PeerDisconnected { peer, wallet, reason } => (
            "PeerDisconnected",
            fields
                .with("peer_id", peer.to_base58())?
                .with("wallet", wallet.to_string())?
                .with("reason", reason.as_str())?,
        ),
        NodeEvent::PeerRefused { peer, wallet, direction, reason, count } => (
            "PeerRefused",
            fields
                .with("peer_id", peer.map(|peer| peer.to_string()))?
                .with("wallet", wallet.map(|wallet| wallet.to_string()))?
                .with("direction", direction.as_str())?
                .with("reason", reason)?
                .with("count", count)?,
        ),
        NodeEvent::Ready { database } => ("Ready", fields.with("database", database)?),
        NodeEvent::NotReady { database } => ("NotReady", fields.with("database", database)?),
        NodeEvent::WalletRevoked { wallet } => ("WalletRevoked", fields.with("wallet", wallet.to_string())?),
        NodeEvent::WalletsChanged { database, added, removed, total } => (
            "WalletsChanged",
            fields.with("database", database)?.with("added", added)?.with("removed", removed)?.with("total", total)?,
        ),
        NodeEvent::RegistryFailed { database, error, failures, retry_in } => (
            "RegistryFailed",
            fields
                .with("database", database)?
                .with("error", error)?
                .with("failures", failures)?
                .with("retry_in", retry_in.as_secs_f64())?,
        ),
        NodeEvent::RegistryStale { database, age } => {
            ("RegistryStale", fields.with("database", database)?.with("age", age.as_secs_f64())?)
        }
        NodeEvent::MessageDropped { topic, author, reason, count } => (
            "MessageDropped",
            fields
                .with("topic", topic)?
                .with("author", author.map(|author| author.to_string()))?
                .with("reason", reason)?
                .with("count", count)?,
        ),
        NodeEvent::QueueOverflow { topic, count } => {
            ("QueueOverflow", fields.with("topic", topic)?.with("count", count)?)
        }
        NodeEvent::ListenAddress { address } => ("ListenAddress", fields.with("address", address)?),
        NodeEvent::ReachabilityChanged { reachability, addresses } => (
            "ReachabilityChanged",
            fields.with("reachability", reachability.as_str())?.with("addresses", PyTuple::new(py, addresses)?)?,
        ),
        NodeEvent::DuplicateIdentity { address } => ("DuplicateIdentity", fields.with("address", address)?),
    };
    Ok((name, fields.0))
}
