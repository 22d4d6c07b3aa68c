//! Servers of `AutoNAT` v2 are asked, one question at a time.

use std::task::Context;

use either::Either;
use futures::FutureExt;
use libp2p::swarm::{ConnectionId, NotifyHandler, ToSwarm};
use tokio::time::{Instant, sleep};

use crate::nat::{
    autonat::{AGAIN_AFTER, AutoNat, AutoNatEvent, FIRST_AFTER, REFRESH_EVERY, question::Answer, rounds::Finding},
    reachability::Reachability,
};

impl AutoNat {
    pub(super) fn on_answer(&mut self, connection: ConnectionId, answer: Answer) {
        let Some(finding) = self.rounds.answered(connection, answer) else { return };
        self.tell(AutoNatEvent::Expects(None));
        match finding {
            Finding::Reached { address, first } => {
                self.tell(AutoNatEvent::Asked("reached"));
                self.on_reached(&address);
                if first {
                    self.hear(Reachability::Public);
                }
            }
            Finding::NotReached => self.tell(AutoNatEvent::Asked("not-reached")),
            Finding::Failed => self.tell(AutoNatEvent::Asked("failed")),
        }
        match self.rounds.advance() {
            None => self.ask(),
            Some(nowhere) => {
                if nowhere {
                    self.hear(Reachability::Private);
                }
                self.pause_before_round();
            }
        }
    }

    fn ask(&mut self) {
        if let Some((peer_id, connection, address)) = self.rounds.question() {
            tracing::debug!(%peer_id, %address, "asking whether this address of ours can be reached");
            self.tell(AutoNatEvent::Asking);
            self.tell(AutoNatEvent::Expects(Some(peer_id)));
            let handler = NotifyHandler::One(connection);
            self.pending.push_back(ToSwarm::NotifyHandler { peer_id, handler, event: Either::Right(address) });
        }
    }

    pub(super) fn poll_rounds(&mut self, cx: &mut Context<'_>) {
        while self.pause.get_or_insert_with(|| Box::pin(sleep(FIRST_AFTER))).poll_unpin(cx).is_ready() {
            if self.rounds.begin(Instant::now(), |seen| self.addresses.candidates(seen)) {
                self.ask();
            }
            self.pause_before_round();
        }
    }

    fn pause_before_round(&mut self) {
        let after = if self.opinion.is_settled() { REFRESH_EVERY } else { AGAIN_AFTER };
        self.pause = Some(Box::pin(sleep(after)));
    }
}
