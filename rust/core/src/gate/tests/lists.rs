//! How lists come into force and what follows from it.

use futures::future::join_all;

use super::*;
use crate::gate::testing::{bytes, text};

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
    assert_eq!(gate.revocations(), 1, "it is known of before it is received");
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
    gate.set_wallets(DB, vec![text(9)].into());
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
        gate.set_wallets(DB, vec![text(n)].into());
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
