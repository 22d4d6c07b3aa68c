use super::*;

/// Two peer ids, the smaller first.
fn pair() -> (PeerId, PeerId) {
    let (a, b) = (PeerId::random(), PeerId::random());
    if a.to_bytes() < b.to_bytes() { (a, b) } else { (b, a) }
}

fn view(ours: Option<bool>, answered: bool, stays: Option<usize>) -> View {
    let [stays, surplus] = [stays, Some(1)].map(|id| id.map(ConnectionId::new_unchecked));
    View { ours, answered, stays, surplus: surplus.into_iter().collect() }
}

fn good() -> View {
    view(Some(true), true, Some(2))
}

#[test]
fn the_smaller_side_closes_what_is_too_much_when_all_has_settled() {
    let (small, great) = pair();
    let (mut upgrades, now) = (Upgrades::new(small), Instant::now());
    upgrades.begin(great, now);
    assert!(upgrades.due(now + SETTLE / 2, |_, _| Some(good())).close.is_empty());
    assert_eq!(upgrades.due(now + SETTLE, |_, _| Some(good())).close.len(), 1);
    assert_eq!(upgrades.due(now + SETTLE * 2, |_, _| None).over, [great]);
    assert_eq!((upgrades.next(), upgrades.since(&great)), (None, None));
}

#[test]
fn the_greater_side_waits_until_the_other_one_should_have() {
    let (small, great) = pair();
    let (mut upgrades, now) = (Upgrades::new(great), Instant::now());
    upgrades.begin(small, now);
    assert!(upgrades.due(now + SETTLE, |_, _| Some(good())).close.is_empty());
    assert_eq!(upgrades.due(now + SETTLE + PATIENCE, |_, _| Some(good())).close.len(), 1);
}

#[test]
fn nothing_is_closed_before_the_direct_one_is_known_and_the_relayed_one_has_answered() {
    let (small, great) = pair();
    for unfit in [view(None, true, Some(2)), view(Some(true), false, Some(2)), view(Some(true), true, None)] {
        let (mut upgrades, now) = (Upgrades::new(small), Instant::now());
        upgrades.begin(great, now);
        let unfit = |_: &PeerId, _| Some(View { surplus: unfit.surplus.clone(), ..unfit });
        assert!(upgrades.due(now + SETTLE, unfit).close.is_empty());
        assert!(upgrades.next().is_some());
        assert_eq!(upgrades.due(now + SETTLE + AGAIN, |_, _| Some(good())).close.len(), 1);
    }
}

#[test]
fn a_peer_of_another_make_keeps_all() {
    let (small, great) = pair();
    let (mut upgrades, now) = (Upgrades::new(small), Instant::now());
    upgrades.begin(great, now);
    assert!(upgrades.due(now + SETTLE, |_, _| Some(view(Some(false), true, Some(2)))).close.is_empty());
    assert_eq!(upgrades.next(), None);
}
