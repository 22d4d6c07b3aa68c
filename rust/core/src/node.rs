//! The handle of a node: what the host language holds. Every call here is short and never waits for the network.

mod databases;

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU32},
    time::{Duration, Instant},
};

use depinmesh_mailbox::{Mailbox, Wake};
use futures::FutureExt;
use libp2p::PeerId;
use tokio::sync::mpsc;

use crate::{
    bridge::requests::Answer,
    config::NodeConfig,
    error::{Error, ErrorKind, Field},
    events::{Control, Value},
    gate::{DatabaseId, Gate, Listed},
    identity::SecretKey,
    logs,
    metrics::Metric,
    peer::{BootstrapInfo, PeerInfo},
    pubsub::Author,
    runtime, samples,
    shared::{BootstrapSource, Shared},
    swarm::{
        commands::Command,
        dial_target::{DialTarget, parse_nodes},
        library, task,
    },
};

/// Node events that wait for the host; older ones are dropped and counted.
const EVENT_LIMIT: usize = 4_096;
/// Operations under way; more is a fault of the caller's, and it is told.
const COMMAND_LIMIT: usize = 16_384;

pub struct Node {
    key: SecretKey,
    author: Arc<Author>,
    config: NodeConfig,
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    idle: Mutex<Option<mpsc::Receiver<Command>>>,
    runtime: Mutex<Option<runtime::Share>>,
    next_database: AtomicU32,
}

impl Node {
    pub fn new(key: SecretKey, config: NodeConfig, waker: Arc<dyn Wake>) -> Arc<Self> {
        let (commands, receiver) = mpsc::channel(COMMAND_LIMIT);
        Arc::new(Self {
            author: Arc::new(Author::new(key.peer_id(), key.wallet())),
            key,
            config,
            shared: Shared::new(Mailbox::new(waker, EVENT_LIMIT)),
            commands,
            idle: Mutex::new(Some(receiver)),
            runtime: Mutex::new(None),
            next_database: AtomicU32::new(1),
        })
    }

    pub fn mailbox(&self) -> &Arc<Mailbox<Control>> {
        &self.shared.mailbox
    }

    /// Starts the network. `op` ends when every listener is up, or with what kept one down; then nothing runs.
    pub fn start(&self, op: u64) -> Result<(), Error> {
        let receiver = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        let commands = receiver.ok_or_else(|| Error::new(ErrorKind::Core, "a node is started once"))?;
        logs::install();
        self.shared.views().started = Some(Instant::now());
        let runtime = runtime::Share::get()?;
        let handle = runtime.handle();
        *self.runtime.lock().unwrap_or_else(PoisonError::into_inner) = Some(runtime);
        let shared = Arc::clone(&self.shared);
        let network = task::run(self.key.clone(), self.config.clone(), Arc::clone(&shared), commands, op);
        let network = AssertUnwindSafe(Box::pin(network)).catch_unwind();
        handle.spawn(async move {
            // Whatever ends the task, the host hears of it: a waiting caller must never wait for nothing.
            let stopped = match network.await {
                Ok(result) => result.err(),
                Err(panic) => Some(Error::new(ErrorKind::Core, format!("the core failed: {}", panic_text(&*panic)))),
            };
            if let Some(error) = &stopped {
                tracing::error!(%error, "the network has stopped");
            }
            shared.begin_close();
            shared.topics.close();
            shared.views().end();
            if let Some(gate) = shared.gate.get() {
                gate.shutdown();
            }
            shared.mailbox.post(Control::Stopped(stopped));
            shared.mailbox.close();
        });
        Ok(())
    }

