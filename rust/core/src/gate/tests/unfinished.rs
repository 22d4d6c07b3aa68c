//! Long lists that take effect before the curve check of their keys.

use std::slice;

use super::*;
use crate::gate::{
    entries::{CurveCheck, Parsed, WORTH_THREADS, parse},
    jobs::{Ended, Job, Work},
    state::State,
    testing::{off_curve, text},
    wallets::Snapshot,
};

/// Our own wallet and strangers, and how many.
fn long() -> (Vec<Entry>, usize) {
    let strangers = (1..WORTH_THREADS + 10).map(|_| Entry::Bytes(wallet_of_nobody().as_bytes().to_vec()));
    let list: Vec<_> = [text(OWN)].into_iter().chain(strangers).collect();
    let length = list.len();
    (list, length)
}

fn key(entry: &Entry) -> [u8; 32] {
    let Entry::Bytes(bytes) = entry else { panic!("not bytes") };
    bytes.as_slice().try_into().unwrap()
}

#[tokio::test(start_paused = true)]
async fn keys_off_the_curve_go_a_moment_later_and_dangerous_ones_are_never_there() {
    let (good, length) = long();
    let second_form = Entry::Text(bs58::encode(key(&off_curve(0))).into_string());
    let small_order = Entry::Bytes(vec![0; 32]);
    let second_name = Entry::Bytes([&[0xee; 1][..], &[0xff; 30], &[0x7f]].concat());
    let dangerous = [key(&small_order), key(&second_name)];
    let bad = [off_curve(0), off_curve(1), second_form, small_order, second_name, Entry::Text("no wallet".into())];
    let (gate, mut events, script) = asked([Read::Gives([&good[..], &bad].concat())]).await;

    let first = GateEvent::Changed { database: DB, added: length + 2, removed: 0, total: length + 2 };
    let then = GateEvent::Changed { database: DB, added: 0, removed: 2, total: length };
    let seen_first = seen(&mut events);
    let [GateEvent::Readmitted(joined)] = &seen_first[1..2] else { panic!("{seen_first:?}") };
    assert!(joined.len() == length + 2 && !joined.iter().any(|wallet| dangerous.contains(wallet.as_bytes())));
    assert_eq!((&seen_first[0], &seen_first[2..]), (&first, &[then][..]));
    assert_eq!((gate.wallets().len(), gate.counters().entries_dropped), (length, bad.len() as u64));

    // Once more the same: nothing comes back for a moment, nothing is counted again, and the list is the same.
    let list = |gate: &Gate| Arc::clone(gate.shared.snapshot.load().listings[&DB].wallets.as_ref().unwrap());
    let before = list(&gate);
    gate.refresh().await.unwrap();
    settled().await;
    assert_eq!((seen(&mut events), gate.counters().entries_dropped), (vec![], bad.len() as u64));
    assert!(Arc::ptr_eq(&before, &list(&gate)));

    // Off the list, and on it again: that counts.
    script.now(Read::Gives(good.clone()));
    gate.refresh().await.unwrap();
    script.now(Read::Gives([&good[..], &bad[..1]].concat()));
    gate.refresh().await.unwrap();
    assert_eq!((gate.wallets().len(), gate.counters().entries_dropped), (length, bad.len() as u64 + 1));
    assert_eq!(seen(&mut events), []);
}

/// The state, and its jobs done when a test wants it.
struct ByHand {
    state: State,
    snapshot: Snapshot,
    now: Instant,
}

impl ByHand {
    /// With fixed lists in force, whose curve checks have not begun.
    fn new(lists: &[&[Entry]]) -> Self {
        let mut gate =
            Self { state: State::new((&config()).into(), wallet(OWN)), snapshot: Snapshot::default(), now: now() };
        for (database, list) in (1..).zip(lists) {
            let source = WalletSource::List(list.to_vec());
            gate.state.attach(database, &database.to_string(), source, gate.now).unwrap();
        }
        for job in gate.jobs() {
            gate.install(&job);
        }
        gate
    }

    fn jobs(&mut self) -> Vec<Job> {
        self.state.turn(self.now).jobs
    }

    fn push(&mut self, database: DatabaseId, list: &[Entry]) {
        self.state.push(database, list.to_vec().into());
        let jobs = self.jobs();
        self.install(&jobs[0]);
    }

    fn install(&mut self, job: &Job) {
        let pushed = Some((done(job, CurveCheck::Later), Duration::ZERO));
        self.state.ended(Ended::Checked { database: job.database, pushed }, self.now);
    }

    /// Ends a curve check, and says how many bad entries were news.
    fn finish(&mut self, job: &Job) -> u64 {
        let parsed = done(job, CurveCheck::Now);
        let news = parsed.news;
        self.state.ended(Ended::Finished { database: job.database, parsed: Some(parsed) }, self.now);
        news
    }

