//! A log line that strangers can cause comes at most once a second, with the number of those that it stands for.

use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(crate) struct Limited {
    until: Option<Instant>,
    held: u64,
}

impl Limited {
    /// `Some`: write the line now; so many were held back since the last one.
    pub(crate) fn pass(&mut self, now: Instant) -> Option<u64> {
        if self.until.is_some_and(|until| now < until) {
            self.held += 1;
            return None;
        }
        self.until = Some(now + EVERY);
        Some(std::mem::take(&mut self.held))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second_stands_for_all_of_them() {
        let (mut limited, start) = (Limited::default(), Instant::now());
        assert_eq!(limited.pass(start), Some(0));
        assert_eq!(limited.pass(start), None);
        assert_eq!(limited.pass(start + EVERY / 2), None);
        assert_eq!(limited.pass(start + EVERY), Some(2));
        assert_eq!(limited.pass(start + 3 * EVERY), Some(0));
    }
}
