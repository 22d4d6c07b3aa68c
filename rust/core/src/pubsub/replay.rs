//! Signed messages that somebody sends once more, long after the network has forgotten them.
//!
//! Every message carries a sequence number under its author's signature. An author of Go or Rust takes its clock in
//! nanoseconds when it starts, and counts up by one for each message, over all of its topics. So the numbers of a process
//! stand close together, those of its next run far above them, and a node hears them with gaps and a little out of order.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use crate::identity::Wallet;

/// How late a message may come. What is lower than the author was so long ago is not delivered any more.
const REACH: Duration = Duration::from_secs(600);

/// Runs of numbers without a gap that are kept for an author. One more for a moment makes 64 KiB, and no more is taken.
const MAX_RUNS: usize = 4_095;

/// Former processes of an author that are kept apart, below the one that is heard and above it, when its runs are full.
const FORMER: usize = 256;

/// Authors of whom something is kept after they have left the list: they may come back, and what they signed before with
/// them. With [`FORMER`] runs each that is 4 MiB.
const LEFT: usize = 1_024;

/// 2020-01-01 in nanoseconds. Lower numbers were not read from a clock.
const EARLIEST: u64 = 1_577_836_800_000_000_000;

/// 2043-01-26 in nanoseconds. Seven in eight random numbers are above, so whoever draws them is soon known for it.
const RANDOM: u64 = 1 << 61;

/// How far an author's clock may be ahead of ours.
const AHEAD: Duration = Duration::from_secs(24 * 3600);

/// A counter does not run so many numbers ahead within [`REACH`]: what lies so far behind was read from another clock, or
/// by another process.
const CLOCK_STEP: Duration = Duration::from_secs(1);

/// What is to be done with a message, by its sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// New: deliver it. The number counts as seen now.
    Fresh,
    /// The number does not read as a clock, as with authors that draw random numbers: nothing is known. Deliver it.
    Untracked,
    /// Seen before, or so late that it cannot be told from that: drop it.
    Replayed,
    /// Drop it: by this time behind where the author was [`REACH`] ago. An old message that we never heard; or an author
    /// that was started anew after its clock had been set back, or on a second host. Such an author is not heard until
    /// its clock has caught up, or until [`ReplayWindow::reset`], so somebody should look at it.
    Behind { by: Duration },
}

/// The sequence numbers seen, for each author. Does not know which authors are listed: see [`ReplayWindow::leave`].
#[derive(Default)]
pub struct ReplayWindow {
    authors: HashMap<Wallet, Author>,
    /// Those who left, the first one first, each with how many had left by then. Some may be back.
    left: VecDeque<(Wallet, u64)>,
    departures: u64,
}

impl ReplayWindow {
    /// Judges a message whose signature was found good. `unix_ns` is our own clock now.
    pub fn check(&mut self, author: &Wallet, number: u64, unix_ns: u64, now: Instant) -> Verdict {
        let latest = unix_ns.saturating_add(nanoseconds(AHEAD));
        if !(EARLIEST..=latest).contains(&number) {
            if number >= RANDOM {
                self.authors.entry(*author).or_default().draws();
            }
            return Verdict::Untracked;
        }
        self.authors.entry(*author).or_default().check(number, now)
    }

    /// The author is listed again.
    pub fn come_back(&mut self, author: &Wallet) {
        if let Some(author) = self.authors.get_mut(author) {
            author.left = None;
        }
    }

    /// The author has made a fresh connection to us, so it may have been started anew with another clock: numbers below
    /// the ones it had reached are believed again. Those that were seen stay seen.
    pub fn reset(&mut self, author: &Wallet) {
        if let Some(author) = self.authors.get_mut(author) {
            author.progress = None;
            author.drawn = None;
        }
    }

    /// The author is not listed any more. What was seen of it stays seen, in short, until many have left after it.
    pub fn leave(&mut self, author: &Wallet) {
        let Some(known) = self.authors.get_mut(author) else { return };
        known.shorten();
        self.departures += 1;
        known.left = Some(self.departures);
        self.left.push_back((*author, self.departures));
        while self.left.len() > LEFT
            && let Some((first, departure)) = self.left.pop_front()
        {
            if self.authors.get(&first).is_some_and(|author| author.left == Some(departure)) {
                self.authors.remove(&first);
            }
        }
    }
}

#[derive(Default)]
struct Author {
    /// Ascending, with gaps between them.
    runs: VecDeque<Run>,
    progress: Option<Progress>,
    /// It draws its numbers: one in eighty reads as a clock, and says nothing either. This is the last one of those.
    drawn: Option<u64>,
    /// Which departure from the list was its own, if it has not come back.
    left: Option<u64>,
}

