//! Names that programs give, as UTF-8. Text of Python may hold half of a character that UTF-16 writes as two (`json.loads`
//! makes such text): that is wrong input like any other, with the error of its kind.

use depinmesh_core::error::{Error, ErrorKind};
use pyo3::{prelude::*, types::PyString};

use crate::errors::to_exception;

pub(crate) struct Topic<'a>(pub &'a str);

pub(crate) struct DatabaseName<'a>(pub &'a str);

pub(crate) struct Address(pub String);

impl<'a> FromPyObject<'a, '_> for Topic<'a> {
    type Error = PyErr;

    fn extract(text: Borrowed<'a, '_, PyAny>) -> PyResult<Self> {
        utf8(text, ErrorKind::Topic, "topic").map(Self)
    }
}

impl<'a> FromPyObject<'a, '_> for DatabaseName<'a> {
    type Error = PyErr;

    fn extract(text: Borrowed<'a, '_, PyAny>) -> PyResult<Self> {
        utf8(text, ErrorKind::Config, "database").map(Self)
    }
}

impl FromPyObject<'_, '_> for Address {
    type Error = PyErr;

    fn extract(text: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        utf8(text, ErrorKind::Dial, "address").map(|text| Self(text.to_owned()))
    }
}

fn utf8<'a>(text: Borrowed<'a, '_, PyAny>, kind: ErrorKind, field: &'static str) -> PyResult<&'a str> {
    text.cast::<PyString>()?;
    <&'a str>::extract(text).map_err(|_| {
        // As Python writes it in a program, which all encodings carry.
        let shown = text.call_method0("__repr__").map_or_else(|_| String::new(), |shown| shown.to_string());
        let message =
            format!("the {field} {shown} has characters that cannot be encoded as UTF-8; use text without them");
        to_exception(text.py(), &Error::new(kind, message).with(field, shown))
    })
}
