//! Small values of the core as Python objects, and the other way.

use std::time::{Duration, SystemTime};

use depinmesh_core::{
    error::Field,
    gate::Entry,
    peer::{BootstrapInfo, PeerInfo},
};
use pyo3::{
    IntoPyObjectExt as _,
    exceptions::PyTypeError,
    prelude::*,
    types::{PyBytes, PyDict, PyList, PyString, PyTuple},
};

/// About 30 years: a wait that long never ends, and still no clock overflows by it.
const LONGEST_SECONDS: f64 = 1e9;

/// Seconds of Python as a duration; what is below zero, or no number, has passed.
pub(crate) fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.min(LONGEST_SECONDS)).unwrap_or_default()
}

/// Seconds since 1970; before that, 0.
pub(crate) fn unix_seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

pub(crate) fn field_to_object<'py>(py: Python<'py>, field: &Field) -> PyResult<Bound<'py, PyAny>> {
    match field {
        Field::Text(text) => text.into_bound_py_any(py),
        Field::Int(int) => int.into_bound_py_any(py),
        Field::Texts(texts) => texts.into_bound_py_any(py),
        Field::None => Ok(py.None().into_bound(py)),
    }
}

pub(crate) fn fields_to_dict<'py>(py: Python<'py>, fields: &[(&'static str, Field)]) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, field) in fields {
        dict.set_item(name, field_to_object(py, field)?)?;
    }
    Ok(dict)
}

/// A `BootstrapRow` of `_core.pyi`.
pub(crate) fn bootstrap_row<'py>(py: Python<'py>, node: &BootstrapInfo) -> PyResult<Bound<'py, PyTuple>> {
    (
        node.peer.to_base58(),
        node.wallet.to_string(),
        &node.addresses,
        node.connected,
        node.dialled_at.map(unix_seconds),
        node.error.as_deref(),
    )
        .into_pyobject(py)
}

/// A `PeerRow` of `_core.pyi`.
pub(crate) fn peer_row<'py>(py: Python<'py>, peer: &PeerInfo) -> PyResult<Bound<'py, PyTuple>> {
    let addresses: Vec<&str> = peer.addresses.iter().map(|address| &**address).collect();
    (
        peer.peer.to_base58(),
        peer.wallet.to_string(),
        addresses,
        peer.direction.as_str(),
        peer.transport,
        unix_seconds(peer.connected_at),
        &*peer.agent,
        peer.rtt.map(|rtt| rtt.as_secs_f64()),
    )
        .into_pyobject(py)
}

/// The entries of a registry, judged one by one in the core: an entry that is no wallet is dropped there with a warning,
/// so broken text is no reason to lose the list.
pub(crate) fn wallet_entries(wallets: &Bound<'_, PyList>) -> PyResult<Vec<Entry>> {
    wallets
        .iter()
        .map(|wallet| {
            if let Ok(text) = wallet.cast::<PyString>() {
                Ok(Entry::Text(text.to_string_lossy().into_owned()))
            } else if let Ok(bytes) = wallet.cast::<PyBytes>() {
                Ok(Entry::Bytes(bytes.as_bytes().to_vec()))
            } else {
                Err(PyTypeError::new_err(format!("a wallet is str or bytes, not {}", wallet.get_type().name()?)))
            }
        })
        .collect()
}
