//! The whole gate with a registry that follows a script, on a stopped clock.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

use futures::{FutureExt, future::join_all, stream::FuturesUnordered};
use libp2p::identity;
use tokio::{sync::mpsc::Receiver, time::sleep};

use super::{
    testing::{bytes, text, texts, wallet},
    *,
};

const OWN: u64 = 0;
const DB: DatabaseId = 1;

/// What the registry does at its next read.
#[derive(Clone)]
enum Read {
    Gives(Vec<Entry>),
    Fails,
    /// Until the time limit.
    Hangs,
    Takes(Duration, Vec<Entry>),
}

/// Follows its script read by read; the last line is repeated.
struct Script {
    lines: Mutex<VecDeque<Read>>,
    calls: AtomicUsize,
    busy: Arc<AtomicUsize>,
}

impl Script {
    fn new(lines: impl IntoIterator<Item = Read>) -> Arc<Self> {
        Arc::new(Self { lines: Mutex::new(lines.into_iter().collect()), calls: AtomicUsize::default(), busy: Arc::default() })
    }

    fn now(&self, line: Read) {
        *self.lines.lock().unwrap() = [line].into();
    }

    fn calls(&self) -> usize {
        self.calls.load(SeqCst)
    }
}

impl Registry for Script {
    fn wallets(&self, _: DatabaseId, timeout: Duration) -> BoxFuture<'static, Result<Vec<Entry>, String>> {
        self.calls.fetch_add(1, SeqCst);
        let mut lines = self.lines.lock().unwrap();
        let line = if lines.len() > 1 { lines.pop_front() } else { lines.front().cloned() };
        let busy = Arc::clone(&self.busy);
        async move {
            assert_eq!(busy.fetch_add(1, SeqCst), 0, "two reads at a time");
            let result = match line.unwrap() {
                Read::Gives(entries) => Ok(entries),
                Read::Fails => Err("unreachable".into()),
                Read::Hangs => {
                    sleep(timeout).await;
                    Err("no answer within the time limit".into())
                }
                Read::Takes(time, entries) => {
                    sleep(time).await;
                    Ok(entries)
                }
            };
            busy.fetch_sub(1, SeqCst);
            result
        }
        .boxed()
    }
}

fn config() -> GateConfig {
    GateConfig {
        refresh_interval: Duration::from_secs(30),
        timeout: Duration::from_secs(10),
        min_interval: Duration::from_secs(1),
        negative_ttl: Duration::from_secs(10),
        max_stale: Duration::from_secs(900),
        revocation: Revocation::Close,
    }
}

fn gate(script: &Arc<Script>) -> (Gate, Receiver<GateEvent>) {
    Gate::new(config(), wallet(OWN), Arc::clone(script) as Arc<dyn Registry>)
}

/// A gate whose only database follows the script, after its first read.
async fn asked(lines: impl IntoIterator<Item = Read>) -> (Gate, Receiver<GateEvent>, Arc<Script>) {
    let script = Script::new(lines);
    let (gate, events) = gate(&script);
    gate.attach(DB, "db", WalletSource::Asked).unwrap();
    settled().await;
    (gate, events, script)
}

/// Lets everything run that is due now.
async fn settled() {
    sleep(Duration::from_millis(5)).await;
}

fn gives(wallets: impl IntoIterator<Item = u64>) -> Read {
    Read::Gives(texts(wallets))
}

async fn check(gate: &Gate, n: u64) -> Result<Wallet, Refusal> {
    gate.check(&wallet(n).peer_id(), Direction::Inbound).await.map_err(|denied| denied.reason)
}

fn seen(events: &mut Receiver<GateEvent>) -> Vec<GateEvent> {
    std::iter::from_fn(|| events.try_recv().ok()).collect()
}

fn revoked(events: &mut Receiver<GateEvent>) -> Vec<Wallet> {
    let seen = seen(events).into_iter();
    seen.filter_map(|event| if let GateEvent::Revoked(wallets) = event { Some(wallets) } else { None }).flatten().collect()
}

