//! Wallets, peer ids and the secret key. Their public classes are Python's (`depinmesh.identity`).

use depinmesh_core::{
    error::{Error, ErrorKind},
    identity::{self, Wallet},
};
use pyo3::{
    exceptions::PyTypeError,
    prelude::*,
    types::{PyByteArray, PyBytes},
};

use crate::errors::OrRaise as _;

#[pyfunction]
pub(crate) fn wallet_bytes<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, Wallet::parse(text).or_raise(py)?.as_bytes()))
}

#[pyfunction]
pub(crate) fn check_wallet(py: Python<'_>, raw: &[u8]) -> PyResult<String> {
    Ok(Wallet::from_bytes(raw).or_raise(py)?.to_string())
}

#[pyfunction]
pub(crate) fn peer_id_of(py: Python<'_>, wallet: &str) -> PyResult<String> {
    Ok(Wallet::parse(wallet).or_raise(py)?.peer_id().to_base58())
}

#[pyfunction]
pub(crate) fn wallet_of(py: Python<'_>, peer_id: &str) -> PyResult<String> {
    let peer_id = identity::parse_peer_id(peer_id).or_raise(py)?;
    Ok(Wallet::from_peer_id(&peer_id).or_raise(py)?.to_string())
}

/// Leaves by `to_base58` only: it has no other text, and is neither copied nor pickled.
#[pyclass(frozen, module = "depinmesh._core")]
pub(crate) struct SecretKey(pub(crate) identity::SecretKey);

#[pymethods]
impl SecretKey {
    #[staticmethod]
    fn generate() -> Self {
        Self(identity::SecretKey::generate())
    }

    #[staticmethod]
    fn from_base58(py: Python<'_>, text: &str) -> PyResult<Self> {
        identity::SecretKey::from_base58(text).or_raise(py).map(Self)
    }

    /// The caller has what it read in a buffer that it can wipe.
    #[staticmethod]
    fn from_file_content(py: Python<'_>, content: &Bound<'_, PyByteArray>) -> PyResult<Self> {
        identity::SecretKey::from_file_content(content.to_vec()).or_raise(py).map(Self)
    }

    #[staticmethod]
    fn from_bytes(py: Python<'_>, secret: &[u8]) -> PyResult<Self> {
        identity::SecretKey::from_bytes(secret).or_raise(py).map(Self)
    }

    #[staticmethod]
    fn from_seed(py: Python<'_>, seed: &[u8]) -> PyResult<Self> {
        let wrong_length = |_| Error::new(ErrorKind::Identity, format!("a seed has 32 bytes, this has {}", seed.len()));
        let seed = seed.try_into().map_err(wrong_length).or_raise(py)?;
        Ok(Self(identity::SecretKey::from_seed(seed)))
    }

    #[getter]
    fn wallet(&self) -> String {
        self.0.wallet().to_string()
    }

    #[getter]
    fn peer_id(&self) -> String {
        self.0.peer_id().to_base58()
    }

    fn to_base58(&self) -> String {
        self.0.to_base58().as_str().to_owned()
    }

    fn __repr__(&self) -> String {
        format!("SecretKey(wallet='{}')", self.wallet())
    }

    /// What copying and pickling ask for.
    #[expect(clippy::unused_self, reason = "Python calls it on the object")]
    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "a secret key is neither copied nor pickled: share the object, or write to_base58() where a secret belongs",
        ))
    }
}