    /// Sends what is queued, then ends. `op` always ends; the last item of the mailbox follows it.
    pub fn close(&self, op: u64, timeout: Duration) {
        self.shared.begin_close();
        if self.idle.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            // Never started: there is no task that could end.
            self.shared.done(op, Value::None);
            self.shared.mailbox.post(Control::Stopped(None));
            self.shared.mailbox.close();
        } else if self.commands.try_send(Command::Close { op, until: Instant::now() + timeout }).is_err() {
            self.shared.abort.notify_one();
            self.shared.done(op, Value::None);
        }
    }

    /// Ends without waiting for anything or anybody.
    pub fn abort(&self) {
        self.shared.begin_close();
        self.shared.abort.notify_one();
        self.shared.mailbox.close();
        // The last node takes the threads along, and waits for them a moment.
        let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(runtime);
    }

    pub fn cancel(&self, op: u64) {
        self.shared.outbox.cancel(op);
        // A full queue is no loss: an operation that ends later finds nobody who waits for it.
        let _ = self.commands.try_send(Command::Cancel { op });
    }

    /// Makes the network fail as a fault of ours would, so that a program can be tested against it.
    pub fn crash(&self) {
        // `Err` says that it has ended, or is so far behind that it has no room for one more wish.
        let _ = self.commands.try_send(Command::Crash);
    }

    pub fn answer_wallets(&self, request: u64, wallets: Listed) -> bool {
        self.shared.requests.answer(request, Answer::Wallets(wallets))
    }

    /// `Err` names the first entry that is none; the request is then answered as failed.
    pub fn answer_bootstrap(&self, request: u64, nodes: &[Vec<String>]) -> Result<bool, Error> {
        let nodes = parse_nodes(nodes).inspect_err(|error| {
            self.answer_failed(request, error.message.clone());
        })?;
        Ok(self.shared.requests.answer(request, Answer::Bootstrap(nodes)))
    }

    pub fn answer_failed(&self, request: u64, message: String) -> bool {
        self.shared.requests.answer(request, Answer::Failed(message))
    }

    /// `None`: ask for the list at every attempt.
    pub fn set_bootstrap(&self, nodes: Option<&[Vec<String>]>) -> Result<(), Error> {
        let source = match nodes {
            None => BootstrapSource::Asked,
            Some(nodes) => BootstrapSource::List(parse_nodes(nodes)?),
        };
        *self.shared.bootstrap.lock().unwrap_or_else(PoisonError::into_inner) = source;
        Ok(())
    }

    pub fn wait_first_round(&self, op: u64, timeout: Duration) {
        self.send(op, Command::WaitFirstRound { op, until: Instant::now() + timeout });
    }

    pub fn wait_ready(&self, op: u64, database: Option<DatabaseId>) {
        self.send(op, Command::WaitReady { op, database });
    }

    /// `addresses`: one peer id, one multiaddr, or several multiaddrs of one peer, which are raced.
    pub fn dial(&self, op: u64, addresses: &[String], timeout: Duration) -> Result<(), Error> {
        let target = DialTarget::parse_all(addresses)?;
        if matches!(target, DialTarget::Peer(peer, _) if peer == self.author.peer) {
            let error = Error::new(ErrorKind::Dial, "this is the address of the node itself");
            return Err(error.with("address", addresses.join(", ")));
        }
        self.send(op, Command::Dial { op, target, timeout });
        Ok(())
    }

    pub fn hang_up(&self, op: u64, peer: PeerId) {
        self.send(op, Command::HangUp { op, peer });
    }

    pub fn retry_bootstrap(&self) {
        let _ = self.commands.try_send(Command::RetryBootstrap);
    }

    pub fn peers(&self, database: Option<DatabaseId>) -> Vec<PeerInfo> {
        self.shared.peers(database)
    }

    /// How the dials of the bootstrap nodes went.
    pub fn bootstrap(&self) -> Vec<BootstrapInfo> {
        self.shared.views().bootstrap_nodes.clone()
    }

    pub fn addresses(&self) -> Vec<String> {
        self.shared.views().addresses.clone()
    }

    pub fn is_ready(&self, database: Option<DatabaseId>) -> bool {
        // As `peers` sees it, or one of the two would be ahead of the other for a moment.
        self.shared.has_peers(database)
    }

    /// `None` before the start.
    pub fn gate(&self) -> Option<Gate> {
        self.shared.gate.get().cloned()
    }

    /// Reads the registry now.
    pub fn refresh_gate(&self, op: u64) {
        let (Ok(gate), Some(runtime)) = (self.running(), &*self.runtime.lock().unwrap_or_else(PoisonError::into_inner))
        else {
            return self.shared.failed(op, Error::closed());
        };
        let shared = Arc::clone(&self.shared);
        runtime.handle().spawn(async move {
            match gate.refresh().await {
                Ok(()) => shared.done(op, Value::None),
                Err(error) => shared.failed(op, error),
            }
        });
    }

    pub fn status(&self) -> Vec<(&'static str, Field)> {
        self.shared.status()
    }

    pub fn metrics(&self) -> Vec<Metric> {
        samples::all(&self.shared)
    }

    /// What libp2p itself counts, in the text format of `OpenMetrics`; empty before the start.
    pub fn library_metrics(&self) -> String {
        library::text(&self.shared)
    }

    fn running(&self) -> Result<Gate, Error> {
        if self.shared.is_closed() {
            return Err(Error::closed());
        }
        self.gate().ok_or_else(|| Error::new(ErrorKind::Core, "the node is not started"))
    }

    fn send(&self, op: u64, command: Command) {
        let error = match self.commands.try_send(command) {
            Ok(()) => return,
            Err(mpsc::error::TrySendError::Closed(_)) => Error::closed(),
            Err(mpsc::error::TrySendError::Full(_)) => {
                Error::new(ErrorKind::Backpressure, "too many operations are under way on this node")
            }
        };
        self.shared.failed(op, error);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.abort();
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}
