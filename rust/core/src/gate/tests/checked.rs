//! A registry that gives no list, and is asked about each wallet.

use std::collections::BTreeSet;

use futures::future::join_all;

use super::*;

/// Knows these, and answers with all it was ever asked about that it knows.
struct Checks {
    good: Mutex<BTreeSet<Wallet>>,
    asked: Mutex<Vec<Vec<Wallet>>>,
}

impl Checks {
    fn new(good: impl IntoIterator<Item = u64>) -> Arc<Self> {
        Arc::new(Self { good: Mutex::new(good.into_iter().map(wallet).collect()), asked: Mutex::default() })
    }

    fn batches(&self) -> Vec<Vec<Wallet>> {
        self.asked.lock().unwrap().clone()
    }
}

impl Registry for Checks {
    fn wallets(&self, _: DatabaseId, waiting: Vec<Wallet>, _: Duration) -> BoxFuture<'static, Result<Listed, String>> {
        let mut asked = self.asked.lock().unwrap();
        asked.push(waiting);
        let good = self.good.lock().unwrap();
        let known: BTreeSet<_> = asked.iter().flatten().filter(|wallet| good.contains(*wallet)).collect();
        let entries: Vec<_> = known.into_iter().map(|wallet| Entry::Bytes(wallet.as_bytes().to_vec())).collect();
        async { Ok(entries.into()) }.boxed()
    }
}

async fn checked(checks: &Arc<Checks>) -> (Gate, Receiver<GateEvent>) {
    let (gate, events) = Gate::new(config(), wallet(OWN), Arc::clone(checks) as Arc<dyn Registry>);
    gate.attach(DB, "db", WalletSource::Checked).unwrap();
    settled().await;
    // The first answer is empty, and counts: nobody was asked about yet.
    assert_eq!(checks.batches(), [vec![]]);
    (gate, events)
}

#[tokio::test(start_paused = true)]
async fn each_newcomer_is_asked_about_and_a_refusal_is_remembered() {
    let checks = Checks::new([1]);
    let (gate, _events) = checked(&checks).await;
    assert_eq!(check(&gate, 1).await, Ok(wallet(1)));
    assert_eq!(check(&gate, 2).await, Err(Refusal::NotListed));
    assert_eq!(check(&gate, 2).await, Err(Refusal::NotListed));
    assert_eq!(check(&gate, 1).await, Ok(wallet(1)));
    assert_eq!(checks.batches()[1..], [vec![wallet(1)], vec![wallet(2)]]);
}

#[tokio::test(start_paused = true)]
async fn those_who_come_together_share_reads_of_a_bounded_size() {
    let checks = Checks::new(1..=100);
    let (gate, _events) = checked(&checks).await;
    let began = now();
    assert!(join_all((1..=100).map(|n| check(&gate, n))).await.iter().all(Result::is_ok));
    assert!(now() - began < Duration::from_secs(3));
    assert_eq!(checks.batches().iter().map(Vec::len).collect::<Vec<_>>(), [0, 64, 36]);
}

#[tokio::test(start_paused = true)]
async fn whoever_finds_no_place_in_the_queue_runs_into_the_time_limit() {
    let checks = Checks::new([]);
    let (gate, _events) = checked(&checks).await;
    let refusals = join_all((1..=700).map(|n| check(&gate, n))).await;
    let timed_out = refusals.iter().filter(|refusal| **refusal == Err(Refusal::TimedOut)).count();
    assert!((60..=124).contains(&timed_out), "{timed_out}");
    // And is not remembered as refused.
    assert_eq!(gate.check_now(&wallet(700).peer_id()), Verdict::Unknown);
}

#[tokio::test(start_paused = true)]
async fn a_wallet_that_is_no_longer_good_is_revoked_at_the_next_refresh() {
    let checks = Checks::new(1..=5);
    let (gate, mut events) = checked(&checks).await;
    assert!(join_all((1..=5).map(|n| check(&gate, n))).await.iter().all(Result::is_ok));
    checks.good.lock().unwrap().retain(|good| *good == wallet(1));
    sleep(Duration::from_secs(31)).await;
    assert_eq!((revoked(&mut events).len(), gate.wallets()), (4, vec![wallet(1)]));
}

#[tokio::test(start_paused = true)]
async fn an_author_is_asked_about_once_in_a_while() {
    let checks = Checks::new([1]);
    let (gate, _events) = checked(&checks).await;
    for _ in 0..5 {
        assert!(!gate.author_listed(DB, &wallet(1)) && !gate.author_listed(DB, &wallet(2)));
    }
    sleep(Duration::from_secs(2)).await;
    for _ in 0..5 {
        assert!(gate.author_listed(DB, &wallet(1)) && !gate.author_listed(DB, &wallet(2)));
    }
    sleep(Duration::from_secs(2)).await;
    assert_eq!(checks.batches()[1..], [vec![wallet(1), wallet(2)]]);
}

#[tokio::test(start_paused = true)]
async fn authors_leave_room_for_whoever_knocks() {
    let checks = Checks::new([1, 1_000]);
    let (gate, _events) = checked(&checks).await;
    for n in 1_000..1_700 {
        assert!(!gate.author_listed(DB, &wallet(n)));
    }
    let began = now();
    assert_eq!(check(&gate, 1).await, Ok(wallet(1)));
    assert!(now() - began < Duration::from_secs(2));
    // The first of them were asked about too.
    assert!(gate.author_listed(DB, &wallet(1_000)));
}

#[tokio::test(start_paused = true)]
async fn authors_who_find_no_place_are_asked_about_in_the_next_reads() {
    let checks = Checks::new(1..=100);
    let (gate, _events) = checked(&checks).await;
    let began = now();
    while (1..=100).filter(|n| !gate.author_listed(DB, &wallet(*n))).count() > 0 {
        assert!(now() - began < config().negative_ttl);
        sleep(Duration::from_millis(100)).await;
    }
}
