//! Who enters, what a stranger costs.

use futures::future::join_all;
use libp2p::identity;

use super::*;
use crate::gate::testing::text;

/// Fails as no registry may.
struct Panics;

impl Registry for Panics {
    fn wallets(&self, _: DatabaseId, _: Vec<Wallet>, _: Duration) -> BoxFuture<'static, Result<Listed, String>> {
        panic!("a fault of ours")
    }
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_panics_says_so_and_admits_nobody() {
    let (gate, mut events) = Gate::new(config(), wallet(OWN), Arc::new(Panics));
    gate.attach(DB, "db", WalletSource::Asked).unwrap();
    assert_eq!(events.recv().await, Some(GateEvent::Died));
    assert_eq!(check(&gate, OWN).await, Err(Refusal::Closed));
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
    let failed =
        GateEvent::Failed { database: DB, error: "unreachable".into(), failures: 1, retry_in: Duration::from_secs(1) };
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
    let reported =
        seen(&mut events).into_iter().filter(|event| matches!(event, GateEvent::Refused { .. })).count() as u64;
    assert_eq!(reported + counters.unreported, 20_000);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_fresh_keys_costs_one_call_in_each_min_interval() {
    let (gate, mut events, script) = asked([gives([OWN])]).await;
    for _ in 0..600 {
        let (gate, peer) = (gate.clone(), wallet_of_nobody().peer_id());
        tokio::spawn(async move { gate.check(&peer, Direction::Inbound).await });
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

#[tokio::test(start_paused = true)]
async fn a_gate_whose_task_died_admits_nobody() {
    struct Broken;
    impl Registry for Broken {
        fn wallets(&self, _: DatabaseId, _: Vec<Wallet>, _: Duration) -> BoxFuture<'static, Result<Listed, String>> {
            panic!("on purpose")
        }
    }
    let (gate, _events) = Gate::new(config(), wallet(OWN), Arc::new(Broken));
    gate.attach(1, "fixed", WalletSource::List(texts([1]))).unwrap();
    settled().await;
    assert_eq!(check(&gate, 1).await, Ok(wallet(1)));
    gate.attach(2, "broken", WalletSource::Asked).unwrap();
    settled().await;
    assert_eq!((check(&gate, 1).await, gate.refresh().await), (Err(Refusal::Closed), Err(Error::closed())));
}

#[tokio::test(start_paused = true)]
async fn an_author_whom_the_list_lacks_is_worth_a_read_once_in_a_while() {
    let (gate, _events, script) = asked([gives([OWN])]).await;
    sleep(Duration::from_secs(2)).await;
    for _ in 0..5 {
        assert!(!gate.author_listed(DB, &wallet(1)));
    }
    settled().await;
    assert_eq!(script.calls(), 2);
    assert!(!gate.author_listed(DB, &wallet(1)));
    sleep(Duration::from_secs(8)).await;
    assert_eq!(script.calls(), 2);
    // It was not refused: knocking, it waits for a read of its own.
    script.now(gives([OWN, 1]));
    assert_eq!(gate.check_now(&wallet(1).peer_id()), Verdict::Unknown);
    // By now it is listed, which the next read shows.
    sleep(Duration::from_secs(3)).await;
    assert!(!gate.author_listed(DB, &wallet(1)));
    settled().await;
    assert!(gate.author_listed(DB, &wallet(1)));
    assert_eq!(script.calls(), 3);
}