#[tokio::test(start_paused = true)]
async fn without_a_database_nobody_enters() {
    let (gate, mut events) = gate(&Script::new([Read::Fails]));
    let peer = wallet(1).peer_id();
    let denied = gate.check(&peer, Direction::Outbound).await.unwrap_err();
    assert_eq!(denied, Denied { peer, wallet: Some(wallet(1)), reason: Refusal::NoList });
    let GateEvent::Refused { wallet: named, direction, reason, .. } = events.recv().await.unwrap() else { panic!() };
    assert_eq!((named, direction, reason), (Some(wallet(1)), Direction::Outbound, Refusal::NoList));
}

#[tokio::test(start_paused = true)]
async fn a_listed_wallet_enters_without_a_call() {
    let (gate, mut events, script) = asked([gives([OWN, 1, 1, 2])]).await;
    assert_eq!(check(&gate, 1).await, Ok(wallet(1)));
    assert_eq!(gate.check_now(&wallet(2).peer_id()), Verdict::Admit(wallet(2)));
    assert_eq!((script.calls(), gate.own_listed(), gate.wallets().len()), (1, true, 3));
    assert!(gate.listed_in(DB, &wallet(2)) && !gate.listed_in(DB, &wallet(3)) && !gate.listed_in(7, &wallet(2)));
    let seen = seen(&mut events);
    assert_eq!(seen[0], GateEvent::Changed { database: DB, added: 3, removed: 0, total: 3 });
    assert!(matches!(&seen[1..], [GateEvent::Readmitted(joined)] if joined.len() == 3));
}

