use super::*;

const INTERVAL: Duration = Duration::from_secs(2);
/// As much as jitter shortens or lengthens it.
const LONGEST: Duration = Duration::from_millis(2_400);

fn machine(databases: &[&str]) -> (Rendezvous, Instant) {
    let (mut machine, now) = (Rendezvous::new(INTERVAL, 5, Jitter::seeded(9)), Instant::now());
    assert!(machine.sync(&names(databases), now).is_empty());
    (machine, now)
}

fn names(databases: &[&str]) -> Vec<String> {
    databases.iter().map(ToString::to_string).collect()
}

fn works(machine: &mut Rendezvous, now: Instant) -> Vec<Work> {
    machine.due(now).into_iter().map(|(work, _)| work).collect()
}

fn advertise() -> Work {
    Work::Advertise("a".into())
}

fn find() -> Work {
    Work::Find("a".into())
}

#[test]
fn the_key_is_the_multihash_that_a_go_node_uses() {
    for (database, multihash) in [
        ("depin-network", "1220c4356fa77ae0093c7444c37a9b6dd64559b0f304768d9ceaac9b612f8072a7bf"),
        ("test-network", "12200af654f81a11d66f065d758665daaf72bd9a574fa0159d0b3874e18d7dfdb0ed"),
        ("testdb", "122038574590889ec9f533373b8e0a23d0452f2a45f654e668b69d5debecf10c8dc2"),
    ] {
        let key = key(database);
        let text: Vec<_> = key.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(text.concat(), multihash, "{database}");
        assert_eq!(key.as_ref().len(), 34);
    }
}

#[test]
fn both_loops_begin_at_once_and_rounds_do_not_overlap() {
    let (mut machine, now) = machine(&["a"]);
    assert_eq!(works(&mut machine, now), [advertise(), find()]);
    assert!(works(&mut machine, now + Duration::from_secs(600)).is_empty(), "both are under way");
    assert_eq!(machine.next(), None);
    machine.ended(&find(), true, now);
    assert!(works(&mut machine, now).is_empty());
    assert_eq!(works(&mut machine, now + LONGEST), [find()]);
}

#[test]
fn an_advertisement_that_succeeded_twice_is_renewed_before_it_expires() {
    let (mut machine, mut now) = machine(&["a"]);
    let mut rounds = 0;
    for well in [false, true, false, true] {
        assert!(works(&mut machine, now).contains(&advertise()));
        machine.ended(&advertise(), well, now);
        rounds += 1;
        now += LONGEST;
    }
    assert_eq!(rounds, 4);
    assert!(!works(&mut machine, now + Duration::from_secs(3_600)).contains(&advertise()));
    let next = machine.places["a"].advertise.due.expect("nothing is under way");
    assert!(next - now < TTL);
}

#[test]
fn a_search_calms_down_after_two_rounds_without_anybody_new() {
    let (mut machine, mut now) = machine(&["a"]);
    for new in [true, false, true, false, false] {
        assert!(works(&mut machine, now).contains(&find()));
        if new {
            assert!(machine.takes(&find(), true));
        }
        machine.ended(&find(), true, now);
        now += LONGEST;
    }
    assert!(!works(&mut machine, now + Duration::from_secs(40)).contains(&find()));
    assert!(works(&mut machine, now + Duration::from_secs(72)).contains(&find()));
    machine.ended(&find(), true, now);
    let next = machine.places["a"].find.due.expect("nothing is under way");
    assert!(next - now >= Duration::from_secs(48), "and stays calm");
}

#[test]
fn a_database_without_a_peer_is_never_calm() {
    let (mut machine, mut now) = machine(&["a"]);
    for _ in 0..20 {
        assert!(works(&mut machine, now).contains(&find()));
        machine.ended(&find(), false, now);
        now += LONGEST;
    }
}

#[test]
fn a_lost_peer_brings_the_quick_pace_back() {
    let (mut machine, mut now) = machine(&["a"]);
    for _ in 0..2 {
        works(&mut machine, now);
        machine.ended(&advertise(), true, now);
        machine.ended(&find(), true, now);
        now += LONGEST;
    }
    assert!(works(&mut machine, now).is_empty());
    machine.hurry(now);
    assert!(works(&mut machine, now).is_empty(), "many losses at once are one round");
    for _ in 0..2 {
        now += LONGEST;
        assert_eq!(works(&mut machine, now), [advertise(), find()]);
        machine.hurry(now);
        assert_eq!(machine.next(), None, "what is under way goes on");
        machine.ended(&advertise(), true, now);
        machine.ended(&find(), true, now);
    }
}

#[test]
fn a_new_address_is_told_at_once() {
    let (mut machine, mut now) = machine(&["a"]);
    works(&mut machine, now);
    machine.moved(now);
    assert_eq!(machine.next(), None, "what is under way goes on");
    machine.ended(&advertise(), true, now);
    machine.ended(&find(), true, now);
    for _ in 0..2 {
        assert_eq!(works(&mut machine, now), [advertise()], "and is followed by another one");
        machine.ended(&advertise(), true, now);
        now += LONGEST;
        works(&mut machine, now);
        machine.ended(&advertise(), true, now);
        machine.ended(&find(), true, now);
        assert_eq!(works(&mut machine, now), [], "this is known by now");
        machine.moved(now);
    }
}

#[test]
fn a_round_takes_so_many_new_ones_and_no_more() {
    let (mut machine, now) = machine(&["a"]);
    assert!(!machine.takes(&find(), true), "no round is under way");
    works(&mut machine, now);
    assert_eq!((0..50).filter(|_| machine.takes(&find(), false)).count(), 5);
    assert_eq!((0..50).filter(|_| machine.takes(&find(), true)).count(), 5, "invented ones leave room for the listed");
    assert!(!machine.takes(&advertise(), true));
    machine.ended(&find(), true, now);
    works(&mut machine, now + LONGEST);
    assert!(machine.takes(&find(), true));
}

#[test]
fn databases_come_and_go_while_it_runs() {
    let (mut machine, now) = machine(&["a", "b"]);
    assert_eq!(works(&mut machine, now).len(), 4);
    assert_eq!(machine.sync(&names(&["b", "c"]), now), [key("a")]);
    machine.ended(&find(), true, now);
    assert!(!machine.takes(&find(), true), "its round means nothing any more");
    assert_eq!(works(&mut machine, now), [Work::Advertise("c".into()), Work::Find("c".into())]);
    assert!(machine.sync(&names(&["a", "b", "c"]), now).is_empty());
    assert_eq!(works(&mut machine, now), [advertise(), find()], "one that is back begins anew");
}
