//! Log records of the core, for the one thread of Python that takes them, and the versions for bug reports.

use depinmesh_core::{logs, versions as core_versions};
use pyo3::{
    prelude::*,
    types::{IntoPyDict as _, PyDict},
};

use crate::convert::{duration, unix_seconds};

type LogRow<'py> = (u8, String, String, Bound<'py, PyDict>, f64);

#[pyfunction]
pub(crate) fn set_log_level(level: u8) {
    logs::set_level(level);
}

/// Waits at most `timeout` seconds, without the interpreter, for the first record.
#[pyfunction]
pub(crate) fn take_logs(py: Python<'_>, limit: usize, timeout: f64) -> PyResult<Vec<LogRow<'_>>> {
    let records = py.detach(|| logs::take(limit, duration(timeout)));
    records
        .into_iter()
        .map(|record| {
            let fields = record.fields.into_py_dict(py)?;
            Ok((record.level, record.target, record.message, fields, unix_seconds(record.time)))
        })
        .collect()
}

#[pyfunction]
pub(crate) fn logs_dropped() -> u64 {
    logs::dropped()
}

#[pyfunction]
pub(crate) fn versions(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let versions = core_versions().into_py_dict(py)?;
    if let Some(rustc) = option_env!("DEPINMESH_RUSTC") {
        versions.set_item("rustc", rustc)?;
    }
    Ok(versions)
}
