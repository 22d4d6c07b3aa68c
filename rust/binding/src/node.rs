//! The node: each method is one call of the core. What can wait for another thread runs without the interpreter.
//!
//! Draining, publishing and reading only copy under a lock that the network holds for as short a time, and that no
//! thread ever waits for with the interpreter in its hands. They keep it: giving it away lets any thread that computes
//! hold up the event loop for a whole switch interval.

use depinmesh_core::{
    bridge::waker::Waker,
    check_process,
    gate::{Listed, Verdict, WalletSource},
    identity::{self, Wallet},
    metrics::MetricKind,
    node,
};
use depinmesh_mailbox::{Limits, Overflow};
use pyo3::{
    exceptions::PyRuntimeError,
    prelude::*,
    types::{IntoPyDict as _, PyDict, PyList, PyTuple},
};

use crate::{
    convert::{bootstrap_row, duration, fields_to_dict, peer_row, wallet_entries},
    encode::encode,
    errors::OrRaise as _,
    event::Event,
    fork::Owned,
    identity::SecretKey,
    mailbox,
    options::{NodeOptions, unknown},
    subscription::Subscription,
    text::{Address, DatabaseName, Topic},
};

type MetricRow<'py> = (&'static str, &'static str, f64, Bound<'py, PyDict>, Vec<(f64, u64)>, f64);

#[pyclass(frozen, module = "depinmesh._core")]
pub(crate) struct Node {
    core: Owned<node::Node>,
    waker: Waker,
}

#[pymethods]
impl Node {
    #[new]
    #[pyo3(signature = (key, options, /))]
    fn new(py: Python<'_>, key: &SecretKey, options: NodeOptions) -> PyResult<Self> {
        check_process().or_raise(py)?;
        let waker = Waker::new(options.waker().or_raise(py)?).or_raise(py)?;
        let config = options.into_config().or_raise(py)?;
        let core = node::Node::new(key.0.clone(), config, waker.wake());
        // Parked from the start: who watches the descriptor, or waits, is woken by the very first item.
        let _ = core.mailbox().drain(1);
        Ok(Self { core: Owned::new(core, node::Node::abort), waker })
    }

    fn wake_fd(&self, py: Python<'_>) -> PyResult<i32> {
        self.core.get(py)?;
        Ok(self.waker.descriptor().unwrap_or(-1))
    }

    fn clear_wake(&self, py: Python<'_>) -> PyResult<()> {
        // A child shares the descriptor, and would take the wakes of its parent.
        self.core.get(py)?;
        self.waker.clear();
        Ok(())
    }

    #[pyo3(signature = (timeout, /))]
    fn wait_wake(&self, py: Python<'_>, timeout: f64) -> PyResult<bool> {
        self.core.get(py)?;
        py.detach(|| self.waker.wait(duration(timeout)))
            .ok_or_else(|| PyRuntimeError::new_err("this node wakes by a descriptor; watch wake_fd()"))
    }

