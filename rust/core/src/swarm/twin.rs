//! Our own key on another host. [`Twin`] is pure: the caller brings the time.
//!
//! A node may dial itself, by a name or over a router. Then an inbound connection fails as well, with our own peer id or
//! before it is known, and who dialled always sees the peer id. Our peer id without the other end is on another host.

use std::time::{Duration, Instant};

use libp2p::Multiaddr;

use crate::{events::NodeEvent, swarm::task::Task};

/// Both ends of one dial end within this time of each other.
const BOTH_WITHIN: Duration = Duration::from_secs(2);
const TELL_EVERY: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct Twin {
    met: Option<(Multiaddr, Instant)>,
    dialled_at: Option<Instant>,
    failed_at: Option<Instant>,
    told_at: Option<Instant>,
}

impl Twin {
    /// Our own peer id answered a dial.
    pub(super) fn dialled(&mut self, address: &Multiaddr, now: Instant) {
        self.dialled_at = Some(now);
        self.met = (!lately(self.failed_at, BOTH_WITHIN, now)).then(|| (address.clone(), now));
    }

    /// An inbound connection failed; `own`: when our own peer id was at its other end.
    pub(super) fn failed_inbound(&mut self, address: &Multiaddr, own: bool, now: Instant) {
        self.failed_at = Some(now);
        self.met = (own && !lately(self.dialled_at, BOTH_WITHIN, now)).then(|| (address.clone(), now));
    }

    /// The address of another host that has our key, at most once a minute.
    pub(super) fn due(&mut self, now: Instant) -> Option<Multiaddr> {
        let (address, _) = self.met.take_if(|(_, at)| now.duration_since(*at) >= BOTH_WITHIN)?;
        if lately(self.told_at, TELL_EVERY, now) {
            return None;
        }
        self.told_at = Some(now);
        Some(address)
    }
}

fn lately(at: Option<Instant>, within: Duration, now: Instant) -> bool {
    at.is_some_and(|at| now.duration_since(at) < within)
}

impl Task {
    pub(super) fn tell_of_twin(&mut self, now: Instant) {
        if let Some(address) = self.twin.due(now) {
            tracing::warn!(
                %address,
                "another host has the key of this node: peers will take them for one; give each node a wallet of its own",
            );
            self.emit(NodeEvent::DuplicateIdentity { address: address.to_string() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> Multiaddr {
        "/ip4/192.0.2.1/tcp/4002".parse().expect("a multiaddr")
    }

    #[test]
    fn a_node_that_dials_itself_has_no_twin_whichever_end_is_seen_first() {
        for own in [true, false] {
            let (mut twin, now) = (Twin::default(), Instant::now());
            twin.dialled(&address(), now);
            twin.failed_inbound(&address(), own, now);
            assert_eq!(twin.due(now + BOTH_WITHIN), None);
            let mut twin = Twin::default();
            twin.failed_inbound(&address(), own, now);
            twin.dialled(&address(), now);
            assert_eq!(twin.due(now + BOTH_WITHIN), None);
        }
    }

    #[test]
    fn our_key_at_the_other_end_alone_is_a_twin_and_told_once_a_minute() {
        let meetings: [fn(&mut Twin, Instant); 2] =
            [|twin, now| twin.dialled(&address(), now), |twin, now| twin.failed_inbound(&address(), true, now)];
        for meet in meetings {
            let (mut twin, now) = (Twin::default(), Instant::now());
            meet(&mut twin, now);
            assert_eq!(twin.due(now), None);
            assert_eq!(twin.due(now + BOTH_WITHIN), Some(address()));
            meet(&mut twin, now + 2 * BOTH_WITHIN);
            assert_eq!(twin.due(now + 3 * BOTH_WITHIN), None);
            meet(&mut twin, now + 2 * TELL_EVERY);
            assert_eq!(twin.due(now + 2 * TELL_EVERY + BOTH_WITHIN), Some(address()));
        }
    }

    #[test]
    fn other_inbound_failures_are_no_twin() {
        let (mut twin, now) = (Twin::default(), Instant::now());
        twin.failed_inbound(&address(), false, now);
        assert_eq!(twin.due(now + BOTH_WITHIN), None);
    }
}
