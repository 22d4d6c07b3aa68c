//! Many threads ask while the list changes: each answer is that of a list in force between question and answer.

use std::{
    sync::atomic::AtomicU64,
    thread::{self, JoinHandle},
};

use super::*;

const THREADS: usize = 32;
const CHECKS: usize = 10_000;

const ALWAYS: u64 = 1;
const NEVER: u64 = 2;
const SOMETIMES: u64 = 3;

/// What is known of the third wallet: it grows by one before each change, and by one when the gate has reported it.
struct Phase(AtomicU64);

impl Phase {
    fn next(&self) {
        self.0.fetch_add(1, SeqCst);
    }

    /// Whether the wallet is listed; `None` while that changes.
    fn listed(now: u64) -> Option<bool> {
        [Some(false), None, Some(true), None][(now % 4) as usize]
    }
}

/// How often the third wallet had to be admitted and refused, and how long each question took.
#[derive(Default)]
struct Answers {
    admitted: usize,
    refused: usize,
    times: Vec<Duration>,
}

fn ask_all_the_time(gate: &Gate, phase: &Phase) -> Answers {
    let [always, never, sometimes] = [ALWAYS, NEVER, SOMETIMES].map(|n| wallet(n).peer_id());
    let mut answers = Answers::default();
    for _ in 0..CHECKS {
        let asked = Instant::now();
        let verdict = gate.check_now(&always);
        answers.times.push(asked.elapsed());
        assert_eq!(verdict, Verdict::Admit(wallet(ALWAYS)));
        assert_eq!(gate.check(&always, Direction::Inbound).now_or_never().unwrap(), Ok(wallet(ALWAYS)));
        assert_eq!(gate.check_now(&never), Verdict::Refuse(Refusal::NotListed));

        let before = phase.0.load(SeqCst);
        let verdict = gate.check_now(&sometimes);
        if phase.0.load(SeqCst) == before {
            match Phase::listed(before) {
                Some(true) => assert_eq!(verdict, Verdict::Admit(wallet(SOMETIMES))),
                Some(false) => assert_eq!(verdict, Verdict::Refuse(Refusal::NotListed)),
                None => {}
            }
            answers.admitted += usize::from(Phase::listed(before) == Some(true));
            answers.refused += usize::from(Phase::listed(before) == Some(false));
        }
    }
    answers
}

#[tokio::test]
async fn g14_no_answer_is_that_of_a_list_that_has_been_replaced() {
    let (gate, mut events) = gate(&Script::new([Read::Fails]));
    gate.attach(DB, "db", WalletSource::List(texts([OWN, ALWAYS]))).unwrap();
    while gate.wallets().is_empty() {
        settled().await;
    }
    let phase = Arc::new(Phase(AtomicU64::new(0)));
    let running: Vec<JoinHandle<Answers>> = (0..THREADS)
        .map(|_| {
            let (gate, phase) = (gate.clone(), Arc::clone(&phase));
            thread::spawn(move || ask_all_the_time(&gate, &phase))
        })
        .collect();

    let mut rounds = 0;
    while !running.iter().all(JoinHandle::is_finished) {
        phase.next();
        gate.set_wallets(DB, texts([OWN, ALWAYS, SOMETIMES]).into());
        while events.recv().await.unwrap() != GateEvent::Readmitted(vec![wallet(SOMETIMES)]) {}
        phase.next();
        settled().await;
        phase.next();
        gate.set_wallets(DB, texts([OWN, ALWAYS]).into());
        while events.recv().await.unwrap() != GateEvent::Revoked(vec![wallet(SOMETIMES)]) {}
        phase.next();
        settled().await;
        rounds += 1;
    }

    let answers: Vec<_> = running.into_iter().map(|thread| thread.join().unwrap()).collect();
    let admitted: usize = answers.iter().map(|answers| answers.admitted).sum();
    let refused: usize = answers.iter().map(|answers| answers.refused).sum();
    let mut times: Vec<_> = answers.into_iter().flat_map(|answers| answers.times).collect();
    times.sort_unstable();
    println!(
        "{rounds} changes and back, admitted {admitted}, refused {refused}; a check takes {:?}, p99 {:?}",
        times[times.len() / 2],
        times[times.len() * 99 / 100]
    );
    assert!(admitted > 0 && refused > 0, "neither may be missing");
    assert_eq!(gate.counters().admitted, (THREADS * CHECKS) as u64);
}
