//! Errors of the core as Python exceptions. The classes, and what is in them, are Python's (`depinmesh.errors`).

use depinmesh_core::error::{Error, ErrorKind};
use pyo3::{prelude::*, sync::PyOnceLock, types::PyTuple};

use crate::convert::fields_to_dict;

/// Names each kind once; one that is missing does not compile.
macro_rules! kinds {
    ($($kind:ident),* $(,)?) => {
        /// Every name that [`kind_name`] gives: Python has one class for each.
        pub(crate) const ERROR_KINDS: &[&str] = &[$(stringify!($kind)),*];

        pub(crate) const fn kind_name(kind: ErrorKind) -> &'static str {
            match kind {
                $(ErrorKind::$kind => stringify!($kind)),*
            }
        }
    };
}

kinds!(
    Config,
    Identity,
    Topic,
    Encode,
    MessageTooLarge,
    Listen,
    Registry,
    Dial,
    NotAuthorized,
    AlreadySubscribed,
    NotSubscribed,
    Backpressure,
    Closed,
    ForkedProcess,
    Timeout,
    Core,
);

/// `(kind, message, fields)`, of which Python makes the exception.
pub(crate) fn failure<'py>(py: Python<'py>, error: &Error) -> PyResult<Bound<'py, PyTuple>> {
    (kind_name(error.kind), error.message.as_str(), fields_to_dict(py, &error.fields)?).into_pyobject(py)
}

/// The exception for an error. Should making it fail, that failure is the exception.
pub(crate) fn to_exception(py: Python<'_>, error: &Error) -> PyErr {
    from_core(py, error).map_or_else(|failed| failed, PyErr::from_value)
}

fn from_core<'py>(py: Python<'py>, error: &Error) -> PyResult<Bound<'py, PyAny>> {
    static FROM_CORE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    FROM_CORE.import(py, "depinmesh.errors", "from_core")?.call1(failure(py, error)?)
}

/// `result.or_raise(py)?` for everything that becomes an [`Error`].
pub(crate) trait OrRaise<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T, E: Into<Error>> OrRaise<T> for Result<T, E> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| to_exception(py, &error.into()))
    }
}
