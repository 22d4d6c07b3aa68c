use std::{collections::BTreeMap, time::Duration};

use depinmesh_mailbox::{Limits, Mailbox, Overflow, Wake};
use futures::{FutureExt, future::BoxFuture};
use libp2p::gossipsub::TopicHash;
use tokio::sync::mpsc;

use super::*;
use crate::{
    gate::{DatabaseId, Entry, GateConfig, GateEvent, Listed, Registry, Revocation, WalletSource},
    identity::SecretKey,
};

/// 2021-01-01 in nanoseconds.
const START: u64 = 1_609_459_200_000_000_000;
/// Gossip has forgotten a message by then, and the table of event ids its event.
const HOUR: Duration = Duration::from_secs(3_600);
/// Authors of whom something is kept after they have left.
const LEFT: u64 = 1_024;
const ROOMY: Limits = Limits { items: 10_000, bytes: 1 << 24, overflow: Overflow::DropOldest };

struct Nobody;

impl Wake for Nobody {
    fn wake(&self) {}
}

impl Registry for Nobody {
    fn wallets(&self, _: DatabaseId, _: Vec<Wallet>, _: Duration) -> BoxFuture<'static, Result<Listed, String>> {
        async { Err("not asked in these tests".to_owned()) }.boxed()
    }
}

fn wallet(n: u64) -> Wallet {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&n.to_le_bytes());
    SecretKey::from_seed(&seed).wallet()
}

fn entries(wallets: &[Wallet]) -> Vec<Entry> {
    wallets.iter().map(|wallet| Entry::Bytes(wallet.as_bytes().to_vec())).collect()
}

/// A node that is subscribed to one topic, and the time.
struct Scene {
    receiver: Receiver,
    topics: Arc<Topics>,
    gate: Gate,
    reports: mpsc::Receiver<GateEvent>,
    now: Instant,
    counters: Arc<Counters>,
}

impl Scene {
    async fn new(authors: &[Wallet]) -> Self {
        let config = GateConfig {
            refresh_interval: Duration::from_secs(30),
            timeout: Duration::from_secs(10),
            min_interval: Duration::from_secs(1),
            negative_ttl: Duration::from_secs(10),
            max_stale: Duration::from_secs(900),
            revocation: Revocation::Close,
        };
        let own = wallet(0);
        let (gate, reports) = Gate::new(config, own, Arc::new(Nobody));
        let topics = Topics::new(Mailbox::new(Arc::new(Nobody), 0));
        let counters = Arc::<Counters>::default();
        let receiver = Receiver::new(own.peer_id(), gate.clone(), Arc::clone(&topics), Arc::clone(&counters), 10_000);
        let mut scene = Self { receiver, topics, gate, reports, now: Instant::now(), counters };
        scene.open(1, authors).await;
        scene
    }

    async fn open(&mut self, database: DatabaseId, authors: &[Wallet]) {
        self.topics.attach(database, "db").unwrap();
        self.topics.subscribe(database, "t", ROOMY).unwrap();
        self.gate.attach(database, "db", WalletSource::List(entries(authors))).unwrap();
        self.list_changes().await;
    }

    async fn close(&mut self, database: DatabaseId) {
        self.topics.detach(database);
        self.gate.detach(database);
        self.list_changes().await;
    }

    async fn list(&mut self, authors: &[Wallet]) {
        self.gate.set_wallets(1, entries(authors).into());
        self.list_changes().await;
    }

    /// Does what the swarm does when the gate reports that somebody has left the lists, or is on them.
    async fn list_changes(&mut self) {
        loop {
            match self.reports.recv().await.unwrap() {
                GateEvent::Revoked(wallets) => return wallets.iter().for_each(|wallet| self.receiver.forget(wallet)),
                GateEvent::Readmitted(wallets) => {
                    return wallets.iter().for_each(|wallet| self.receiver.readmit(wallet));
                }
                _ => {}
            }
        }
    }

