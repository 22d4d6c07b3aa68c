//! One peer that is dialled, or would be: how the last dials went, and when the next one is due.

use std::time::{Duration, Instant};

use libp2p::{Multiaddr, PeerId};

use crate::{
    addresses::{is_relayed, without_peer},
    jitter::Jitter,
};

const FIRST_DELAY: Duration = Duration::from_millis(250);
/// While the node has no peer at all.
const MAX_DELAY_ALONE: Duration = Duration::from_secs(2);
/// For a peer that was lost less than ten minutes ago: the network between may be back at any moment.
pub(super) const MAX_DELAY_LOST: Duration = Duration::from_secs(3);
pub(super) const LATELY: Duration = Duration::from_secs(10 * 60);
/// Otherwise, and after a refusal: a stranger knocks on our door no more often either.
pub(super) const MAX_DELAY: Duration = Duration::from_secs(30);
/// The other side's gate closed on us: its list will not change within a moment.
const REFUSED_DELAY: Duration = Duration::from_secs(2);
/// A dial of a peer that answered before is begun anew after this time: its packets come ever more rarely.
pub(super) const GIVE_UP: Duration = Duration::from_secs(3);
/// A former peer that did not come back for this long is left to discovery.
pub(super) const FORGET_AFTER: Duration = Duration::from_secs(30 * 60);
/// An address at which another peer answered is left alone for so long while that one is connected.
pub(super) const OF_ANOTHER_FOR: Duration = Duration::from_secs(5 * 60);
const MAX_ADDRESSES: usize = 16;
/// Of those that a peer does not name any more.
const KEPT_ADDRESSES: usize = 4;
/// Of those that others name.
pub(super) const MAX_HEARSAY: usize = 8;
/// From then on hearsay that has misled is left out no longer than before.
const MAX_MISLED: u32 = 6;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// To be dialled at this time.
    Due(Instant),
    /// Since this time.
    Dialling(Instant),
    Connected,
    /// Its wallet has left the list: not to be dialled until it is back.
    Barred,
}

/// What became of the last connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Met {
    Never,
    /// It has been connected and identified.
    Yes,
    /// The other side's gate, or ours, closed the door.
    Refused {
        /// It has been connected and identified before that.
        before: bool,
    },
}

pub(super) struct Target {
    /// As it says itself, or the operator does.
    addresses: Vec<Multiaddr>,
    /// As others say, the newest first: where a peer that has moved is found, however many places it had.
    heard: Vec<Multiaddr>,
    /// Until then not, as it has led to other peers; and how often it has.
    heard_after: Option<Instant>,
    misled: u32,
    /// Where the dial tries it that is under way.
    pub(super) dialled: Vec<Multiaddr>,
    /// Addresses at which another peer answered, which one, and when.
    answered: Vec<(Multiaddr, PeerId, Instant)>,
    /// Of the list of bootstrap nodes.
    pub(super) bootstrap: bool,
    /// Named by the operator elsewhere.
    pub(super) kept: bool,
    pub(super) state: State,
    delay: Duration,
    /// When it was lost, or first heard of.
    pub(super) since: Instant,
    pub(super) met: Met,
    /// Tried since the last list of bootstrap nodes came.
    pub(super) tried: bool,
    pub(super) dialled_at: Option<Instant>,
    /// What became of the last dial, of one that an operator named.
    pub(super) error: Option<String>,
}

