//! Questions to the host language: posted into the mailbox, answered by id, under a time limit of ours.
//!
//! No thread of the core ever enters the interpreter; the host runs its function as an ordinary task and calls back.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use depinmesh_mailbox::Mailbox;
use futures::future::BoxFuture;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::oneshot;

use crate::{
    events::{Control, Question},
    gate::{DatabaseId, Listed, Registry},
    identity::Wallet,
};

/// What the host answered.
#[derive(Debug)]
pub(crate) enum Answer {
    Wallets(Listed),
    Bootstrap(Vec<(PeerId, Vec<Multiaddr>)>),
    Failed(String),
}

pub(crate) struct Requests {
    mailbox: Arc<Mailbox<Control>>,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Answer>>>,
    next: AtomicU64,
}

impl Requests {
    pub(crate) fn new(mailbox: Arc<Mailbox<Control>>) -> Arc<Self> {
        Arc::new(Self { mailbox, waiting: Mutex::default(), next: AtomicU64::new(1) })
    }

    /// Asks, and waits at most `limit`. `Err` is a sentence for people.
    pub(crate) async fn ask(self: Arc<Self>, question: Question, limit: Duration) -> Result<Answer, String> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        self.waiting().insert(id, sender);
        // Dropped when the future is: then the host hears that nobody waits any more.
        let abandoned = Abandoned { requests: &self, id };
        self.mailbox.post(Control::Request { id, question });
        let answer = match tokio::time::timeout(limit, receiver).await {
            Ok(Ok(Answer::Failed(text))) => Err(text),
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err("the node is closing".to_owned()),
            Err(_) => Err(format!("no answer within {} s", limit.as_secs_f64())),
        };
        drop(abandoned);
        answer
    }

    /// `false`: nobody waits for this answer.
    pub(crate) fn answer(&self, id: u64, answer: Answer) -> bool {
        let waiting = self.waiting().remove(&id);
        waiting.is_some_and(|sender| sender.send(answer).is_ok())
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Answer>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Abandoned<'a> {
    requests: &'a Requests,
    id: u64,
}

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        if self.requests.waiting().remove(&self.id).is_some() {
            self.requests.mailbox.post(Control::Cancel { id: self.id });
        }
    }
}

/// The registry of a database whose wallets the host is asked for.
pub(crate) struct HostRegistry(pub(crate) Arc<Requests>);

impl Registry for HostRegistry {
    fn wallets(
        &self,
        database: DatabaseId,
        waiting: Vec<Wallet>,
        limit: Duration,
    ) -> BoxFuture<'static, Result<Listed, String>> {
        let asked = Arc::clone(&self.0).ask(Question::Wallets { database, waiting }, limit);
        Box::pin(async move {
            match asked.await? {
                Answer::Wallets(listed) => Ok(listed),
                Answer::Bootstrap(_) | Answer::Failed(_) => Err("the answer is not a list of wallets".to_owned()),
            }
        })
    }
}
