//! Dials: the gate is asked before the first packet, and each outcome goes to whoever waits for it.

use std::time::{Duration, Instant};

use futures::FutureExt;
use libp2p::{
    Multiaddr, PeerId,
    swarm::{
        ConnectionId, DialError,
        dial_opts::{DialOpts, PeerCondition},
    },
};

use crate::{
    error::{Error, ErrorKind},
    events::{Direction, NodeEvent, Value},
    gate::{Denied, Verdict},
    identity::Wallet,
    jitter::Jitter,
    swarm::{
        dial_errors::{describe, not_authorized, was_answered},
        guard::Denial,
        task::Task,
    },
};

/// Two that dial each other from their listening ports in the same instant can meet in one TCP connection, in which both
/// are the dialler and neither understands the other: once more, not both at the same moment.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// The gate's answer about a peer that is to be dialled.
pub(crate) struct Checked {
    peer: PeerId,
    addresses: Vec<Multiaddr>,
    op: Option<u64>,
    result: Result<Wallet, Denied>,
}

impl Task {
    /// Bootstrap nodes and former peers whose time has come.
    pub(super) fn dial_due(&mut self, now: Instant) {
        for (peer, addresses) in self.dialer.due(now) {
            match self.gate.check_now(&peer) {
                Verdict::Admit(_) => self.dial_peer(peer, addresses, None),
                Verdict::Refuse(refusal) => {
                    self.dialer.refused(peer, now);
                    self.not_dialled(peer, refusal);
                    self.refused(peer, refusal.as_str());
                }
                Verdict::Unknown => self.check(peer, addresses, None),
            }
        }
    }

    pub(super) fn dial_for(&mut self, op: u64, peer: PeerId, addresses: Vec<Multiaddr>, timeout: Duration) {
        if self.peers.is_identified(&peer) {
            return self.shared.done(op, Value::Text(peer.to_base58()));
        }
        let now = Instant::now();
        let addresses =
            if addresses.is_empty() { self.dialer.addresses(&peer, now).unwrap_or_default() } else { addresses };
        if addresses.is_empty() {
            let text = format!("no address of {peer} is known; dial a multiaddr that ends in /p2p/{peer}");
            let error = Error::new(ErrorKind::Dial, text).with("peer_id", peer.to_base58());
            return self.shared.failed(op, error);
        }
        self.ops.dial(op, peer, addresses.clone(), self.dialer.dialled(&peer), timeout, now);
        self.check(peer, addresses, Some(op));
    }

    fn check(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, op: Option<u64>) {
        self.check_after(Duration::ZERO, peer, addresses, op);
    }

    fn check_after(&mut self, pause: Duration, peer: PeerId, addresses: Vec<Multiaddr>, op: Option<u64>) {
        let gate = self.gate.clone();
        let checked = async move {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            let result = gate.check(&peer, Direction::Outbound).await;
            Checked { peer, addresses, op, result }
        };
        self.checks.push(checked.boxed());
    }

    pub(super) fn on_checked(&mut self, checked: Checked) {
        let Checked { peer, addresses, op, result } = checked;
        match result {
            // The caller has gone meanwhile: nobody wants this connection any more.
            Ok(_) if op.is_some_and(|op| !self.ops.is_dialling(op)) => {}
            Ok(_) => self.dial_peer(peer, addresses, op),
            Err(denied) => {
                self.dialer.refused(peer, Instant::now());
                self.not_dialled(peer, denied.reason);
                if let Some(op) = op {
                    self.ops.fail(op, not_authorized(peer, denied.reason), &self.shared);
                }
            }
        }
    }

    /// By peer id, and only when there is no connection and no dial (docs/wire.md section 6): else there would be two.
    fn dial_peer(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, op: Option<u64>) {
        let condition =
            if self.punches(&peer) { PeerCondition::Disconnected } else { PeerCondition::DisconnectedAndNotDialing };
        let options = DialOpts::peer_id(peer).addresses(addresses).condition(condition).build();
        match self.swarm.dial(options) {
            Ok(()) => {}
            Err(DialError::DialPeerConditionFalse(_)) if self.swarm.is_connected(&peer) => {
                self.dialer.connected(peer, Instant::now());
            }
            // Another dial is under way: its outcome is this one's, unless this one knows a better place. Then that one is
            // aborted, upon which those who wait for the peer have their turn.
            Err(DialError::DialPeerConditionFalse(_)) => match op {
                Some(op) if self.ops.goes_before(op) => drop(self.swarm.disconnect_peer_id(peer)),
                Some(_) => {}
                None => self.dialer.waits_for_another(&peer),
            },
            Err(error) => self.dial_failed(Some(peer), None, &error),
        }
    }

