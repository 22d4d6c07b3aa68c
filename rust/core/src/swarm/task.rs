//! The one task that owns the swarm. No arm of its loop waits: whatever takes time is a future of its own or a timer.

use std::{
    collections::{HashMap, HashSet},
    future::poll_fn,
    num::NonZeroU8,
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use futures::{
    Stream, StreamExt,
    future::{BoxFuture, FutureExt},
    stream::FuturesUnordered,
};
use libp2p::{
    Multiaddr, PeerId, Swarm,
    core::transport::ListenerId,
    gossipsub::{IdentTopic, PublishError, TopicHash},
    swarm::{self, SwarmEvent},
};
use tokio::sync::mpsc;

use crate::{
    bridge::requests::{Answer, HostRegistry},
    config::NodeConfig,
    discovery::bootstrap::Bootstrap,
    error::{Error, ErrorKind},
    events::{Control, DisconnectReason, NodeEvent, Question, Value},
    gate::{DatabaseId, Gate, GateEvent, Revocation, Verdict},
    identity::{SecretKey, Wallet},
    logs,
    pubsub::receive::Receiver,
    shared::{BootstrapSource, Shared},
    swarm::{
        behaviour::{Behaviour, BehaviourEvent},
        commands::{Command, parse_node},
        dial::Dialer,
        dialling::Checked,
        guard::{AddressLimits, Guard},
        jitter::Jitter,
        listen,
        merge::Merger,
        ops::Ops,
        peers::Peers,
        transport, views,
    },
};

pub(super) type NodeSwarm = Swarm<Behaviour>;

/// Links stay up when they are quiet; `swarm/peers.rs` closes the dead ones.
const IDLE: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// Work between two looks at everything else, so that neither publishing nor receiving starves the other.
const PUBLISH_BUDGET: usize = 32;
const EVENT_BUDGET: usize = 64;
/// How long publishing pauses when the queues to all peers are full.
const PAUSE: Duration = Duration::from_millis(10);
/// The pace of timers while something waits for one, and while nothing does.
const TICK: Duration = Duration::from_millis(50);
const IDLE_TICK: Duration = Duration::from_millis(500);
/// Round trip times come with every ping; the views show them this often.
const VIEWS_EVERY: Duration = Duration::from_secs(1);
/// What is in the queues towards the peers gets this long on the wire when a node closes.
const LINGER: Duration = Duration::from_millis(100);
const FLUSH: Duration = Duration::from_secs(1);
const GOODBYE: Duration = Duration::from_millis(500);
/// One warning about a topic without a subscriber in this time.
const UNHEARD_EVERY: Duration = Duration::from_secs(60);
const UNHEARD_TOPICS: usize = 1_024;

pub(super) struct Task {
    pub(super) swarm: NodeSwarm,
    pub(super) shared: Arc<Shared>,
    pub(super) config: NodeConfig,
    pub(super) gate: Gate,
    pub(super) peers: Peers,
    pub(super) dialer: Dialer,
    pub(super) bootstrap: Bootstrap,
    pub(super) receiver: Receiver,
    pub(super) ops: Ops,
    merger: Merger,
    /// Dials that wait for the gate.
    pub(super) checks: FuturesUnordered<BoxFuture<'static, Checked>>,
    /// The host's answer to the question for bootstrap nodes.
    asked: FuturesUnordered<BoxFuture<'static, Result<Answer, String>>>,
    /// Listeners that have not reported an address yet, and the operation that waits for them.
    pub(super) opening: HashSet<ListenerId>,
    pub(super) start: Option<u64>,
    pub(super) failure: Option<Error>,
    unheard: HashMap<String, Instant>,
    published_at: Option<Instant>,
    /// The queues to all peers of a topic are full: publishing goes on after a moment.
    paused_until: Option<Instant>,
    /// Copies that such queues did not take, and that are tried again: gossip reports them as failed all the same.
    pub(super) retried: u64,
    tick_at: Instant,
    views_at: Instant,
}

/// Runs a node until it is closed. `Err` is why it could not start, or why it ended.
pub(crate) async fn run(
    key: SecretKey,
    config: NodeConfig,
    shared: Arc<Shared>,
    mut commands: mpsc::Receiver<Command>,
    start: u64,
) -> Result<(), Error> {
    let registry = Arc::new(HostRegistry(Arc::clone(&shared.requests)));
    let (gate, mut gate_events) = Gate::new(config.gate.clone(), key.wallet(), registry);
    if shared.gate.set(gate.clone()).is_err() {
        return Err(Error::new(ErrorKind::Core, "a node is started once"));
    }
    let mut task = match Task::open(&key, config, Arc::clone(&shared), gate, start) {
        Ok(task) => task,
        Err(error) => {
            shared.failed(start, error);
            return Ok(());
        }
    };
    loop {
        tokio::select! {
            biased;
            () = task.shared.abort.notified() => return Ok(()),
            command = commands.recv() => match command {
                Some(Command::Close { op, until }) => return task.close(op, until).await,
                Some(command) => task.command(command),
                // The handle is gone without a close.
                None => return Ok(()),
            },
            Some(event) = gate_events.recv() => task.on_gate(event),
            () = task.shared.topics.changed() => task.sync_topics(),
            Some(checked) = task.checks.next() => task.on_checked(checked),
            Some(answer) = task.asked.next() => task.on_bootstrap_answer(answer),
            () = task.shared.outbox.filled(), if task.paused_until.is_none() => task.publish(),
            event = next_event(&mut task.swarm, &task.shared) => task.on_swarm(event),
            () = tokio::time::sleep_until(task.tick_at.into()) => {}
        }
        for _ in 0..EVENT_BUDGET {
            match next_event(&mut task.swarm, &task.shared).now_or_never() {
                Some(event) => task.on_swarm(event),
                None => break,
            }
        }
        let now = Instant::now();
        if task.paused_until.is_some_and(|until| until <= now) {
            task.paused_until = None;
        }
        if now >= task.tick_at {
            task.tick(now);
        }
        if let Some(error) = task.failure.take() {
            return match task.start.take() {
                Some(op) => {
                    task.shared.failed(op, error);
                    Ok(())
                }
                None => Err(error),
            };
        }
    }
}

/// The swarm's next event. Messages with a wrong signature are reported by gossip only in its log, within this poll.
async fn next_event(swarm: &mut NodeSwarm, shared: &Shared) -> SwarmEvent<BehaviourEvent> {
    poll_fn(|cx| {
        logs::take_invalid_messages();
        let event = Pin::new(&mut *swarm).poll_next(cx);
        let invalid = logs::take_invalid_messages();
        if invalid > 0 {
            shared.counters.dropped.add("signature", invalid);
        }
        match event {
            Poll::Ready(Some(event)) => Poll::Ready(event),
            // A swarm never ends.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    })
    .await
}

impl Task {
    fn open(key: &SecretKey, config: NodeConfig, shared: Arc<Shared>, gate: Gate, start: u64) -> Result<Self, Error> {
        let core =
            |error: &dyn std::fmt::Display| Error::new(ErrorKind::Core, format!("the network cannot start: {error}"));
        let identity = key.libp2p();
        let transport =
            transport::build(&identity, &config.listen, &config.connections, gate.clone()).map_err(|e| core(&e))?;
        let limits = AddressLimits {
            established: config.connections.max_per_ip,
            pending: config.connections.max_pending_per_ip,
        };
        let announce: Vec<Multiaddr> =
            config.listen.announce.iter().map(|text| text.parse()).collect::<Result<_, _>>().map_err(|error| {
                Error::new(ErrorKind::Config, format!("listen.announce has an entry that is not a multiaddr: {error}"))
            })?;
        let guard = Guard::new(gate.clone(), limits);
        let behaviour = Behaviour::new(guard, &identity, &config.agent, !announce.is_empty(), &config.pubsub)
            .map_err(|e| core(&e))?;
        let settings = swarm::Config::with_tokio_executor()
            .with_smart_dial()
            .with_dial_concurrency_factor(NonZeroU8::new(config.connections.dial_concurrency).unwrap_or(NonZeroU8::MIN))
            .with_idle_connection_timeout(IDLE);
        let mut swarm = Swarm::new(transport, behaviour, key.peer_id(), settings);
        for address in announce {
            swarm.add_external_address(address);
        }
        let opening = listen::open(&mut swarm, &config.listen)?;
        let now = Instant::now();
        Ok(Self {
            dialer: Dialer::new(key.peer_id(), usize::from(config.connections.dial_concurrency), Jitter::random()),
            bootstrap: Bootstrap::new(config.bootstrap.clone(), Jitter::random()),
            receiver: Receiver::new(
                gate.clone(),
                Arc::clone(&shared.topics),
                Arc::clone(&shared.counters),
                config.pubsub.max_message_size,
            ),
            swarm,
            shared,
            config,
            gate,
            peers: Peers::default(),
            ops: Ops::default(),
            merger: Merger::default(),
            checks: FuturesUnordered::new(),
            asked: FuturesUnordered::new(),
            opening,
            start: Some(start),
            failure: None,
            unheard: HashMap::new(),
            published_at: None,
            paused_until: None,
            retried: 0,
            tick_at: now,
            views_at: now,
        })
    }

    /// Timers are looked at in the next turn.
    pub(super) const fn hurry(&mut self, now: Instant) {
        self.tick_at = now;
    }

    fn tick(&mut self, now: Instant) {
        let overdue = self.peers.overdue(now, self.config.connections.handshake_timeout);
        for connection in overdue {
            self.swarm.close_connection(connection);
        }
        if self.bootstrap.is_dialling() && self.dialer.round_ended() {
            tracing::warn!("no bootstrap node could be reached; trying again");
            self.bootstrap.round_failed(now);
        }
        if self.bootstrap.due(now) {
            self.ask_bootstrap();
        }
        self.dial_due(now);
        self.ops.check_first_round(self.bootstrap.first_round_over(), now, &self.shared);
        self.ops.check_deadlines(now, &self.shared);
        for event in self.merger.due(now) {
            self.shared.mailbox.offer(Control::Event(event));
        }
        if now >= self.views_at {
            self.views_at = now + VIEWS_EVERY;
            self.show_peers();
        }
        let soonest = [self.dialer.next(), self.bootstrap.next(), self.merger.next()].into_iter().flatten().min();
        let pause = match soonest {
            _ if self.ops.has_deadlines() => TICK,
            Some(at) => at.saturating_duration_since(now).clamp(TICK, IDLE_TICK),
            None => IDLE_TICK,
        };
        self.tick_at = now + pause;
    }

    /// Tells the host, at most once a second for repeated causes.
    pub(super) fn emit(&mut self, event: NodeEvent) {
        if let Some(event) = self.merger.pass(event, Instant::now()) {
            self.shared.mailbox.offer(Control::Event(event));
        }
    }

    /// The host may ask for the peers as soon as it hears that they changed: this comes before the event.
    pub(super) fn show_peers(&self) {
        let peers = self.peers.infos();
        self.shared.views().peers = peers;
    }

    /// Peers, lists or databases changed: who is ready, and who waited for it.
    pub(super) fn update_views(&mut self) {
        let now = Instant::now();
        let (edges, ready) = views::refresh(&self.shared, &self.gate, self.peers.infos(), now);
        if ready {
            self.bootstrap.ready();
        } else if edges.iter().any(|edge| matches!(edge, NodeEvent::NotReady { database: None })) {
            self.bootstrap.not_ready(now);
            self.dialer.hurry(now);
        }
        self.hurry(now);
        for edge in edges {
            self.emit(edge);
        }
        let views = self.shared.views();
        self.ops.check_ready(
            |database| match database {
                None => views.ready,
                Some(database) => views.ready_databases.get(&database).copied().unwrap_or(false),
            },
            &self.shared,
        );
        drop(views);
        self.check_topic_waiters();
    }

    pub(super) fn check_topic_waiters(&mut self) {
        let (topics, gate, peers) = (&self.shared.topics, &self.gate, &self.peers);
        self.ops.check_topics(
            |database, full| topics.peers(full).iter().filter(|peer| counts(gate, peers, database, peer)).count(),
            &self.shared,
        );
    }

    fn sync_topics(&mut self) {
        let changes = self.shared.topics.take_changes();
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        for full in changes.subscribe {
            if let Err(error) = gossip.subscribe(&IdentTopic::new(&full)) {
                tracing::error!(topic = full, %error, "gossip refused a subscription");
            }
        }
        for full in changes.unsubscribe {
            gossip.unsubscribe(&IdentTopic::new(full));
        }
        if changes.databases {
            for (peer, topics) in gossip.all_peers() {
                for topic in topics {
                    self.shared.topics.peer_joined(topic.as_str(), *peer);
                }
            }
            if !self.shared.topics.databases().is_empty() && self.bootstrap.start() {
                self.ask_bootstrap();
            }
            self.update_views();
        }
    }

    fn publish(&mut self) {
        let (events, writable) = self.shared.outbox.take(PUBLISH_BUDGET);
        let now = Instant::now();
        self.published_at = Some(now);
        let mut events = events.into_iter();
        while let Some(event) = events.next() {
            let size = event.envelope.len() as u64;
            let topic = TopicHash::from_raw(event.full_topic.clone());
            match self.swarm.behaviour_mut().gossip.publish(topic, event.envelope.clone()) {
                Ok(_) => {
                    self.shared.counters.published.add(1);
                    self.shared.counters.published_bytes.add(size);
                }
                Err(PublishError::NoPeersSubscribedToTopic) => self.unheard(event.full_topic, now),
                // No peer took it. The publisher waits, as its queue fills up; one slow peer among others does not do this.
                Err(PublishError::AllQueuesFull(copies)) => {
                    self.retried += copies as u64;
                    self.paused_until = Some(now + PAUSE);
                    self.tick_at = self.tick_at.min(now + PAUSE);
                    self.shared.outbox.put_back(std::iter::once(event).chain(events));
                    break;
                }
                Err(error) => tracing::error!(topic = event.full_topic, %error, "gossip refused an event"),
            }
        }
        for op in writable {
            self.shared.done(op, Value::None);
        }
    }

    fn unheard(&mut self, full_topic: String, now: Instant) {
        self.shared.counters.published_unheard.add(1);
        if self.unheard.get(&full_topic).is_some_and(|last| now.duration_since(*last) < UNHEARD_EVERY) {
            return;
        }
        if self.unheard.len() >= UNHEARD_TOPICS {
            self.unheard.retain(|_, last| now.duration_since(*last) < UNHEARD_EVERY);
        }
        tracing::warn!(topic = full_topic, "published to nobody: no connected peer is subscribed to the topic");
        if self.unheard.len() < UNHEARD_TOPICS {
            self.unheard.insert(full_topic, now);
        }
    }

    pub(super) fn ask_bootstrap(&mut self) {
        self.shared.views().bootstrap_attempts = self.bootstrap.attempts();
        match self.shared.bootstrap_source() {
            BootstrapSource::List(nodes) => self.on_bootstrap_answer(Ok(Answer::Bootstrap(nodes))),
            BootstrapSource::Asked => {
                let ask =
                    Arc::clone(&self.shared.requests).ask(Question::Bootstrap, self.config.bootstrap.connect_timeout);
                self.asked.push(ask.boxed());
            }
        }
    }

    fn on_bootstrap_answer(&mut self, answer: Result<Answer, String>) {
        let now = Instant::now();
        let nodes: Vec<(PeerId, Vec<Multiaddr>)> = match answer {
            Ok(Answer::Bootstrap(nodes)) => nodes.iter().filter_map(|node| parse_node(node).ok()).collect(),
            Ok(Answer::Wallets(_) | Answer::Failed(_)) => Vec::new(),
            Err(error) => {
                tracing::warn!(error, "the bootstrap function failed; trying again");
                Vec::new()
            }
        };
        for (peer, _) in nodes.iter().filter(|(peer, _)| matches!(self.gate.check_now(peer), Verdict::Refuse(_))) {
            tracing::warn!(%peer, "a bootstrap node is not on the list of wallets: it will not be dialled until it is");
        }
        let dialling = self.dialer.bootstrap(&nodes, now);
        self.bootstrap.answered(dialling, now);
        self.hurry(now);
    }

    fn on_gate(&mut self, event: GateEvent) {
        match event {
            GateEvent::Refused { peer, wallet, direction, reason } => {
                self.emit(NodeEvent::PeerRefused {
                    peer: Some(peer),
                    wallet,
                    direction,
                    reason: reason.as_str(),
                    count: 1,
                });
            }
            GateEvent::Revoked(wallets) => self.on_revoked(&wallets),
            GateEvent::Readmitted(wallets) => {
                for wallet in wallets {
                    self.swarm.behaviour_mut().gossip.remove_blacklisted_peer(&wallet.peer_id());
                }
                self.dialer.hurry(Instant::now());
                self.update_views();
            }
            GateEvent::Changed { database, added, removed, total } => {
                let database = self.name(database);
                tracing::info!(database, added, removed, total, "the list of wallets has changed");
                self.emit(NodeEvent::WalletsChanged { database, added, removed, total });
                self.update_views();
            }
            GateEvent::Failed { database, error, failures, retry_in } => {
                let database = self.name(database);
                tracing::warn!(
                    database,
                    error,
                    failures,
                    retry_in_s = retry_in.as_secs_f64(),
                    "the registry could not be read"
                );
                self.emit(NodeEvent::RegistryFailed { database, error, failures, retry_in });
            }
            GateEvent::Stale { database, age } => {
                let database = self.name(database);
                tracing::error!(
                    database,
                    age_s = age.as_secs(),
                    "the list of wallets is too old: nobody new is admitted"
                );
                self.emit(NodeEvent::RegistryStale { database, age });
            }
            GateEvent::NotListed { database } => {
                let database = self.name(database);
                tracing::warn!(
                    database,
                    "this node's own wallet is not on the list: other nodes will refuse it; register the wallet, or use the key of one that is",
                );
            }
        }
    }

    /// For people; empty when the database has just been closed.
    fn name(&self, database: DatabaseId) -> String {
        self.shared.topics.name(database).unwrap_or_default()
    }

    fn on_revoked(&mut self, wallets: &[Wallet]) {
        let close = matches!(self.config.gate.revocation, Revocation::Close);
        for wallet in wallets {
            let peer = wallet.peer_id();
            self.dialer.forget(&peer);
            self.receiver.forget(wallet);
            if close {
                self.peers.closing(&peer, DisconnectReason::Revoked);
                self.swarm.behaviour_mut().gossip.blacklist_peer(&peer);
                // `Err` says that it was not connected.
                let _ = self.swarm.disconnect_peer_id(peer);
            }
            self.emit(NodeEvent::WalletRevoked { wallet: *wallet });
        }
        self.update_views();
    }

    /// Sends what is queued, says goodbye, ends.
    async fn close(mut self, op: u64, until: Instant) -> Result<(), Error> {
        let start = Instant::now();
        let until = until.min(start + FLUSH + GOODBYE);
        let linger =
            self.published_at.is_some_and(|at| start.duration_since(at) < FLUSH) || !self.shared.outbox.is_empty();
        while !self.shared.outbox.is_empty() && Instant::now() < until {
            if self.paused_until.is_none_or(|until| until <= Instant::now()) {
                self.paused_until = None;
                self.publish();
            }
            for _ in 0..EVENT_BUDGET {
                let Some(event) = next_event(&mut self.swarm, &self.shared).now_or_never() else { break };
                self.on_swarm(event);
            }
            tokio::task::yield_now().await;
        }
        if linger {
            self.drive(until.min(Instant::now() + LINGER), |_| false).await;
        }
        for peer in self.peers.all() {
            self.peers.closing(&peer, DisconnectReason::Closed);
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        self.drive(until.min(Instant::now() + GOODBYE), |task| task.peers.is_empty()).await;
        self.shared.done(op, Value::None);
        Ok(())
    }

    /// Lets the swarm work until then, or until it is done.
    async fn drive(&mut self, until: Instant, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            match tokio::time::timeout_at(until.into(), next_event(&mut self.swarm, &self.shared)).await {
                Ok(event) => self.on_swarm(event),
                Err(_) => break,
            }
        }
    }
}

/// A subscriber counts when it has said who it is and its wallet is on the database's own list.
fn counts(gate: &Gate, peers: &Peers, database: DatabaseId, peer: &PeerId) -> bool {
    peers.is_identified(peer) && Wallet::from_peer_id(peer).is_ok_and(|wallet| gate.listed_in(database, &wallet))
}