#[tokio::test(start_paused = true)]
async fn peers_that_come_before_the_first_answer_wait_for_it() {
    let (gate, _events, script) = asked([Read::Takes(Duration::from_secs(5), texts([1])), gives([1])]).await;
    assert_eq!(gate.check_now(&wallet(1).peer_id()), Verdict::Unknown);
    let start = now();
    let (listed, stranger) = tokio::join!(check(&gate, 1), check(&gate, 2));
    assert_eq!((listed, stranger), (Ok(wallet(1)), Err(Refusal::NotListed)));
    assert!(now() - start < Duration::from_secs(6));
    assert_eq!(script.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_registry_admits_nobody_and_holds_nobody_longer_than_the_limit() {
    let (gate, _events, _) = asked([Read::Hangs]).await;
    let start = now();
    assert_eq!(check(&gate, 1).await, Err(Refusal::TimedOut));
    assert_eq!(now() - start, config().timeout);
}

#[tokio::test(start_paused = true)]
async fn a_failing_registry_keeps_the_last_list_and_refuses_others() {
    let (gate, mut events, script) = asked([gives([OWN, 1]), Read::Fails]).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(check(&gate, 2).await, Err(Refusal::RegistryFailed));
    assert_eq!(check(&gate, 1).await, Ok(wallet(1)));
    let failed = GateEvent::Failed { database: DB, error: "unreachable".into(), failures: 1, retry_in: Duration::from_secs(1) };
    assert!(seen(&mut events).contains(&failed));
    script.now(gives([OWN, 1, 2]));
    assert_eq!(check(&gate, 2).await, Ok(wallet(2)));
    assert_eq!(gate.counters().registry_failures, 1);
}

#[tokio::test(start_paused = true)]
async fn after_a_long_outage_nobody_new_enters_until_a_read_is_good() {
    let (gate, mut events, script) = asked([gives([OWN, 1]), Read::Fails]).await;
    sleep(Duration::from_secs(899)).await;
    assert_eq!(check(&gate, 1).await, Ok(wallet(1)));
    sleep(Duration::from_secs(2)).await;
    assert_eq!(check(&gate, 1).await, Err(Refusal::Stale));
    assert_eq!(gate.check_now(&wallet(1).peer_id()), Verdict::Refuse(Refusal::Stale));
    assert!(gate.listed_in(DB, &wallet(1)), "who is inside stays");
    assert_eq!(gate.age().unwrap().as_secs(), 901);
    sleep(Duration::from_secs(300)).await;
    let stale = seen(&mut events).into_iter().filter(|event| matches!(event, GateEvent::Stale { database: DB, .. }));
    assert_eq!(stale.count(), 1);
    script.now(gives([OWN, 1]));
    gate.refresh().await.unwrap();
    assert_eq!(check(&gate, 1).await, Ok(wallet(1)));
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_misses_cost_one_call() {
    let (gate, mut events, script) = asked([gives([OWN])]).await;
    sleep(Duration::from_secs(2)).await;
    let peers: Vec<_> = (0..10_000).map(|_| wallet_of_nobody().peer_id()).collect();
    let checks = join_all(peers.iter().map(|peer| gate.check(peer, Direction::Inbound))).await;
    assert!(checks.iter().all(|check| check.as_ref().unwrap_err().reason == Refusal::NotListed));
    assert_eq!((script.calls(), gate.counters().registry_calls), (2, 2));
    // They are remembered, so that coming again costs nothing.
    let again = join_all(peers.iter().map(|peer| gate.check(peer, Direction::Inbound))).await;
    assert!(again.iter().all(Result::is_err));
    assert_eq!(script.calls(), 2);
    let counters = gate.counters();
    assert_eq!(counters.refused[0], (Refusal::NotListed, 20_000));
    let reported = seen(&mut events).into_iter().filter(|event| matches!(event, GateEvent::Refused { .. })).count() as u64;
    assert_eq!(reported + counters.unreported, 20_000);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_fresh_keys_costs_one_call_in_each_min_interval() {
    let (gate, mut events, script) = asked([gives([OWN])]).await;
    let checks = FuturesUnordered::new();
    for _ in 0..600 {
        let (gate, peer) = (gate.clone(), wallet_of_nobody().peer_id());
        checks.push(tokio::spawn(async move { gate.check(&peer, Direction::Inbound).await }));
        sleep(Duration::from_millis(100)).await;
        seen(&mut events);
    }
    // A minute: the first read, 59 or 60 for the misses, and none of the periodic ones beside them.
    assert!((60..=62).contains(&script.calls()), "{} calls", script.calls());
}

#[tokio::test(start_paused = true)]
async fn one_stranger_costs_one_call_in_each_time_of_memory() {
    let (gate, _events, script) = asked([gives([OWN])]).await;
    for _ in 0..300 {
        assert_eq!(check(&gate, 9).await, Err(Refusal::NotListed));
        sleep(Duration::from_millis(100)).await;
    }
    assert!((4..=5).contains(&script.calls()), "{} calls", script.calls());
}

#[tokio::test(start_paused = true)]
async fn a_newly_listed_wallet_enters_at_once() {
    let (gate, _events, script) = asked([gives([OWN]), gives([OWN, 1])]).await;
    assert_eq!(check(&gate, 1).await, Ok(wallet(1)));
    assert_eq!(gate.check_now(&wallet(1).peer_id()), Verdict::Admit(wallet(1)));
    assert_eq!(script.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_lists_a_refused_wallet_lets_it_in() {
    let (gate, _events, script) = asked([gives([OWN, 2])]).await;
    assert_eq!(check(&gate, 1).await, Err(Refusal::NotListed));
    assert_eq!(gate.check_now(&wallet(1).peer_id()), Verdict::Refuse(Refusal::NotListed));
    script.now(gives([OWN, 2, 1]));
    assert_eq!(check(&gate, 1).await, Err(Refusal::NotListed));
    gate.refresh().await.unwrap();
    assert_eq!(check(&gate, 1).await, Ok(wallet(1)));
    // The old refusal does not come back when the list loses the wallet again.
    script.now(gives([OWN, 2]));
    gate.refresh().await.unwrap();
    assert_eq!(gate.check_now(&wallet(1).peer_id()), Verdict::Unknown);
}

#[tokio::test(start_paused = true)]
async fn a_removed_wallet_is_revoked_and_may_return() {
    let (gate, mut events, script) = asked([gives([OWN, 1, 2])]).await;
    seen(&mut events);
    script.now(gives([OWN, 1]));
    sleep(Duration::from_secs(31)).await;
    let changed = GateEvent::Changed { database: DB, added: 0, removed: 1, total: 2 };
    assert_eq!(seen(&mut events), [changed, GateEvent::Revoked(vec![wallet(2)])]);
    assert_eq!(check(&gate, 2).await, Err(Refusal::NotListed));
    seen(&mut events);
    script.now(gives([OWN, 1, 2]));
    sleep(Duration::from_secs(31)).await;
    let changed = GateEvent::Changed { database: DB, added: 1, removed: 0, total: 3 };
    assert_eq!(seen(&mut events), [changed, GateEvent::Readmitted(vec![wallet(2)])]);
    assert_eq!(check(&gate, 2).await, Ok(wallet(2)));
}

#[tokio::test(start_paused = true)]
async fn a_revocation_waits_for_room() {
    let (gate, mut events, script) = asked([gives([OWN, 1, 2])]).await;
    let stranger = PeerId::random();
    for _ in 0..2 * EVENTS {
        gate.check(&stranger, Direction::Inbound).await.unwrap_err();
    }
    assert!(gate.counters().unreported > 0);
    script.now(gives([OWN, 1]));
    sleep(Duration::from_secs(31)).await;
    assert!(!gate.listed_in(DB, &wallet(2)));
    assert_eq!(seen(&mut events).len(), EVENTS);
    settled().await;
    assert_eq!(revoked(&mut events), [wallet(2)]);
}

#[tokio::test(start_paused = true)]
async fn an_empty_or_shrunken_read_takes_effect_when_a_second_one_is_equal() {
    for left in [vec![], vec![OWN]] {
        let (gate, mut events, script) = asked([gives([OWN, 1, 2, 3])]).await;
        script.now(gives(left.clone()));
        gate.refresh().await.unwrap();
        assert_eq!(check(&gate, 1).await, Ok(wallet(1)));
        sleep(Duration::from_millis(1900)).await;
        assert_eq!((check(&gate, 1).await, revoked(&mut events)), (Ok(wallet(1)), vec![]));
        sleep(Duration::from_millis(200)).await;
        assert_eq!(revoked(&mut events).len(), 4 - left.len());
        assert_eq!(gate.wallets().len(), left.len());
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_first_read_admits_nobody() {
    let (gate, _events, script) = asked([gives([])]).await;
    assert_eq!(check(&gate, 1).await, Err(Refusal::NoList));
    sleep(Duration::from_secs(2)).await;
    assert_eq!(check(&gate, 1).await, Err(Refusal::NotListed));
    script.now(gives([1]));
    gate.refresh().await.unwrap();
    assert_eq!(check(&gate, 1).await, Ok(wallet(1)));
}

#[tokio::test(start_paused = true)]
async fn a_fixed_list_is_never_asked_for() {
    let script = Script::new([Read::Fails]);
    let (gate, mut events) = gate(&script);
    gate.attach(DB, "db", WalletSource::List(texts([OWN, 1, 2, 3, 4]))).unwrap();
    assert_eq!(check(&gate, 1).await, Ok(wallet(1)));
    assert_eq!(gate.check_now(&wallet(9).peer_id()), Verdict::Refuse(Refusal::NotListed));
    gate.refresh().await.unwrap();
    // What code sets needs no second read, however much it drops.
    gate.set_wallets(DB, vec![text(9)]);
    settled().await;
    assert_eq!((check(&gate, 1).await, check(&gate, 9).await), (Err(Refusal::NotListed), Ok(wallet(9))));
    assert_eq!(revoked(&mut events).len(), 5);
    sleep(Duration::from_secs(100_000)).await;
    assert_eq!(check(&gate, 9).await, Ok(wallet(9)));
    assert_eq!((script.calls(), gate.age()), (0, None));
}

#[tokio::test(start_paused = true)]
async fn the_last_of_several_pushes_counts() {
    let (gate, _events, script) = asked([gives([OWN])]).await;
    for n in 1..20 {
        gate.set_wallets(DB, vec![text(n)]);
        if n % 7 == 0 {
            settled().await;
        }
    }
    settled().await;
    assert_eq!(gate.wallets(), [wallet(19)]);
    gate.refresh().await.unwrap();
    assert_eq!((gate.wallets(), script.calls()), (vec![wallet(OWN)], 2));
}

#[tokio::test(start_paused = true)]
async fn the_gate_admits_the_union_and_each_database_keeps_its_own_list() {
    let (gate, mut events) = gate(&Script::new([gives([OWN, 1, 2])]));
    gate.attach(1, "one", WalletSource::Asked).unwrap();
    gate.attach(2, "two", WalletSource::List(texts([2, 3]))).unwrap();
    settled().await;
    seen(&mut events);
    for n in 1..4 {
        assert_eq!(check(&gate, n).await, Ok(wallet(n)));
    }
    assert!(gate.listed_in(1, &wallet(1)) && !gate.listed_in(2, &wallet(1)));
    gate.detach(2);
    assert_eq!(gate.check_now(&wallet(3).peer_id()), Verdict::Unknown);
    settled().await;
    assert_eq!(revoked(&mut events), [wallet(3)]);
    gate.detach(1);
    assert_eq!(check(&gate, 1).await, Err(Refusal::NoList));
}

#[tokio::test(start_paused = true)]
async fn a_name_is_attached_once() {
    let (gate, _events, _) = asked([gives([OWN])]).await;
    let error = gate.attach(2, "db", WalletSource::Asked).unwrap_err();
    assert_eq!(error.kind, crate::error::ErrorKind::Config);
    gate.detach(DB);
    gate.attach(2, "db", WalletSource::Asked).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_missing_own_wallet_is_reported_at_each_read() {
    let (gate, mut events, _) = asked([gives([1])]).await;
    sleep(Duration::from_secs(60)).await;
    let missing = seen(&mut events).into_iter().filter(|event| *event == GateEvent::NotListed { database: DB });
    assert_eq!((missing.count(), gate.own_listed()), (3, false));
}

#[tokio::test(start_paused = true)]
async fn bad_entries_are_dropped_and_the_rest_counts() {
    let bad = [Entry::Text("not a wallet".into()), Entry::Bytes(vec![0; 32]), Entry::Bytes(vec![1; 5])];
    let (gate, _events, _) = asked([Read::Gives([&bad[..], &[bytes(1), text(1)]].concat())]).await;
    assert_eq!(gate.wallets(), [wallet(1)]);
}

#[tokio::test(start_paused = true)]
async fn only_ed25519_identities_are_wallets() {
    let (gate, _events, script) = asked([Read::Gives(vec![text(OWN), Entry::Bytes(vec![0; 32])])]).await;
    let weak = PeerId::from_bytes(&[&[0, 36, 8, 1, 18, 32][..], &[0; 32]].concat()).unwrap();
    for (peer, reason) in [
        (weak, Refusal::WeakKey),
        (PeerId::random(), Refusal::NotEd25519),
        (identity::Keypair::generate_ed25519().public().to_peer_id(), Refusal::NotListed),
    ] {
        assert_eq!(gate.check(&peer, Direction::Inbound).await.unwrap_err().reason, reason);
    }
    assert_eq!(script.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_tells_what_went_wrong() {
    let (gate, _events, script) = asked([gives([OWN]), Read::Fails]).await;
    let error = gate.refresh().await.unwrap_err();
    assert_eq!(error.kind, crate::error::ErrorKind::Registry);
    assert_eq!(error.message, "the registry of database \"db\" failed: unreachable");
    script.now(gives([OWN]));
    // Many that ask at the same time share one read.
    let calls = script.calls();
    assert!(join_all((0..100).map(|_| gate.refresh())).await.iter().all(Result::is_ok));
    assert_eq!(script.calls(), calls + 1);
}

#[tokio::test(start_paused = true)]
async fn a_closed_gate_keeps_its_last_values_and_admits_nobody() {
    let (gate, _events, script) = asked([gives([OWN, 1]), Read::Hangs]).await;
    let waiting = tokio::spawn({
        let gate = gate.clone();
        async move { (check(&gate, 2).await, gate.refresh().await) }
    });
    settled().await;
    gate.shutdown();
    let (checked, refreshed) = waiting.await.unwrap();
    assert_eq!((checked, refreshed), (Err(Refusal::Closed), Err(Error::closed())));
    assert_eq!((check(&gate, 1).await, gate.wallets().len()), (Err(Refusal::Closed), 2));
    assert_eq!(gate.attach(5, "late", WalletSource::Asked), Err(Error::closed()));
    sleep(Duration::from_secs(100)).await;
    assert!(script.calls() <= 2);
}

/// A wallet that nobody lists, made without the cost of a real key: half of all points of the right form are on the curve.
fn wallet_of_nobody() -> Wallet {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    loop {
        let mut key = [7; 32];
        key[..8].copy_from_slice(&NEXT.fetch_add(1, SeqCst).to_le_bytes());
        if let Ok(wallet) = Wallet::from_bytes(&key) {
            return wallet;
        }
    }
}