    #[pyo3(signature = (limit, /))]
    fn drain<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Option<Bound<'py, PyList>>> {
        mailbox::drain(py, self.core.get(py)?.mailbox(), limit)
    }

    #[pyo3(signature = (op, /))]
    fn start(&self, py: Python<'_>, op: u64) -> PyResult<()> {
        let core = self.core.get(py)?;
        py.detach(|| core.start(op)).or_raise(py)
    }

    #[pyo3(signature = (op, timeout, /))]
    fn close(&self, py: Python<'_>, op: u64, timeout: f64) -> PyResult<()> {
        let core = self.core.get(py)?;
        py.detach(|| core.close(op, duration(timeout)));
        Ok(())
    }

    fn abort(&self, py: Python<'_>) {
        if let Some(core) = self.core.here() {
            py.detach(|| core.abort());
        }
    }

    #[pyo3(signature = (op, /))]
    fn cancel(&self, py: Python<'_>, op: u64) -> PyResult<()> {
        let core = self.core.get(py)?;
        py.detach(|| core.cancel(op));
        Ok(())
    }

    fn crash(&self, py: Python<'_>) -> PyResult<()> {
        self.core.get(py)?.crash();
        Ok(())
    }

    #[pyo3(signature = (request, wallets, age, /))]
    fn answer_wallets(&self, py: Python<'_>, request: u64, wallets: &Bound<'_, PyList>, age: f64) -> PyResult<bool> {
        let core = self.core.get(py)?;
        let listed = Listed { entries: wallet_entries(wallets)?, age: duration(age) };
        Ok(py.detach(|| core.answer_wallets(request, listed)))
    }

    #[pyo3(signature = (request, nodes, /))]
    fn answer_bootstrap(&self, py: Python<'_>, request: u64, nodes: Vec<Vec<String>>) -> PyResult<bool> {
        let core = self.core.get(py)?;
        py.detach(|| core.answer_bootstrap(request, &nodes)).or_raise(py)
    }

    #[pyo3(signature = (request, message, /))]
    fn answer_failed(&self, py: Python<'_>, request: u64, message: String) -> PyResult<bool> {
        let core = self.core.get(py)?;
        Ok(py.detach(|| core.answer_failed(request, message)))
    }

    #[pyo3(signature = (name, wallets, /, *, by_check))]
    fn attach(
        &self,
        py: Python<'_>,
        name: DatabaseName<'_>,
        wallets: Option<&Bound<'_, PyList>>,
        by_check: bool,
    ) -> PyResult<u32> {
        let core = self.core.get(py)?;
        let source = match wallets {
            Some(wallets) => WalletSource::List(wallet_entries(wallets)?),
            None if by_check => WalletSource::Checked,
            None => WalletSource::Asked,
        };
        py.detach(|| core.attach(name.0, source)).or_raise(py)
    }

    #[pyo3(signature = (database, wallets, age, /))]
    fn set_wallets(&self, py: Python<'_>, database: u32, wallets: &Bound<'_, PyList>, age: f64) -> PyResult<()> {
        let core = self.core.get(py)?;
        let listed = Listed { entries: wallet_entries(wallets)?, age: duration(age) };
        py.detach(|| core.set_wallets(database, listed)).or_raise(py)
    }

    #[pyo3(signature = (database, /))]
    fn detach(&self, py: Python<'_>, database: u32) -> PyResult<()> {
        let core = self.core.get(py)?;
        py.detach(|| core.detach(database));
        Ok(())
    }

    #[pyo3(signature = (nodes, /))]
    fn set_bootstrap(&self, py: Python<'_>, nodes: Option<Vec<Vec<String>>>) -> PyResult<()> {
        let core = self.core.get(py)?;
        py.detach(|| core.set_bootstrap(nodes.as_deref())).or_raise(py)
    }

    #[pyo3(signature = (op, timeout, /))]
    fn wait_first_round(&self, py: Python<'_>, op: u64, timeout: f64) -> PyResult<()> {
        let core = self.core.get(py)?;
        py.detach(|| core.wait_first_round(op, duration(timeout)));
        Ok(())
    }

    #[pyo3(signature = (op, database, /))]
    fn wait_ready(&self, py: Python<'_>, op: u64, database: Option<u32>) -> PyResult<()> {
        let core = self.core.get(py)?;
        py.detach(|| core.wait_ready(op, database));
        Ok(())
    }

    #[pyo3(signature = (op, database, /))]
    fn wait_sent(&self, py: Python<'_>, op: u64, database: u32) -> PyResult<()> {
        let core = self.core.get(py)?;
        py.detach(|| core.wait_sent(op, database));
        Ok(())
    }

    #[pyo3(signature = (database, topic, message, /))]
    fn publish(&self, py: Python<'_>, database: u32, topic: Topic<'_>, message: &Bound<'_, PyAny>) -> PyResult<Event> {
        let core = self.core.get(py)?;
        let encoded = encode(message).or_raise(py)?;
        if encoded.has_wide_integer {
            tracing::debug!(target: "depinmesh::pubsub", topic = topic.0, "an integer above 2^53 goes out, which Go receivers round");
        }
        core.publish(database, topic.0, &encoded.json).or_raise(py).map(Event::new)
    }

    #[pyo3(signature = (database, topic, message, /))]
    fn check_size(&self, py: Python<'_>, database: u32, topic: Topic<'_>, message: usize) -> PyResult<()> {
        self.core.get(py)?.check_size(database, topic.0, message).or_raise(py)
    }

    #[pyo3(signature = (op, database, topic, /))]
    fn wait_writable(&self, py: Python<'_>, op: u64, database: u32, topic: Topic<'_>) -> PyResult<()> {
        let core = self.core.get(py)?;
        py.detach(|| core.wait_writable(op, database, topic.0)).or_raise(py)
    }

    #[pyo3(signature = (database, topic, queue_size, queue_bytes, overflow, /))]
    fn subscribe(
        &self,
        py: Python<'_>,
        database: u32,
        topic: Topic<'_>,
        queue_size: usize,
        queue_bytes: usize,
        overflow: &str,
    ) -> PyResult<Subscription> {
        let core = self.core.get(py)?;
        let overflow = match overflow {
            "drop_oldest" => Overflow::DropOldest,
            "drop_newest" => Overflow::DropNewest,
            other => return Err(unknown("overflow", other)).or_raise(py),
        };
        let limits = Limits { items: queue_size, bytes: queue_bytes, overflow };
        py.detach(|| core.subscribe(database, topic.0, limits)).or_raise(py).map(Subscription::new)
    }

    #[pyo3(signature = (database, topic, /))]
    fn topic_peers(&self, py: Python<'_>, database: u32, topic: Topic<'_>) -> PyResult<Vec<String>> {
        let peers = self.core.get(py)?.topic_peers(database, topic.0).or_raise(py)?;
        Ok(peers.iter().map(|peer| peer.to_base58()).collect())
    }

    #[pyo3(signature = (database, topic, n, /))]
    fn has_topic_peers(&self, py: Python<'_>, database: u32, topic: Topic<'_>, n: usize) -> PyResult<bool> {
        self.core.get(py)?.has_topic_peers(database, topic.0, n).or_raise(py)
    }

    #[pyo3(signature = (op, database, topic, n, /))]
    fn wait_for_peers(&self, py: Python<'_>, op: u64, database: u32, topic: Topic<'_>, n: usize) -> PyResult<()> {
        let core = self.core.get(py)?;
        py.detach(|| core.wait_for_peers(op, database, topic.0, n)).or_raise(py)
    }

    #[pyo3(signature = (op, addresses, timeout, /))]
    fn dial(&self, py: Python<'_>, op: u64, addresses: Vec<Address>, timeout: f64) -> PyResult<()> {
        let core = self.core.get(py)?;
        let addresses: Vec<_> = addresses.into_iter().map(|Address(text)| text).collect();
        py.detach(|| core.dial(op, &addresses, duration(timeout))).or_raise(py)
    }

    #[pyo3(signature = (op, peer_id, /))]
    fn hang_up(&self, py: Python<'_>, op: u64, peer_id: &str) -> PyResult<()> {
        let core = self.core.get(py)?;
        let peer = identity::parse_peer_id(peer_id).or_raise(py)?;
        py.detach(|| core.hang_up(op, peer));
        Ok(())
    }

    fn retry_bootstrap(&self, py: Python<'_>) -> PyResult<()> {
        let core = self.core.get(py)?;
        py.detach(|| core.retry_bootstrap());
        Ok(())
    }

    #[pyo3(signature = (database, /))]
    fn peers<'py>(&self, py: Python<'py>, database: Option<u32>) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        self.core.get(py)?.peers(database).iter().map(|peer| peer_row(py, peer)).collect()
    }

    fn bootstrap<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        self.core.get(py)?.bootstrap().iter().map(|node| bootstrap_row(py, node)).collect()
    }

    fn addresses(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        Ok(self.core.get(py)?.addresses())
    }

    #[pyo3(signature = (database, /))]
    fn is_ready(&self, py: Python<'_>, database: Option<u32>) -> PyResult<bool> {
        Ok(self.core.get(py)?.is_ready(database))
    }

    fn gate_wallets(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let wallets = self.core.get(py)?.gate().map(|gate| gate.wallets());
        Ok(wallets.unwrap_or_default().iter().map(Wallet::to_string).collect())
    }

    fn gate_age(&self, py: Python<'_>) -> PyResult<Option<f64>> {
        let age = self.core.get(py)?.gate().and_then(|gate| gate.age());
        Ok(age.map(|age| age.as_secs_f64()))
    }

    fn gate_listed(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.core.get(py)?.gate().is_some_and(|gate| gate.own_listed()))
    }

    #[pyo3(signature = (wallet, /))]
    fn is_authorized(&self, py: Python<'_>, wallet: &str) -> PyResult<bool> {
        let gate = self.core.get(py)?.gate();
        let peer = Wallet::parse(wallet).or_raise(py)?.peer_id();
        Ok(gate.is_some_and(|gate| matches!(gate.check_now(&peer), Verdict::Admit(_))))
    }

    #[pyo3(signature = (op, /))]
    fn refresh_gate(&self, py: Python<'_>, op: u64) -> PyResult<()> {
        let core = self.core.get(py)?;
        py.detach(|| core.refresh_gate(op));
        Ok(())
    }

    fn status<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        fields_to_dict(py, &self.core.get(py)?.status())
    }

    fn library_metrics(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.core.get(py)?.library_metrics())
    }

    fn metrics<'py>(&self, py: Python<'py>) -> PyResult<Vec<MetricRow<'py>>> {
        let metrics = self.core.get(py)?.metrics();
        metrics
            .into_iter()
            .map(|metric| {
                let kind = match metric.kind {
                    MetricKind::Counter => "counter",
                    MetricKind::Gauge => "gauge",
                    MetricKind::Histogram => "histogram",
                };
                let labels = metric.labels.into_py_dict(py)?;
                Ok((metric.name, kind, metric.value, labels, metric.buckets, metric.sum))
            })
            .collect()
    }
}
