//! The one task that owns the swarm. No arm of its loop waits: whatever takes time is a future of its own or a timer.

use std::{
    collections::{HashMap, HashSet},
    future::poll_fn,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use futures::{Stream, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use libp2p::{PeerId, Swarm, core::transport::ListenerId, kad::QueryId, swarm::SwarmEvent};
use tokio::{sync::mpsc, task::coop};

use crate::{
    addresses::{Reach, Scope},
    bridge::requests::{Answer, HostRegistry},
    config::NodeConfig,
    discovery::{
        bootstrap::Bootstrap,
        neighbours::Neighbours,
        rendezvous::{Rendezvous, Work},
    },
    error::{Error, ErrorKind},
    events::{Control, NodeEvent},
    gate::Gate,
    identity::SecretKey,
    limited::Limited,
    logs,
    nat::relay::{Relayed, Relays},
    pubsub::{kept::Kept, receive::Receiver},
    shared::Shared,
    swarm::{
        behaviour::{Behaviour, BehaviourEvent},
        commands::Command,
        dial::Dialer,
        dialling::Checked,
        door,
        gossip::LastMessage,
        library::Library,
        listen::Opening,
        merge::Merger,
        nudge::Nudge,
        ops::Ops,
        outer::{self, Outer},
        peers::Peers,
        publishing::PUBLISH_BUDGET,
        second_connections::SecondConnections,
        single::Waiting,
        trimming::Trimming,
        twin::Twin,
        upgrades::Upgrades,
    },
};

pub(super) type NodeSwarm = Swarm<Behaviour>;

pub(super) const EVENT_BUDGET: usize = 64;

pub(super) struct Task {
    pub(super) swarm: NodeSwarm,
    pub(super) shared: Arc<Shared>,
    pub(super) config: NodeConfig,
    pub(super) gate: Gate,
    pub(super) peers: Peers,
    pub(super) dialer: Dialer,
    pub(super) bootstrap: Bootstrap,
    pub(super) second_connections: SecondConnections,
    pub(super) upgrades: Upgrades,
    pub(super) relays: Relays,
    pub(super) relayed: Relayed,
    pub(super) outer: Outer,
    pub(super) trimming: Trimming,
    pub(super) twin: Twin,
    pub(super) at_door: Vec<Waiting>,
    pub(super) reach: Reach,
    pub(super) rendezvous: Rendezvous,
    pub(super) neighbours: Neighbours,
    /// mDNS is off until then, as somebody has made up too many neighbours.
    pub(super) mdns_again_at: Option<Instant>,
    /// The queries under way, by table, and what they are for.
    pub(super) queries: HashMap<(Scope, QueryId), Work>,
    pub(super) receiver: Receiver,
    pub(super) kept: Kept,
    pub(super) library: Library,
    pub(super) ops: Ops,
    pub(super) merger: Merger,
    /// Dials that wait for the gate.
    pub(super) checks: FuturesUnordered<BoxFuture<'static, Checked>>,
    /// The host's answer to the question for bootstrap nodes.
    pub(super) asked: FuturesUnordered<BoxFuture<'static, Result<Answer, String>>>,
    pub(super) opening: Opening,
    pub(super) listeners: Vec<ListenerId>,
    /// The operation that waits until they are open.
    pub(super) start: Option<u64>,
    pub(super) failure: Option<Error>,
    pub(super) listener_errors: Limited,
    pub(super) incoming_errors: Limited,
    pub(super) identify_errors: Limited,
    pub(super) wrong_peers: Limited,
    /// Bootstrap nodes that are not on the list of wallets, which has been said.
    pub(super) unlisted: HashSet<PeerId>,
    /// Why a bootstrap node could not be reached, of the last that failed.
    pub(super) unreachable: Option<String>,
    pub(super) unheard: HashMap<String, Instant>,
    /// Revocations of the gate that have had their effect here.
    pub(super) revocations: u64,
    pub(super) published_at: Option<Instant>,
    /// Nothing is published until then.
    pub(super) paused_until: Option<Instant>,
    /// The queues to all peers of some topics are full: these are tried again then.
    pub(super) retry_at: Option<Instant>,
    pub(super) retry_pause: Duration,
    pub(super) last_message: LastMessage,
    /// Copies that such queues did not take, and that are tried again: gossip reports them as failed all the same.
    pub(super) retried: u64,
    pub(super) tick_at: Instant,
    pub(super) probe_at: Instant,
    pub(super) views_at: Instant,
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
    let mut signed = 0;
    loop {
        tokio::select! {
            biased;
            () = task.shared.abort.notified() => return Ok(()),
            command = commands.recv() => match command {
                Some(Command::Close { op, until }) => return Box::pin(task.close(op, until, gate_events)).await,
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
            () = task.shared.outbox.filled(), if task.may_publish() => signed += task.publish(),
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
        if task.paused_until.is_none() && task.retry_at.is_some_and(|at| at <= now) {
            task.retry(now);
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
        // Who always finds something to do must let the tasks of the connections have their turn. What was published wakes
        // one that no other worker takes over: by its budget alone this one would sign thousands of messages before.
        if signed >= PUBLISH_BUDGET {
            signed = 0;
            tokio::task::yield_now().await;
        }
        coop::consume_budget().await;
    }
}

/// The swarm's next event.
pub(super) async fn next_event(swarm: &mut NodeSwarm, shared: &Shared) -> SwarmEvent<BehaviourEvent> {
    poll_fn(|cx| poll_event(swarm, shared, cx)).await
}

/// Messages with a wrong signature are reported by gossip only in its log, within this poll; as are those that we refuse
/// for their topic.
fn poll_event(swarm: &mut NodeSwarm, shared: &Shared, cx: &mut Context<'_>) -> Poll<SwarmEvent<BehaviourEvent>> {
    logs::take_invalid_messages();
    let event = Pin::new(swarm).poll_next(cx);
    let refused = shared.topics.refused.swap(0, Ordering::Relaxed);
    let invalid = logs::take_invalid_messages().saturating_sub(refused);
    for (reason, count) in [("not-subscribed", refused), ("signature", invalid)] {
        if count > 0 {
            shared.counters.dropped.add(reason, count);
        }
    }
    match event {
        Poll::Ready(Some(event)) => Poll::Ready(event),
        // A swarm never ends.
        Poll::Ready(None) | Poll::Pending => Poll::Pending,
    }
}

impl Task {
    /// Handles what the swarm has to report; `true` when there may be more than the budget.
    fn drain(&mut self, waker: &Waker, budget: usize) -> bool {
        let mut cx = Context::from_waker(waker);
        for _ in 0..budget {
            // Gossip passes on what it receives. Whoever is being revoked must be out of it by then.
            if self.awaits_revocation() {
                return false;
            }
            match poll_event(&mut self.swarm, &self.shared, &mut cx) {
                Poll::Ready(event) => self.on_swarm(event),
                Poll::Pending => return false,
            }
        }
        true
    }

    /// Tells the host, at most once a second for repeated causes.
    pub(super) fn emit(&mut self, event: NodeEvent) {
        if let Some(event) = self.merger.pass(event, Instant::now()) {
            self.shared.mailbox.offer(Control::Event(event));
        }
    }
}