    /// How many wallets each database lists, and whether the union has the key.
    fn lists(&mut self, entry: &Entry) -> (Vec<usize>, bool) {
        self.snapshot = self.state.published().unwrap_or_else(|| self.snapshot.clone());
        let listings = self.snapshot.listings.values();
        let lengths = listings.clone().map(|listing| listing.wallets.as_ref().unwrap().len()).collect();
        let listed = listings.clone().any(|listing| listing.get(&key(entry)).is_some());
        (lengths, listed)
    }
}

fn done(job: &Job, curve_check: CurveCheck) -> Parsed {
    let (Work::Check(Listed { entries, .. }) | Work::Finish(entries)) = &job.work else { panic!("a read") };
    parse(&job.name, entries.clone(), &job.known, &job.warned, curve_check)
}

#[test]
fn a_list_that_was_replaced_meanwhile_is_left_alone() {
    let ((good, length), bad) = (long(), off_curve(0));
    let list = [&good[..], slice::from_ref(&bad)].concat();
    let mut gate = ByHand::new(&[&list]);
    let first = gate.jobs();
    // Long and unchecked as well: its own check comes when the other one has ended, and counts nothing twice.
    gate.push(1, &[&list[..], &[text(7)]].concat());
    assert!(gate.jobs().is_empty());
    assert_eq!((gate.finish(&first[0]), gate.lists(&bad)), (1, (vec![length + 2], true)));
    let second = gate.jobs();
    // Short, and checked whole.
    gate.push(1, &[text(OWN)]);
    assert_eq!((gate.finish(&second[0]), gate.lists(&bad)), (0, (vec![1], false)));
    assert!(gate.jobs().is_empty());
}

#[test]
fn what_is_found_while_the_next_list_is_read_is_no_news_then() {
    let ((good, length), bad) = (long(), off_curve(0));
    let list = [&good[..], slice::from_ref(&bad)].concat();
    let mut gate = ByHand::new(&[&list]);
    let first = gate.jobs();
    gate.state.push(1, [&list[..], &[text(7)]].concat().into());
    let next = gate.jobs();
    assert_eq!((gate.finish(&first[0]), gate.lists(&bad)), (1, (vec![length], false)));
    gate.install(&next[0]);
    let second = gate.jobs();
    assert_eq!((gate.finish(&second[0]), gate.lists(&bad)), (0, (vec![length + 1], false)));
}

#[test]
fn what_ends_after_its_database_or_the_gate_changes_nothing() {
    let ((good, length), bad) = (long(), off_curve(0));
    let list = [&good[..], slice::from_ref(&bad)].concat();
    let mut gate = ByHand::new(&[&list, &list]);
    let jobs = gate.jobs();
    gate.state.detach(1);
    gate.finish(&jobs[0]);
    assert_eq!(gate.lists(&bad), (vec![length + 1], true));
    gate.state.close();
    gate.finish(&jobs[1]);
    assert_eq!(gate.lists(&bad), (vec![length + 1], true));
}

#[test]
fn each_database_is_checked_by_itself() {
    let ((good, length), bad) = (long(), off_curve(0));
    let list = [&good[..], slice::from_ref(&bad)].concat();
    let mut gate = ByHand::new(&[&list, &list]);
    let jobs = gate.jobs();
    gate.finish(&jobs[0]);
    assert_eq!(gate.lists(&bad), (vec![length, length + 1], true));
    gate.finish(&jobs[1]);
    assert_eq!(gate.lists(&bad), (vec![length, length], false));
    // Nobody can hold that key: only its database has changed.
    let changed = |database| GateEvent::Changed { database, added: 0, removed: 1, total: length };
    assert_eq!(gate.state.turn(gate.now).events, [changed(1), changed(2)]);
}

#[tokio::test(start_paused = true)]
async fn a_held_list_is_confirmed_by_an_equal_read_though_it_lost_bad_keys_meanwhile() {
    let ((good, _), (others, length)) = (long(), long());
    let (gate, _events, script) = asked([Read::Gives(good)]).await;
    script.now(Read::Gives([&others[..], &[off_curve(0)]].concat()));
    gate.refresh().await.unwrap();
    assert!(gate.check_now(&wallet_in(&others).peer_id()) == Verdict::Unknown);
    sleep(Duration::from_millis(2100)).await;
    assert!(gate.check_now(&wallet_in(&others).peer_id()) == Verdict::Admit(wallet_in(&others)));
    assert_eq!((gate.wallets().len(), gate.counters().entries_dropped), (length, 1));
}

fn wallet_in(list: &[Entry]) -> Wallet {
    Wallet::from_bytes(&key(&list[1])).unwrap()
}
