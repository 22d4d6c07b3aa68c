//! Time and processor of a stretch of messages.

use std::time::Instant;

use serde_json::{Map, Value, json};

use crate::os;

#[derive(Clone, Copy)]
pub(crate) struct Usage {
    at: Instant,
    user_us: i64,
    system_us: i64,
    waits: i64,
    max_rss_kib: i64,
}

impl Usage {
    pub(crate) fn now() -> Self {
        let used = os::resources();
        let micros = |time: libc::timeval| time.tv_sec * 1_000_000 + time.tv_usec;
        Self {
            at: Instant::now(),
            user_us: micros(used.ru_utime),
            system_us: micros(used.ru_stime),
            waits: used.ru_nvcsw,
            max_rss_kib: used.ru_maxrss,
        }
    }

    /// Adds to a line of output what was used from `before` until now for `events` messages.
    pub(crate) fn write_since(&self, before: &Self, events: u64, line: &mut Map<String, Value>) {
        let seconds = (self.at - before.at).as_secs_f64();
        let (user, system) = (self.user_us - before.user_us, self.system_us - before.system_us);
        let each = |total: i64| round(total as f64 / events.max(1) as f64);
        for (name, value) in [
            ("seconds", json!(round(seconds))),
            ("events_per_second", json!((events as f64 / seconds).round())),
            ("cpu_us_per_event", json!(each(user + system))),
            ("user_us", json!(user)),
            ("system_us", json!(system)),
            ("waits_per_event", json!(each(self.waits - before.waits))),
            ("max_rss_kib", json!(self.max_rss_kib)),
        ] {
            line.insert(name.to_owned(), value);
        }
    }
}

fn round(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}