    /// Why the message of an author with this number is dropped; `None`: its event is delivered.
    fn hear(&mut self, author: &Wallet, number: u64) -> Option<&'static str> {
        let peer = author.peer_id();
        let data = envelope::encode(&number.to_string(), &peer.to_base58(), b"null", 0);
        let topic = TopicHash::from_raw("db_t");
        let mut message = Message { source: Some(peer), data, sequence_number: Some(number), topic };
        let Outcome { acceptance, losses } = self.receiver.receive(&mut message, self.now);
        match losses[..] {
            [] => {
                assert!(matches!(acceptance, MessageAcceptance::Accept));
                None
            }
            [NodeEvent::MessageDropped { reason, count: 1, .. }] => Some(reason),
            _ => panic!("{losses:?}"),
        }
    }
}

#[tokio::test]
async fn a_message_that_comes_again_after_an_hour_is_a_replay() {
    let author = wallet(1);
    let mut scene = Scene::new(&[author]).await;
    assert_eq!(scene.hear(&author, START), None);
    assert_eq!(scene.hear(&author, START), Some("duplicate"));
    scene.now += HOUR;
    assert_eq!(scene.hear(&author, START), Some("replay"));
    assert_eq!(scene.hear(&author, START + 1), None);
}

#[tokio::test]
async fn an_author_who_left_the_list_and_is_back_cannot_be_replayed() {
    let author = wallet(1);
    let mut scene = Scene::new(&[author]).await;
    assert_eq!(scene.hear(&author, START), None);
    scene.list(&[]).await;
    assert_eq!(scene.hear(&author, START + 1), Some("author-not-listed"));
    scene.list(&[author]).await;
    scene.receiver.fresh_connection(&author);
    scene.now += HOUR;
    assert_eq!(scene.hear(&author, START), Some("replay"));
    assert_eq!(scene.hear(&author, START + 1), None);
}

#[tokio::test]
async fn an_author_whose_database_was_closed_and_opened_again_cannot_be_replayed() {
    let author = wallet(1);
    let mut scene = Scene::new(&[author]).await;
    assert_eq!(scene.hear(&author, START), None);
    scene.close(1).await;
    scene.open(2, &[author]).await;
    scene.receiver.fresh_connection(&author);
    scene.now += HOUR;
    assert_eq!(scene.hear(&author, START), Some("replay"));
    assert_eq!(scene.hear(&author, START + 1), None);
}

#[tokio::test]
async fn an_author_who_is_back_is_remembered_however_many_leave() {
    let authors: Vec<_> = (1..=LEFT + 2).map(wallet).collect();
    let [back, gone, others @ ..] = &authors[..] else { panic!() };
    let mut scene = Scene::new(&authors).await;
    for author in &authors {
        assert_eq!(scene.hear(author, START), None);
        scene.receiver.forget(author);
        scene.receiver.readmit(back);
    }
    scene.now += HOUR;
    assert_eq!(scene.hear(back, START), Some("replay"));
    assert_eq!(scene.hear(&others[0], START), Some("replay"));
    assert_eq!(scene.hear(gone, START), None, "the control: nothing is kept of it any more");
}

#[tokio::test]
async fn what_comes_after_the_end_of_a_subscription_is_counted() {
    let author = wallet(1);
    let mut scene = Scene::new(&[author]).await;
    scene.topics.detach(1);
    let message = envelope::encode("1", &author.peer_id().to_base58(), b"null", 0);
    let topic = TopicHash::from_raw("db_t");
    let mut message = Message { source: Some(author.peer_id()), data: message, sequence_number: Some(START), topic };
    let Outcome { acceptance, losses } = scene.receiver.receive(&mut message, scene.now);
    assert!(matches!(acceptance, MessageAcceptance::Ignore));
    assert!(losses.is_empty());
    assert_eq!(scene.counters.received.get(), 1);
    assert_eq!(scene.counters.dropped.read(), BTreeMap::from([("not-subscribed", 1)]));
}
