//! Relays: what is relayed here for others, and those that others are for this node.
//!
//! [`Relays`] is pure: the caller brings the time. A reservation is a listener of the swarm, which the library never opens
//! again; whatever its end is called, it is a loss, and the next one is asked for here.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId, StreamProtocol, core::transport::ListenerId};

/// What a peer that relays for others tells of itself.
pub(crate) const HOP: StreamProtocol = StreamProtocol::new("/libp2p/circuit/relay/0.2.0/hop");

/// So many reservations at the same time: when one relay is lost, the other one's address is known to everybody already.
const WANTED: usize = 2;
/// A relay that refused, or was lost, is asked again after this time, doubled at each further try.
const FIRST_DELAY: Duration = Duration::from_millis(500);
const MAX_DELAY: Duration = Duration::from_secs(60);

/// What is relayed here.
#[derive(Default)]
pub(crate) struct Relayed {
    reservations: HashSet<PeerId>,
    /// By who asked for it.
    circuits: HashMap<PeerId, usize>,
}

impl Relayed {
    pub(crate) fn reserved(&mut self, peer: PeerId) {
        self.reservations.insert(peer);
    }

    pub(crate) fn ended(&mut self, peer: &PeerId) {
        self.reservations.remove(peer);
    }

    pub(crate) fn opened(&mut self, by: PeerId) {
        *self.circuits.entry(by).or_default() += 1;
    }

    pub(crate) fn closed(&mut self, by: &PeerId) {
        if let Some(circuits) = self.circuits.get_mut(by) {
            *circuits -= 1;
            if *circuits == 0 {
                self.circuits.remove(by);
            }
        }
    }

    /// Others are connected through this node because this peer is.
    pub(crate) fn serves(&self, peer: &PeerId) -> bool {
        self.reservations.contains(peer) || self.circuits.contains_key(peer)
    }

    /// Peers with a reservation, and circuits.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        (self.reservations.len(), self.circuits.values().sum())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// To be asked, not before this time.
    Idle(Instant),
    Asked(ListenerId),
    Held(ListenerId),
}

struct Relay {
    /// Its place in the operator's list.
    rank: Option<usize>,
    /// Where it is; `None` while it is not connected, or does not relay.
    address: Option<Multiaddr>,
    state: State,
    delay: Duration,
}

/// The relays of a node that cannot be reached otherwise: those that the operator lists, then others that offer it.
pub(crate) struct Relays {
    relays: HashMap<PeerId, Relay>,
}

impl Relays {
    pub(crate) fn new(listed: &[PeerId], now: Instant) -> Self {
        let relay = |rank| Relay { rank: Some(rank), address: None, state: State::Idle(now), delay: FIRST_DELAY };
        Self { relays: listed.iter().enumerate().map(|(rank, peer)| (*peer, relay(rank))).collect() }
    }

    /// A connected peer relays for others, and is reached there.
    pub(crate) fn offers(&mut self, peer: PeerId, address: Multiaddr, now: Instant) {
        let new = Relay { rank: None, address: None, state: State::Idle(now), delay: FIRST_DELAY };
        self.relays.entry(peer).or_insert(new).address.get_or_insert(address);
    }

    /// A peer is no longer connected, or does not relay.
    pub(crate) fn gone(&mut self, peer: &PeerId) {
        if let Some(relay) = self.relays.get_mut(peer) {
            relay.address = None;
            if relay.rank.is_none() && matches!(relay.state, State::Idle(_)) {
                self.relays.remove(peer);
            }
        }
    }

    /// Whom to ask for a reservation now; with `any` also relays that the operator does not list.
    pub(crate) fn due(&self, now: Instant, any: bool) -> Vec<(PeerId, Multiaddr)> {
        let mut due: Vec<_> = self.candidates(any).filter(|(_, at, ..)| *at <= now).collect();
        due.sort_unstable_by_key(|(rank, at, peer, _)| (*rank, *at, *peer));
        let missing = WANTED.saturating_sub(self.relays.len() - self.idle());
        due.into_iter().take(missing).map(|(_, _, peer, address)| (peer, address.clone())).collect()
    }

    pub(crate) fn next(&self, any: bool) -> Option<Instant> {
        if self.relays.len() - self.idle() >= WANTED {
            return None;
        }
        self.candidates(any).map(|(_, at, ..)| at).min()
    }

    fn candidates(&self, any: bool) -> impl Iterator<Item = (usize, Instant, PeerId, &Multiaddr)> {
        self.relays.iter().filter_map(move |(peer, relay)| match (relay.state, &relay.address) {
            (State::Idle(at), Some(address)) if any || relay.rank.is_some() => {
                Some((relay.rank.unwrap_or(usize::MAX), at, *peer, address))
            }
            _ => None,
        })
    }

    fn idle(&self) -> usize {
        self.relays.values().filter(|relay| matches!(relay.state, State::Idle(_))).count()
    }

    pub(crate) fn asked(&mut self, peer: &PeerId, listener: ListenerId) {
        if let Some(relay) = self.relays.get_mut(peer) {
            relay.state = State::Asked(listener);
        }
    }

    pub(crate) fn accepted(&mut self, peer: &PeerId) {
        if let Some(relay) = self.relays.get_mut(peer)
            && let State::Asked(listener) = relay.state
        {
            relay.state = State::Held(listener);
            relay.delay = FIRST_DELAY;
        }
    }

    /// It was not asked after all, or said nothing of use.
    pub(crate) fn failed(&mut self, peer: &PeerId, now: Instant) {
        if let Some(relay) = self.relays.get_mut(peer) {
            relay.state = State::Idle(now + relay.delay);
            relay.delay = (relay.delay * 2).min(MAX_DELAY);
        }
    }

    /// A listener has closed. `Some`: it was one of a relay, and whether there had been a reservation.
    pub(crate) fn closed(&mut self, listener: ListenerId, now: Instant) -> Option<(PeerId, bool)> {
        let is = |state: State| matches!(state, State::Asked(id) | State::Held(id) if id == listener);
        let (peer, relay) = self.relays.iter().find(|(_, relay)| is(relay.state))?;
        let (peer, held, listed, here) =
            (*peer, matches!(relay.state, State::Held(_)), relay.rank.is_some(), relay.address.is_some());
        if listed || here {
            self.failed(&peer, now);
        } else {
            self.relays.remove(&peer);
        }
        Some((peer, held))
    }

    /// A relay that this node may be reached through is kept.
    pub(crate) fn holds(&self, peer: &PeerId) -> bool {
        self.relays.get(peer).is_some_and(|relay| matches!(relay.state, State::Held(_)))
    }

    /// Reservations held.
    pub(crate) fn held(&self) -> usize {
        self.relays.values().filter(|relay| matches!(relay.state, State::Held(_))).count()
    }
}

#[cfg(test)]
mod tests;
