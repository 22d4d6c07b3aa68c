use libp2p::core::{ConnectedPoint, Endpoint, transport::PortUse};

use super::*;

const NAMELESS: Duration = Duration::from_secs(10);
const RELAYED: usize = 1;
const DIRECT: usize = 2;
const NEW: usize = 3;

struct Lab {
    peers: Peers,
    peer: PeerId,
    relay: PeerId,
    start: Instant,
}

impl Lab {
    fn new() -> Self {
        let [peer, relay] =
            std::array::from_fn(|_| libp2p::identity::Keypair::generate_ed25519().public().to_peer_id());
        Self { peers: Peers::default(), peer, relay, start: Instant::now() }
    }

    fn open(&mut self, id: usize, now: Instant) {
        let relayed = format!("/ip4/8.8.8.8/tcp/1/p2p/{}/p2p-circuit/p2p/{}", self.relay, self.peer);
        let address = if id == RELAYED { relayed } else { "/ip4/8.8.4.4/tcp/1".to_owned() };
        let address = address.parse().expect("a multiaddr");
        let endpoint = ConnectedPoint::Dialer { address, role_override: Endpoint::Dialer, port_use: PortUse::New };
        let wallet = Wallet::from_peer_id(&self.peer).expect("a wallet");
        self.peers.established(self.peer, wallet, Connection::new(ConnectionId::new_unchecked(id), &endpoint, now));
    }

    /// Whether the peer counts as connected by this.
    fn identified(&mut self, id: usize) -> bool {
        self.peers.identified(&self.peer, ConnectionId::new_unchecked(id), "depinmesh/1.0".to_owned()).is_some()
    }

    fn answered(&mut self, id: usize, now: Instant) {
        self.peers.answered(&self.peer, ConnectionId::new_unchecked(id), Duration::ZERO, now);
    }

    /// This one, and no other.
    fn is_overdue(&mut self, id: usize, now: Instant) -> bool {
        self.peers.overdue(now, NAMELESS) == [ConnectionId::new_unchecked(id)]
    }

    fn closed(&mut self, id: usize) -> Gone {
        self.peers.closed(&self.peer, ConnectionId::new_unchecked(id))
    }

    fn lost(&self, reason: Option<DisconnectReason>) -> Gone {
        let wallet = Wallet::from_peer_id(&self.peer).expect("a wallet");
        Gone::Lost { wallet, reason, returns: false }
    }
}

/// A peer with a relayed connection and a direct one, the first of which is overdue; and when.
fn one_overdue() -> (Lab, Instant) {
    let mut lab = Lab::new();
    let (start, then) = (lab.start, lab.start + PING_LIMIT);
    lab.open(RELAYED, start);
    assert!(lab.identified(RELAYED));
    lab.open(DIRECT, start);
    assert!(!lab.identified(DIRECT));
    lab.answered(DIRECT, then);
    assert!(lab.is_overdue(RELAYED, then));
    (lab, then)
}

#[test]
fn a_connection_that_timed_out_says_nothing_of_the_other_ones_end() {
    let (mut lab, _) = one_overdue();
    assert_eq!(lab.closed(RELAYED), Gone::Not);
    assert_eq!(lab.closed(DIRECT), lab.lost(None));
}

#[test]
fn a_peer_whose_last_connection_timed_out_has() {
    let (mut lab, then) = one_overdue();
    assert_eq!(lab.closed(RELAYED), Gone::Not);
    assert!(lab.is_overdue(DIRECT, then + PING_LIMIT));
    assert_eq!(lab.closed(DIRECT), lab.lost(Some(DisconnectReason::Timeout)));
}

#[test]
fn what_we_close_for_a_reason_of_ours_ends_for_that_reason() {
    let (mut lab, _) = one_overdue();
    lab.peers.closing(&lab.peer, DisconnectReason::Revoked);
    assert_eq!(lab.closed(DIRECT), Gone::Not);
    assert_eq!(lab.closed(RELAYED), lab.lost(Some(DisconnectReason::Revoked)));
}

#[test]
fn a_connection_beside_one_that_times_out_makes_a_peer() {
    let mut lab = Lab::new();
    let (start, then) = (lab.start, lab.start + PING_LIMIT);
    lab.open(RELAYED, start);
    assert!(lab.identified(RELAYED));
    lab.open(NEW, then);
    assert!(lab.is_overdue(RELAYED, then));
    assert_eq!(lab.closed(RELAYED), lab.lost(Some(DisconnectReason::Timeout)));
    assert!(lab.identified(NEW));
    assert_eq!(lab.closed(NEW), lab.lost(None));
}

#[test]
fn a_list_of_peers_shares_the_texts_of_the_one_before() {
    let (lab, _) = one_overdue();
    let (before, now) = (lab.peers.infos(), lab.peers.infos());
    assert_eq!(before, now);
    let [peer] = &before[..] else { panic!("one peer: {before:?}") };
    assert_eq!((&*peer.agent, peer.transport, peer.addresses.len()), ("depinmesh/1.0", "tcp", 2));
    assert_eq!(&*peer.addresses[1], "/ip4/8.8.4.4/tcp/1");
    assert!(peer.addresses.iter().zip(&now[0].addresses).all(|(before, now)| Arc::ptr_eq(before, now)));
    assert!(Arc::ptr_eq(&peer.agent, &now[0].agent));
}

#[test]
fn a_connection_that_says_too_late_who_is_there_makes_none() {
    let mut lab = Lab::new();
    let then = lab.start + NAMELESS;
    lab.open(DIRECT, lab.start);
    lab.answered(DIRECT, then);
    assert!(lab.is_overdue(DIRECT, then));
    assert!(!lab.identified(DIRECT));
    let reason = Some(DisconnectReason::Timeout);
    assert_eq!(lab.closed(DIRECT), Gone::BeforeIdentify { direction: Direction::Outbound, reason });
}
