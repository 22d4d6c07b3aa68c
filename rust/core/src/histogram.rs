//! Durations by size: a histogram without locks, written by the network and read whole.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Upper bounds of the buckets in microseconds; one more takes all that is longer.
const BOUNDS: [u64; 16] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

#[derive(Debug, Default)]
pub(crate) struct Histogram {
    counts: [AtomicU64; BOUNDS.len() + 1],
    sum_us: AtomicU64,
}

/// A histogram as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    counts: [u64; BOUNDS.len() + 1],
    sum_us: u64,
}

impl Histogram {
    pub(crate) fn observe(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.counts[BOUNDS.partition_point(|bound| *bound < us)].fetch_add(1, Relaxed);
        self.sum_us.fetch_add(us, Relaxed);
    }

    pub(crate) fn read(&self) -> Reading {
        Reading { counts: self.counts.each_ref().map(|count| count.load(Relaxed)), sum_us: self.sum_us.load(Relaxed) }
    }
}

#[expect(clippy::cast_precision_loss, reason = "samples are floats; exact up to 2^53 microseconds")]
impl Reading {
    /// Upper bounds in seconds, each with the number of all durations up to it; the last bound is infinite.
    pub(crate) fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = BOUNDS.iter().map(|us| *us as f64 / 1e6).chain([f64::INFINITY]);
        let mut up_to = 0;
        let sums = self.counts.iter().map(|count| {
            up_to += count;
            up_to
        });
        bounds.zip(sums).collect()
    }

    /// Seconds of all of them together.
    pub(crate) fn sum(&self) -> f64 {
        self.sum_us as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_its_bucket_and_all_above() {
        let histogram = Histogram::default();
        for us in [0, 100, 101, 60_000_000] {
            histogram.observe(Duration::from_micros(us));
        }
        let reading = histogram.read();
        let buckets = reading.buckets();
        assert_eq!(buckets[0], (0.0001, 2), "a bound belongs to its bucket");
        assert_eq!(buckets[1], (0.000_25, 3));
        assert_eq!(buckets[15], (10.0, 3));
        assert_eq!(buckets[16], (f64::INFINITY, 4));
        assert!((reading.sum() - 60.000_201).abs() < 1e-9);
    }
}