    pub(super) fn dial_address(&mut self, op: u64, address: Multiaddr, timeout: Duration) {
        let options = DialOpts::unknown_peer_id().address(address).build();
        let connection = options.connection_id();
        self.ops.dial_stranger(op, connection, timeout, Instant::now());
        if let Err(error) = self.swarm.dial(options) {
            self.dial_failed(None, Some(connection), &error);
        }
    }

    pub(super) fn dial_failed(&mut self, peer: Option<PeerId>, connection: Option<ConnectionId>, error: &DialError) {
        let now = Instant::now();
        let denial = match error {
            DialError::Denied { cause } => cause.downcast_ref::<Denial>().copied(),
            _ => None,
        };
        if let (Some(Denial::Second), Some(peer)) = (denial, peer) {
            return self.dialled_second(peer, connection, now);
        }
        if let DialError::LocalPeerId { address } = error {
            self.twin.dialled(address, now);
        }
        if let (DialError::WrongPeerId { obtained, address }, Some(peer)) = (error, peer)
            && self.dialer.answers_elsewhere(&peer, address, *obtained, now)
            && let Some(more) = self.wrong_peers.pass(now)
        {
            tracing::warn!(
                peer_id = %peer, %address, answered = %obtained, more,
                "another node answers at the address of a bootstrap node or relay: check the wallet of the entry",
            );
        }
        // A try at a direct connection, beside the relayed one that there is, or has been.
        let is_relayed = peer.is_some_and(|peer| self.peers.is_relayed(&peer));
        if is_relayed || connection.is_some_and(|connection| self.has_punch_failed(connection)) {
            tracing::debug!(peer_id = peer.map(PeerId::to_base58), %error, "a direct connection did not come about");
            return;
        }
        self.shared.counters.dial_failures.add(1);
        if let Some(peer) = peer {
            if let Some(denial) = denial {
                self.dialer.refused(peer, now);
                self.refused(peer, denial.as_str());
            } else {
                self.dialer.failed(peer, now, self.peers.is_empty());
            }
        }
        let told = match (denial, peer) {
            (Some(Denial::Gate(reason)), Some(peer)) => not_authorized(peer, reason),
            _ => describe(error),
        };
        if let Some(peer) = peer {
            self.dialer.blame(&peer, told.to_string());
            if denial.is_none() && self.is_still_coming(peer, error) {
                return;
            }
        }
        tracing::debug!(peer_id = peer.map(PeerId::to_base58), error = %told, "a dial failed");
        if peer.is_some_and(|peer| self.dialer.is_bootstrap(&peer)) {
            self.unreachable = Some(told.to_string());
        }
        self.ops.dial_failed(peer, connection, &told, &self.shared);
        self.hurry(now);
    }

    /// A dial has failed, and yet whoever asked for the peer may get it.
    fn is_still_coming(&mut self, peer: PeerId, error: &DialError) -> bool {
        // It came to us meanwhile, and is about to say who it is.
        if self.peers.connections(&peer) > 0 {
            return true;
        }
        match error {
            // We ended all that there was with the peer; who waits for it has asked since.
            DialError::Aborted => self.dial_again(peer),
            DialError::Transport(causes) if causes.iter().any(|(_, cause)| was_answered(cause)) => {
                let Some((op, addresses)) = self.ops.try_again(&peer) else { return false };
                self.check_after(Jitter::random().around(AGAIN_AFTER), peer, addresses, Some(op));
                true
            }
            _ => false,
        }
    }

    /// Dials for those who still wait for the peer. `false`: nobody does.
    pub(super) fn dial_again(&mut self, peer: PeerId) -> bool {
        let Some((op, addresses)) = self.ops.wanted(&peer) else { return false };
        self.check(peer, addresses, Some(op));
        true
    }

    /// The peer is connected already: the dial has what it wanted.
    fn dialled_second(&mut self, peer: PeerId, connection: Option<ConnectionId>, now: Instant) {
        if let Some(connection) = connection {
            self.ops.established(peer, connection);
        }
        self.dialer.connected(peer, now);
        self.second(peer, now);
        if self.peers.is_identified(&peer) {
            self.ops.identified(peer, &self.shared);
        }
    }

    /// A dial that never left, or a connection that the other side closed before it said who it is.
    pub(super) fn refused(&mut self, peer: PeerId, reason: &'static str) {
        self.shared.counters.refused.add(reason, 1);
        self.emit(NodeEvent::PeerRefused {
            peer: Some(peer),
            wallet: Wallet::from_peer_id(&peer).ok(),
            direction: Direction::Outbound,
            reason,
            count: 1,
        });
    }
}
