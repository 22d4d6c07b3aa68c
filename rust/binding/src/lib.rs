//! `depinmesh._core`: the network core as a Python module. It translates, and decides nothing.
//!
//! Only threads of Python come in here. The core has no pyo3, so its threads cannot wait for the interpreter, and what
//! they have to say waits in the mailbox until Python takes it.

#![forbid(unsafe_code)]

#[cfg(feature = "bench")]
mod bench;
mod convert;
mod encode;
mod errors;
mod event;
mod fork;
mod identity;
mod logs;
mod mailbox;
mod node;
mod options;
mod path;
mod stranger;
mod subscription;
mod text;

use pyo3::prelude::*;

#[pymodule]
mod _core {
    use pyo3::{
        prelude::*,
        types::{PyBytes, PyTuple},
    };

    #[cfg(feature = "bench")]
    #[pymodule_export]
    use crate::bench::BridgeBench;
    use crate::{
        encode,
        errors::{ERROR_KINDS, OrRaise as _},
    };
    #[pymodule_export]
    use crate::{
        event::Event,
        identity::{SecretKey, check_wallet, peer_id_of, wallet_bytes, wallet_of},
        logs::{logs_dropped, set_log_level, take_logs, versions},
        node::Node,
        stranger::Stranger,
        subscription::Subscription,
    };

    /// What `publish` sends as the message: the encoder by itself.
    #[pyfunction]
    #[pyo3(signature = (value, /))]
    fn encode_json<'py>(py: Python<'py>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &encode::encode(value).or_raise(py)?.json))
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("ERROR_KINDS", PyTuple::new(module.py(), ERROR_KINDS)?)
    }
}
