//! The one task that owns the swarm. No arm of its loop waits: whatever takes time is a future of its own or a timer.

use std::{
    collections::{HashMap, HashSet},
    future::poll_fn,
    num::NonZeroU8,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use futures::{Stream, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use libp2p::{
    Multiaddr, PeerId, Swarm,
    core::transport::ListenerId,
    kad::QueryId,
    swarm::{self, SwarmEvent},
};
use tokio::{sync::mpsc, task::coop};

use crate::{
    bridge::requests::{Answer, HostRegistry},
    config::NodeConfig,
    discovery::{
        addresses::{Reach, Scope},
        bootstrap::Bootstrap,
        rendezvous::{Rendezvous, Work},
    },
    error::{Error, ErrorKind},
    events::{Control, NodeEvent},
    gate::{DatabaseId, Gate},
    identity::{SecretKey, Wallet},
    limited::Limited,
    logs,
    nat::relay::{Relayed, Relays},
    pubsub::receive::Receiver,
    shared::Shared,
    swarm::{
        behaviour::{Behaviour, BehaviourEvent},
        commands::{Command, parse_node},
        dial::{Dialer, MAX_DIALS},
        dialling::Checked,
        discovering,
        door::{self, Door},
        duplicates::Duplicates,
        guard::{AddressLimits, Guard},
        jitter::Jitter,
        library::Library,
        listen,
        merge::Merger,
        nudge::Nudge,
        ops::Ops,
        outer::{self, Outer},
        peers::Peers,
        relaying,
        single::Waiting,
        transport,
        trimming::Trimming,
        twin::Twin,
        upgrades::Upgrades,
        views, warmup,
    },
};

pub(super) type NodeSwarm = Swarm<Behaviour>;

/// Links stay up when they are quiet; `swarm/peers.rs` closes the dead ones.
const IDLE: Duration = Duration::from_secs(365 * 24 * 60 * 60);
pub(super) const EVENT_BUDGET: usize = 64;
/// The pace of timers while something waits for one, and while nothing does.
const TICK: Duration = Duration::from_millis(50);
const IDLE_TICK: Duration = Duration::from_millis(500);
/// Round trip times come with every ping; the views show them this often.
const VIEWS_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Task {
    pub(super) swarm: NodeSwarm,
    pub(super) shared: Arc<Shared>,
    pub(super) config: NodeConfig,
    pub(super) gate: Gate,
    pub(super) peers: Peers,
    pub(super) dialer: Dialer,
    pub(super) bootstrap: Bootstrap,
    pub(super) duplicates: Duplicates,
    pub(super) upgrades: Upgrades,
    pub(super) relays: Relays,
    pub(super) relayed: Relayed,
    pub(super) outer: Outer,
    pub(super) trimming: Trimming,
    pub(super) twin: Twin,
    pub(super) at_door: Vec<Waiting>,
    pub(super) reach: Reach,
    pub(super) rendezvous: Rendezvous,
    /// The queries under way, by table, and what they are for.
    pub(super) queries: HashMap<(Scope, QueryId), Work>,
    pub(super) receiver: Receiver,
    pub(super) library: Library,
    pub(super) ops: Ops,
    merger: Merger,
    /// Dials that wait for the gate.
    pub(super) checks: FuturesUnordered<BoxFuture<'static, Checked>>,
    /// The host's answer to the question for bootstrap nodes.
    pub(super) asked: FuturesUnordered<BoxFuture<'static, Result<Answer, String>>>,
    /// Listeners that have not reported an address yet, and the operation that waits for them.
    pub(super) opening: HashSet<ListenerId>,
    pub(super) listeners: Vec<ListenerId>,
    pub(super) start: Option<u64>,
    pub(super) failure: Option<Error>,
    pub(super) listener_errors: Limited,
    pub(super) incoming_errors: Limited,
    pub(super) unheard: HashMap<String, Instant>,
    /// Peers whose wallet has left the lists: gossip takes nothing of theirs, whoever passes it on.
    pub(super) blacklisted: HashSet<PeerId>,
    pub(super) published_at: Option<Instant>,
    /// The queues to all peers of a topic are full: publishing goes on after a moment.
    pub(super) paused_until: Option<Instant>,
    /// Copies that such queues did not take, and that are tried again: gossip reports them as failed all the same.
    pub(super) retried: u64,
    pub(super) tick_at: Instant,
    pub(super) probe_at: Instant,
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
    let (door, mut arrivals) = door::door();
    let mut task = match Task::open(&key, config, Arc::clone(&shared), gate, door, start).await {
        Ok(task) => task,
        Err(error) => {
            shared.failed(start, error);
            return Ok(());
        }
    };
    let nudge = Arc::new(Nudge::default());
    let waker = Waker::from(Arc::clone(&nudge));
    nudge.again();
    loop {
        tokio::select! {
            biased;
            () = task.shared.abort.notified() => return Ok(()),
            command = commands.recv() => match command {
                Some(Command::Close { op, until }) => return Box::pin(task.close(op, until)).await,
                Some(command) => task.command(command),
                // The handle is gone without a close.
                None => return Ok(()),
            },
            Some(event) = gate_events.recv() => task.on_gate(event),
            Some(arrival) = arrivals.recv() => task.on_arrival(arrival),
            () = task.shared.topics.changed() => task.sync_topics(),
            Some(checked) = task.checks.next() => task.on_checked(checked),
            mapped = outer::mapped(&mut task.outer.portmap) => task.on_mapped(mapped),
            Some(answer) = task.asked.next() => task.on_bootstrap_answer(answer),
            () = task.shared.outbox.filled(), if task.paused_until.is_none() => task.publish(),
            () = nudge.nudged() => {}
            () = tokio::time::sleep_until(task.tick_at.into()) => {}
        }
        // Whatever it was may have given the swarm something to do, of which it tells nobody.
        if task.drain(&waker, EVENT_BUDGET) {
            nudge.again();
        }
        task.shared.mailbox.flush();
        let now = Instant::now();
        if task.paused_until.is_some_and(|until| until <= now) {
            task.paused_until = None;
        }
        if now >= task.tick_at {
            task.tick(now);
            nudge.again();
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
        // Who always finds something to do must let the tasks of the connections have their turn.
        coop::consume_budget().await;
    }
}

/// The swarm's next event.
pub(super) async fn next_event(swarm: &mut NodeSwarm, shared: &Shared) -> SwarmEvent<BehaviourEvent> {
    poll_fn(|cx| poll_event(swarm, shared, cx)).await
}

/// Messages with a wrong signature are reported by gossip only in its log, within this poll.
fn poll_event(swarm: &mut NodeSwarm, shared: &Shared, cx: &mut Context<'_>) -> Poll<SwarmEvent<BehaviourEvent>> {
    logs::take_invalid_messages();
    let event = Pin::new(swarm).poll_next(cx);
    let invalid = logs::take_invalid_messages();
    if invalid > 0 {
        shared.counters.dropped.add("signature", invalid);
    }
    match event {
        Poll::Ready(Some(event)) => Poll::Ready(event),
        // A swarm never ends.
        Poll::Ready(None) | Poll::Pending => Poll::Pending,
    }
}

impl Task {
    async fn open(
        key: &SecretKey,
        config: NodeConfig,
        shared: Arc<Shared>,
        gate: Gate,
        door: Door,
        start: u64,
    ) -> Result<Self, Error> {
        let core =
            |error: &dyn std::fmt::Display| Error::new(ErrorKind::Core, format!("the network cannot start: {error}"));
        if config.listen.quic_port.is_some() {
            warmup::begin();
        }
        let identity = key.libp2p();
        let (transport, relay_client) =
            transport::build(&identity, &config.listen, &config.connections, &config.nat, gate.clone(), door)
                .map_err(|e| core(&e))?;
        let limits = AddressLimits {
            established: config.connections.max_per_ip,
            pending: config.connections.max_pending_per_ip,
        };
        let announce: Vec<Multiaddr> =
            config.listen.announce.iter().map(|text| text.parse()).collect::<Result<_, _>>().map_err(|error| {
                Error::new(ErrorKind::Config, format!("listen.announce has an entry that is not a multiaddr: {error}"))
            })?;
        let guard = Guard::new(key.peer_id(), gate.clone(), limits);
        let reach = Reach::of(&config.listen.hosts);
        let finders = discovering::finders(key.peer_id(), &config.discovery, reach, &gate).map_err(|e| core(&e))?;
        let passages = relaying::passages(key.peer_id(), &config, relay_client).map_err(|e| core(&e))?;
        let announces = !announce.is_empty();
        let behaviour = Behaviour::new(guard, &identity, &config.agent, announces, passages, finders, &config.pubsub)
            .map_err(|e| core(&e))?;
        let settings = swarm::Config::with_tokio_executor()
            .with_smart_dial()
            .with_dial_concurrency_factor(NonZeroU8::new(config.connections.dial_concurrency).unwrap_or(NonZeroU8::MIN))
            .with_idle_connection_timeout(IDLE);
        let mut swarm = Swarm::new(transport, behaviour, key.peer_id(), settings);
        for address in announce {
            swarm.add_external_address(address);
        }
        tracing::info!(
            quic_port = config.listen.quic_port,
            tcp_port = config.listen.tcp_port,
            peer_id = %key.peer_id(),
            wallet = %key.wallet(),
            "starting to listen"
        );
        let opening = listen::open(&mut swarm, &config.listen).await?;
        let now = Instant::now();
        let relays: Vec<_> = config.nat.relays.iter().map(|relay| parse_node(relay)).collect::<Result<_, _>>()?;
        let mut dialer = Dialer::new(key.peer_id(), MAX_DIALS, Jitter::random());
        dialer.keep(&relays, now);
        let listed: Vec<_> = relays.into_iter().map(|(peer, _)| peer).collect();
        Ok(Self {
            dialer,
            upgrades: Upgrades::new(key.peer_id()),
            relays: Relays::new(&listed, now),
            relayed: Relayed::default(),
            outer: Outer::default(),
            bootstrap: Bootstrap::new(config.bootstrap.clone(), Jitter::random()),
            reach,
            rendezvous: Rendezvous::new(
                config.discovery.rendezvous_interval,
                config.discovery.max_new_per_round,
                Jitter::random(),
            ),
            queries: HashMap::new(),
            receiver: Receiver::new(
                gate.clone(),
                Arc::clone(&shared.topics),
                Arc::clone(&shared.counters),
                config.pubsub.max_message_size,
            ),
            library: Library::new(&shared),
            swarm,
            shared,
            config,
            gate,
            peers: Peers::default(),
            duplicates: Duplicates::new(key.peer_id(), Jitter::random()),
            at_door: Vec::new(),
            trimming: Trimming::default(),
            twin: Twin::default(),
            ops: Ops::default(),
            merger: Merger::default(),
            checks: FuturesUnordered::new(),
            asked: FuturesUnordered::new(),
            listeners: opening.iter().copied().collect(),
            opening,
            start: Some(start),
            failure: None,
            listener_errors: Limited::default(),
            incoming_errors: Limited::default(),
            unheard: HashMap::new(),
            blacklisted: HashSet::new(),
            published_at: None,
            paused_until: None,
            retried: 0,
            tick_at: now,
            probe_at: now,
            views_at: now,
        })
    }

    /// Handles what the swarm has to report; `true` when there may be more than the budget.
    fn drain(&mut self, waker: &Waker, budget: usize) -> bool {
        let mut cx = Context::from_waker(waker);
        for _ in 0..budget {
            match poll_event(&mut self.swarm, &self.shared, &mut cx) {
                Poll::Ready(event) => self.on_swarm(event),
                Poll::Pending => return false,
            }
        }
        true
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
        self.probe(now);
        self.judge_refusals(now);
        self.reset_due(now);
        self.settle_upgrades(now);
        self.tell_outer();
        self.reserve(now);
        if self.bootstrap.is_dialling() && self.dialer.round_ended() {
            tracing::warn!("no bootstrap node could be reached; trying again");
            self.bootstrap.round_failed(now);
        }
        if self.bootstrap.due(now) {
            self.ask_bootstrap();
        }
        self.discover(now);
        self.dial_due(now);
        self.shared.views().pending_dials = self.swarm.network_info().connection_counters().num_pending_outgoing();
        self.ops.check_first_round(self.bootstrap.first_round_over(), now, &self.shared);
        self.ops.check_deadlines(now, &self.shared);
        for event in self.merger.due(now) {
            self.shared.mailbox.offer(Control::Event(event));
        }
        if now >= self.views_at {
            self.views_at = now + VIEWS_EVERY;
            self.trim(now);
            self.tell_of_twin(now);
            self.show_peers();
            self.show_tables();
        }
        let timers = [
            self.dialer.next(),
            self.bootstrap.next(),
            self.next_discovery(),
            self.merger.next(),
            self.duplicates.next(),
            self.upgrades.next(),
            self.paused_until,
            self.relays.next(self.needs_relays()),
        ];
        let soonest = timers.into_iter().flatten().min();
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
        let mut views = self.shared.views();
        views.peers = peers;
        views.bootstrap = self.bootstrap.tally();
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
            self.rendezvous.hurry(now);
        }
        self.hurry(now);
        for edge in edges {
            self.emit(edge);
        }
        let mut views = self.shared.views();
        views.bootstrap = self.bootstrap.tally();
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
}

/// A subscriber counts when it has said who it is and its wallet is on the database's own list.
fn counts(gate: &Gate, peers: &Peers, database: DatabaseId, peer: &PeerId) -> bool {
    peers.is_identified(peer) && Wallet::from_peer_id(peer).is_ok_and(|wallet| gate.listed_in(database, &wallet))
}
