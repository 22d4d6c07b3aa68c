//! A received or published event. Everything in it becomes a Python object when it is first read.

use std::{
    fmt,
    hash::{BuildHasher as _, RandomState},
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use depinmesh_core::pubsub::Delivered;
use pyo3::{
    prelude::*,
    sync::PyOnceLock,
    types::{IntoPyDict as _, PyBytes, PyDateTime, PyDelta, PyDict, PyTzInfo},
};

const SECONDS_PER_DAY: i64 = 24 * 60 * 60;
/// Characters of an id or a topic in a `repr`: others choose them.
const SHOWN: usize = 64;

/// One event on a topic, as it was published or received (the envelope of the wire format). Immutable.
///
/// Equal to another event when author, id and topic are.
#[pyclass(frozen, module = "depinmesh")]
pub(crate) struct Event {
    delivered: Arc<Delivered>,
    message: PyOnceLock<Py<PyAny>>,
    from_peer: PyOnceLock<Py<PyAny>>,
    wallet: PyOnceLock<Py<PyAny>>,
}

impl Event {
    pub(crate) const fn new(delivered: Arc<Delivered>) -> Self {
        Self { delivered, message: PyOnceLock::new(), from_peer: PyOnceLock::new(), wallet: PyOnceLock::new() }
    }
}

#[pymethods]
impl Event {
    /// The id that the author gave the event: a UUID in events of this library.
    #[getter]
    fn id(&self) -> &str {
        &self.delivered.id
    }

    /// The bare name of the topic, without the database.
    #[getter]
    fn topic(&self) -> &str {
        &self.delivered.topic
    }

    /// The peer that signed the event; never somebody else, whoever passed it on.
    #[getter(from_peer)]
    fn author(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        static TRUSTED: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let text = &self.delivered.author.peer_text;
        self.from_peer.get_or_try_init(py, || trusted(py, &TRUSTED, "PeerId", text)).map(|peer| peer.clone_ref(py))
    }

    /// The wallet of that peer.
    #[getter]
    fn wallet(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        static TRUSTED: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let text = &self.delivered.author.wallet_text;
        self.wallet.get_or_try_init(py, || trusted(py, &TRUSTED, "Wallet", text)).map(|wallet| wallet.clone_ref(py))
    }

    /// What was published, decoded when it is first read; each later read gives the same object.
    #[getter]
    fn message(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.message
            .get_or_try_init(py, || decode(py, self.delivered.message_json()))
            .map(|message| message.clone_ref(py))
    }

    /// The JSON text that `message` is decoded from, as bytes of UTF-8.
    #[getter]
    fn message_json<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.delivered.message_json())
    }

    /// When the author says it published, in Unix seconds; nobody checks its clock.
    #[getter]
    fn timestamp(&self) -> i64 {
        self.delivered.timestamp
    }

    /// The timestamp as an aware datetime in UTC.
    #[getter]
    fn time<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        utc(py, self.delivered.timestamp, 0)
    }

    /// When this node received it (or, of its own event, published it), as an aware datetime in UTC.
    #[getter]
    fn received_at<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let since = self.delivered.received_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        utc(py, i64::try_from(since.as_secs())?, since.subsec_micros())
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.key() == other.key()
    }

    fn __hash__(&self) -> u64 {
        // Others choose ids, so the hash has a secret of this process, as the hash of a str has.
        static STATE: OnceLock<RandomState> = OnceLock::new();
        STATE.get_or_init(RandomState::new).hash_one(self.key())
    }

    fn __repr__(&self) -> String {
        let Delivered { id, topic, author, .. } = &*self.delivered;
        let size = self.delivered.message_json().len();
        format!("Event(id={}, topic={}, from_peer='{}', {size} bytes)", Shown(id), Shown(topic), author.peer_text)
    }
}

impl Event {
    fn key(&self) -> (&[u8; 32], &str, &str) {
        (self.delivered.author.wallet.as_bytes(), &self.delivered.id, &self.delivered.topic)
    }
}

/// Text of others for a `repr`: quoted, escaped and short.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("'")?;
        for character in self.0.chars().take(SHOWN) {
            if character == '"' {
                f.write_str("\"")?;
            } else {
                write!(f, "{}", character.escape_debug())?;
            }
        }
        f.write_str(if self.0.chars().nth(SHOWN).is_some() { "...'" } else { "'" })
    }
}

/// A `PeerId` or `Wallet` of text that the core has checked.
fn trusted(py: Python<'_>, constructor: &PyOnceLock<Py<PyAny>>, class: &str, text: &str) -> PyResult<Py<PyAny>> {
    let constructor = constructor.get_or_try_init(py, || {
        py.import("depinmesh.identity")?.getattr(class)?.getattr("_trusted").map(Bound::unbind)
    })?;
    constructor.call1(py, (text,))
}

/// The core has dropped what this would refuse: too deep, too many digits, no number, lone surrogates.
fn decode(py: Python<'_>, json: &[u8]) -> PyResult<Py<PyAny>> {
    static FROM_JSON: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    static OPTIONS: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
    let from_json = FROM_JSON.import(py, "pydantic_core", "from_json")?;
    let options = OPTIONS.get_or_try_init(py, || {
        let options = [("allow_inf_nan", false)].into_py_dict(py)?;
        options.set_item("cache_strings", "keys")?;
        PyResult::Ok(options.unbind())
    })?;
    from_json.call((PyBytes::new(py, json),), Some(options.bind(py))).map(Bound::unbind)
}

fn utc(py: Python<'_>, seconds: i64, micros: u32) -> PyResult<Bound<'_, PyAny>> {
    static EPOCH: PyOnceLock<Py<PyDateTime>> = PyOnceLock::new();
    let epoch = EPOCH.get_or_try_init(py, || {
        let utc = PyTzInfo::utc(py)?;
        PyDateTime::new(py, 1970, 1, 1, 0, 0, 0, 0, Some(&utc)).map(Bound::unbind)
    })?;
    let days = i32::try_from(seconds.div_euclid(SECONDS_PER_DAY))?;
    let second = i32::try_from(seconds.rem_euclid(SECONDS_PER_DAY))?;
    epoch.bind(py).add(PyDelta::new(py, days, second, i32::try_from(micros)?, false)?)
}