/// The numbers from `first` to `last`, both included.
struct Run {
    first: u64,
    last: u64,
}

/// Where an author was when: three numbers stand for the history of the last ten to twenty minutes.
struct Progress {
    highest: u64,
    /// The highest number when the checkpoint was taken.
    checkpoint: u64,
    checkpoint_at: Instant,
    /// The highest number at the checkpoint before, at least [`REACH`] ago.
    floor: u64,
}

impl Author {
    /// A number came that no clock shows. An author that was heard counting had once drawn it: somebody may have kept it.
    fn draws(&mut self) {
        if self.drawn.is_none() && self.runs.iter().all(|run| run.first == run.last) {
            self.drawn = Some(0);
        }
    }

    fn check(&mut self, number: u64, now: Instant) -> Verdict {
        if let Some(last) = self.drawn
            && number != last.wrapping_add(1)
        {
            self.drawn = Some(number);
            return Verdict::Untracked;
        }
        self.drawn = None; // who counts does not draw
        let floor = self.progress.as_mut().map_or(0, |progress| progress.floor(now));
        // Before the floor, so that a replay does not read as a clock that was set back.
        let next = self.runs.partition_point(|run| run.first <= number);
        if next > 0 && number <= self.runs[next - 1].last {
            return Verdict::Replayed;
        }
        if number <= floor {
            let by = Duration::from_nanos(floor - number);
            return if by < CLOCK_STEP { Verdict::Replayed } else { Verdict::Behind { by } };
        }
        let progress =
            self.progress.get_or_insert(Progress { highest: number, checkpoint: number, checkpoint_at: now, floor: 0 });
        progress.highest = progress.highest.max(number);
        let highest = progress.highest;
        self.insert(number, next);
        if self.runs.len() > MAX_RUNS {
            self.close_a_gap(highest);
        }
        Verdict::Fresh
    }

    /// Keeps no more than [`FORMER`] runs.
    fn shorten(&mut self) {
        let highest = match (&self.progress, self.runs.back()) {
            (Some(progress), _) => progress.highest,
            (None, Some(run)) => run.last,
            (None, None) => return,
        };
        while self.runs.len() > FORMER {
            self.close_a_gap(highest);
        }
        self.runs.shrink_to_fit();
    }

    /// `next` is the first run above the number.
    fn insert(&mut self, number: u64, next: usize) {
        let extends = next > 0 && self.runs[next - 1].last + 1 == number;
        let precedes = self.runs.get(next).is_some_and(|run| number + 1 == run.first);
        match (extends, precedes) {
            (true, true) => {
                self.runs[next - 1].last = self.runs[next].last;
                self.runs.remove(next);
            }
            (true, false) => self.runs[next - 1].last = number,
            (false, true) => self.runs[next].first = number,
            (false, false) => self.runs.insert(next, Run { first: number, last: number }),
        }
    }

    /// A message that was missing there will count as seen, but none comes twice. It is the gap that is furthest from what
    /// is heard now: there messages are under way.
    fn close_a_gap(&mut self, highest: u64) {
        let gaps = 0..self.runs.len() - 1;
        let (low, high) = (self.first_to_close(gaps.clone()), self.first_to_close(gaps.rev()));
        let distance = |gap: usize| highest.abs_diff(self.runs[gap].last);
        let gap = if distance(low) >= distance(high) { low } else { high };
        if let Some(upper) = self.runs.remove(gap + 1) {
            self.runs[gap].last = upper.last;
        }
    }

    /// The first gap within a process. Between two of them the author may start anew, when its clock is set back: only
    /// where too many come first they are joined, at the narrowest gap. A gap has the number of the run below it.
    fn first_to_close(&self, gaps: impl Iterator<Item = usize>) -> usize {
        let mut narrowest = (u64::MAX, 0);
        for gap in gaps.take(FORMER) {
            let width = self.runs[gap + 1].first - self.runs[gap].last;
            if width < nanoseconds(CLOCK_STEP) {
                return gap;
            }
            narrowest = narrowest.min((width, gap));
        }
        narrowest.1
    }
}

impl Progress {
    /// The number that the author had reached [`REACH`] ago, or 0 while that is not known.
    fn floor(&mut self, now: Instant) -> u64 {
        let age = now.saturating_duration_since(self.checkpoint_at);
        if age >= REACH {
            // Every message comes by here. When none did for another REACH, the highest number has stood for that long.
            self.floor = if age < 2 * REACH { self.checkpoint } else { self.highest };
            self.checkpoint = self.highest;
            self.checkpoint_at = now;
        }
        self.floor
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
