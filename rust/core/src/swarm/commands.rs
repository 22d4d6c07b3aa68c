//! What the handle asks of the network task, and what the task does about it.

use std::time::{Duration, Instant};

use libp2p::PeerId;

use crate::{
    error::{Error, ErrorKind},
    events::{DisconnectReason, Value},
    gate::DatabaseId,
    swarm::{closing::FLUSH, dial_target::DialTarget, task::Task},
};

pub(crate) enum Command {
    Dial {
        op: u64,
        target: DialTarget,
        timeout: Duration,
    },
    HangUp {
        op: u64,
        peer: PeerId,
    },
    RetryBootstrap,
    WaitReady {
        op: u64,
        database: Option<DatabaseId>,
    },
    WaitForPeers {
        op: u64,
        database: DatabaseId,
        full_topic: String,
        n: usize,
    },
    /// Until what was published in the database has left, as far as that comes in a moment.
    WaitSent {
        op: u64,
        database: DatabaseId,
    },
    WaitFirstRound {
        op: u64,
        until: Instant,
    },
    Cancel {
        op: u64,
    },
    /// For tests of programs that must live through it.
    Crash,
    Close {
        op: u64,
        until: Instant,
    },
}

impl Task {
    pub(super) fn command(&mut self, command: Command) {
        let now = Instant::now();
        match command {
            Command::Dial { op, target, timeout } => {
                match target {
                    DialTarget::Peer(peer, addresses) => self.dial_for(op, peer, addresses, timeout),
                    DialTarget::Address(address) => self.dial_address(op, address, timeout),
                }
                self.hurry(now);
            }
            Command::HangUp { op, peer } => {
                self.dialer.forget(&peer);
                self.neighbours.forget(&peer);
                let text = format!("{peer} was hung up while it was being dialled");
                let error = Error::new(ErrorKind::Dial, text).with("peer_id", peer.to_base58());
                self.ops.dial_failed(Some(peer), None, &error, &self.shared);
                self.peers.closing(&peer, DisconnectReason::Closed);
                match self.swarm.disconnect_peer_id(peer) {
                    Ok(()) => self.ops.wait_gone(op, peer),
                    // It was not connected.
                    Err(()) => self.shared.done(op, Value::None),
                }
            }
            Command::RetryBootstrap => {
                if self.bootstrap.start() {
                    self.ask_bootstrap();
                }
                self.dialer.hurry(now);
                self.hurry(now);
            }
            Command::WaitReady { op, database } => {
                self.ops.wait_ready(op, database);
                self.update_views();
            }
            Command::WaitForPeers { op, database, full_topic, n } => {
                self.ops.wait_for_peers(op, database, full_topic.clone(), n);
                self.check_topic_waiters(Some(&full_topic));
            }
            Command::WaitSent { op, database } => {
                self.ops.wait_sent(op, database, now + FLUSH);
                self.hurry(now);
            }
            Command::WaitFirstRound { op, until } => {
                self.ops.wait_first_round(op, until);
                self.hurry(now);
            }
            Command::Cancel { op } => self.ops.cancel(op),
            Command::Crash => panic!("crashed on request"),
            // The loop takes it before it comes here.
            Command::Close { op, .. } => self.shared.done(op, Value::None),
        }
    }
}