impl Target {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            addresses: Vec::new(),
            heard: Vec::new(),
            heard_after: None,
            misled: 0,
            dialled: Vec::new(),
            answered: Vec::new(),
            bootstrap: false,
            kept: false,
            state: State::Due(now),
            delay: FIRST_DELAY,
            since: now,
            met: Met::Never,
            tried: false,
            dialled_at: None,
            error: None,
        }
    }

    /// By the operator: never forgotten.
    pub(super) const fn is_named(&self) -> bool {
        self.bootstrap || self.kept
    }

    /// It has been a peer.
    pub(super) const fn was_met(&self) -> bool {
        matches!(self.met, Met::Yes | Met::Refused { before: true })
    }

    /// That it is there is what others say: nobody here has named it, or met it.
    pub(super) const fn is_hearsay(&self) -> bool {
        !self.is_named() && !self.was_met()
    }

    pub(super) const fn is_due(&self) -> bool {
        matches!(self.state, State::Due(_))
    }

    pub(super) const fn is_barred(&self) -> bool {
        matches!(self.state, State::Barred)
    }

    /// Where it is, as it says itself, or the operator does.
    pub(super) fn named(&self) -> &[Multiaddr] {
        &self.addresses
    }

    pub(super) const fn has_addresses(&self) -> bool {
        !self.addresses.is_empty() || !self.heard.is_empty()
    }

    /// When it is to be dialled.
    pub(super) fn due_at(&self) -> Option<Instant> {
        match self.state {
            State::Due(at) if self.has_addresses() => Some(at),
            _ => None,
        }
    }

    /// Since when it is being dialled.
    pub(super) const fn dialled_since(&self) -> Option<Instant> {
        match self.state {
            State::Dialling(since) => Some(since),
            _ => None,
        }
    }

    pub(super) fn is_useful(&self, now: Instant) -> bool {
        !self.is_due() || (self.has_addresses() && now.duration_since(self.since) < FORGET_AFTER)
    }

    /// Its dial has lasted too long for a peer that answered before, or for hearsay.
    pub(super) fn is_late(&self, now: Instant, hearsay_limit: Duration) -> bool {
        let limit = match self.met {
            Met::Yes => GIVE_UP,
            _ if self.is_hearsay() => hearsay_limit,
            _ => return false,
        };
        self.dialled_since().is_some_and(|since| now.duration_since(since) >= limit)
    }

    /// It is on a new list of bootstrap nodes.
    pub(super) fn list(&mut self, addresses: &[Multiaddr], now: Instant) {
        self.bootstrap = true;
        let told = std::mem::replace(&mut self.addresses, addresses.to_vec());
        if self.state == State::Connected {
            // Where it said itself that it is: the list may not know.
            self.learn(told);
        }
        if self.is_due() {
            self.state = State::Due(now);
            self.tried = false;
        }
    }

    /// It said so itself, or the operator did.
    pub(super) fn learn(&mut self, addresses: Vec<Multiaddr>) {
        self.add(addresses, MAX_ADDRESSES);
    }

    /// Others say so.
    pub(super) fn hear(&mut self, addresses: Vec<Multiaddr>) {
        self.heard.retain(|known| !addresses.contains(known));
        self.heard.splice(0..0, addresses);
        self.heard.truncate(MAX_HEARSAY);
    }

    /// It is not the one who answers there.
    pub(super) fn answers_there(&mut self, address: &Multiaddr, other: PeerId, now: Instant) {
        let address = without_peer(address);
        if !self.addresses.iter().any(|known| without_peer(known) == address) {
            // A dial ends with the first that answers, so whoever says that a peer is where others are would keep us from
            // where it said itself that it is. Once may be a place that another one has now.
            if self.misled > 0 {
                self.heard_after = Some(now + (MAX_DELAY * (1 << (self.misled - 1))).min(LATELY));
            }
            self.misled = (self.misled + 1).min(MAX_MISLED);
        }
        self.answered.retain(|(known, _, at)| *known != address && now.duration_since(*at) < OF_ANOTHER_FOR);
        if self.answered.len() >= MAX_ADDRESSES {
            self.answered.remove(0);
        }
        self.answered.push((address, other, now));
    }

    /// Its addresses, but for those at which another peer answered that is still connected, or did so a moment ago. That
    /// one would take the dial for a sign that we have lost its connection, and close it; and the dial ends there, before
    /// the other addresses have their turn. Whoever answered may be connected, and have left the place. Hearsay that led to
    /// other peers is left out for a while, unless there is nothing else.
    pub(super) fn usable(&self, is_connected: impl Fn(&PeerId) -> bool, now: Instant) -> Vec<Multiaddr> {
        let taken = |address: &Multiaddr| {
            self.answered.iter().any(|(known, other, at)| {
                let pause = if is_connected(other) { OF_ANOTHER_FOR } else { MAX_DELAY };
                *known == without_peer(address) && now.duration_since(*at) < pause
            })
        };
        let free = |address: &&Multiaddr| self.answered.is_empty() || !taken(address);
        let mut usable: Vec<_> = self.addresses.iter().filter(free).cloned().collect();
        if usable.is_empty() || self.heard_after.is_none_or(|after| now >= after) {
            let heard = self.heard.iter().filter(|address| !self.addresses.contains(address));
            usable.extend(heard.filter(free).cloned());
        }
        usable
    }

    fn add(&mut self, addresses: Vec<Multiaddr>, limit: usize) {
        for address in addresses {
            if !self.addresses.contains(&address) && self.addresses.len() < limit {
                self.addresses.push(address);
            }
        }
    }

    pub(super) fn dial(&mut self, addresses: &[Multiaddr], now: Instant) {
        self.state = State::Dialling(now);
        addresses.clone_into(&mut self.dialled);
        self.dialled_at = Some(now);
        self.tried = true;
    }

    /// Nothing can be dialled of it now.
    pub(super) fn put_off(&mut self, now: Instant) {
        self.state = State::Due(now + MAX_DELAY);
        self.tried = true;
    }

    pub(super) fn connect(&mut self) {
        self.state = State::Connected;
        self.tried = true;
        self.error = None;
    }

    pub(super) fn identify(&mut self, addresses: Vec<Multiaddr>) {
        self.delay = FIRST_DELAY;
        self.met = Met::Yes;
        self.answered.clear();
        self.heard.clear();
        (self.heard_after, self.misled) = (None, 0);
        if self.is_named() {
            return self.learn(addresses);
        }
        // A relay that it no longer names does not lead there any more. Of the others a few stay: it does not know all that
        // lead to it, and whoever keeps all has no place left for where it is now.
        let before = std::mem::replace(&mut self.addresses, addresses);
        let room = (self.addresses.len() + KEPT_ADDRESSES).min(MAX_ADDRESSES);
        self.add(before.into_iter().filter(|known| !is_relayed(known)).collect(), room);
    }

    pub(super) fn lose(&mut self, now: Instant, pause: Duration) {
        self.since = now;
        self.delay = FIRST_DELAY;
        self.state = State::Due(now + pause);
    }

    /// The next dial comes after a pause, and the one after that later still.
    pub(super) fn fail(&mut self, now: Instant, alone: bool, jitter: &mut Jitter) {
        self.state = State::Due(now + jitter.around(self.delay));
        let limit = match self.met {
            Met::Refused { .. } => MAX_DELAY,
            _ if alone => MAX_DELAY_ALONE,
            Met::Yes if now.duration_since(self.since) < LATELY => MAX_DELAY_LOST,
            _ => MAX_DELAY,
        };
        self.delay = (self.delay * 2).min(limit);
    }

    pub(super) fn refuse(&mut self) {
        self.met = Met::Refused { before: self.was_met() };
        self.delay = self.delay.max(REFUSED_DELAY);
    }

    /// The node is alone: it waits no longer than a lone node does, unless it was refused.
    pub(super) fn hurry(&mut self, now: Instant) {
        if self.is_refused() {
            return;
        }
        self.delay = self.delay.min(MAX_DELAY_ALONE);
        if let State::Due(at) = self.state {
            self.state = State::Due(at.min(now + self.delay));
        }
    }

    pub(super) fn waits_to_be_listed(&self) -> bool {
        self.is_barred() || (self.is_due() && self.is_refused())
    }

    const fn is_refused(&self) -> bool {
        matches!(self.met, Met::Refused { .. })
    }

    pub(super) const fn admit(&mut self, now: Instant) {
        self.state = State::Due(now);
        self.delay = FIRST_DELAY;
    }
}
