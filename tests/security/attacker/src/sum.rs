//! What several attempts came to.

use serde_json::{Map, Value};

use crate::{
    attempt::{Attempt, End},
    observe::Counted,
};

#[derive(Default)]
pub(crate) struct Sum {
    attempts: u64,
    connected: u64,
    identified: u64,
    open: u64,
    closed: u64,
    failed: u64,
    events_received: u64,
    events_sent: u64,
    counted: Counted,
}

impl Sum {
    pub(crate) fn add(&mut self, attempt: &Attempt) {
        self.attempts += 1;
        self.connected += u64::from(attempt.connected);
        self.identified += u64::from(attempt.identified);
        match attempt.end {
            End::Open => self.open += 1,
            End::Closed => self.closed += 1,
            End::Failed => self.failed += 1,
        }
        self.events_received += attempt.events_received;
        self.events_sent += attempt.events_sent;
        self.counted.add(&attempt.counted);
    }

    pub(crate) fn line(&self, event: &str) -> Map<String, Value> {
        let mut line = Map::new();
        line.insert("event".to_owned(), event.into());
        for (name, value) in [
            ("times", self.attempts),
            ("connected", self.connected),
            ("identified", self.identified),
            ("open", self.open),
            ("closed", self.closed),
            ("failed", self.failed),
            ("events_received", self.events_received),
            ("events_sent", self.events_sent),
        ] {
            line.insert(name.to_owned(), value.into());
        }
        self.counted.write(&mut line);
        line
    }
}
