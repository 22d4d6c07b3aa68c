//! Log records of the core and of libp2p, on their way to the host's logger.
//!
//! A bounded ring for the whole process: a slow logger loses records, counted, and never holds the network up. The level
//! is checked first, so that a record nobody wants costs one load. The host takes batches from a thread of its own.

use std::{
    cell::Cell,
    collections::VecDeque,
    fmt,
    sync::{
        Condvar, Mutex, MutexGuard, Once, PoisonError,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    subscriber::Interest,
};
use tracing_subscriber::{
    Layer, Registry,
    layer::{Context, SubscriberExt as _},
};

const CAPACITY: usize = 4_096;

/// Levels as Python's logging numbers them; 5 is trace.
const OFF: u8 = u8::MAX;

static LEVEL: AtomicU8 = AtomicU8::new(OFF);
static DROPPED: AtomicU64 = AtomicU64::new(0);
static RECORDS: Mutex<VecDeque<Record>> = Mutex::new(VecDeque::new());
static ARRIVED: Condvar = Condvar::new();
static INSTALL: Once = Once::new();

/// One record; `fields` are the structured values beside the message.
#[derive(Clone, Debug)]
pub struct Record {
    pub level: u8,
    pub target: String,
    pub message: String,
    pub fields: Vec<(String, String)>,
    pub time: SystemTime,
}

/// Records below this are not made: 5, 10, 20, 30, 40, anything above turns the log off.
pub fn set_level(level: u8) {
    LEVEL.store(if level > 40 { OFF } else { level }, Ordering::Relaxed);
    tracing::callsite::rebuild_interest_cache();
}

/// Up to `limit` records; waits up to `timeout` for the first.
pub fn take(limit: usize, timeout: Duration) -> Vec<Record> {
    let until = Instant::now() + timeout;
    let mut records = records();
    while records.is_empty() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Vec::new();
        }
        records = ARRIVED.wait_timeout(records, left).unwrap_or_else(PoisonError::into_inner).0;
    }
    let n = limit.min(records.len());
    records.drain(..n).collect()
}

/// Records that found the ring full, since the process started.
pub fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Makes this library's own `tracing` statics deliver here. They are not shared with any other extension module.
pub(crate) fn install() {
    INSTALL.call_once(|| {
        // Another subscriber is there only in Rust programs that set one themselves; then theirs gets the records.
        let _ = tracing::subscriber::set_global_default(Registry::default().with(Ring));
    });
}

fn records() -> MutexGuard<'static, VecDeque<Record>> {
    RECORDS.lock().unwrap_or_else(PoisonError::into_inner)
}

const fn number(level: Level) -> u8 {
    match level {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        Level::DEBUG => 10,
        Level::TRACE => 5,
    }
}

/// libp2p is talkative: what it calls a warning or information is a detail to an operator, and what it calls debug is a
/// dump of every message.
fn shown_as(metadata: &Metadata<'_>) -> u8 {
    let level = number(*metadata.level());
    if metadata.target().starts_with("depinmesh") { level } else { level.min(20) / 2 }
}

struct Ring;

impl<S: Subscriber> Layer<S> for Ring {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_invalid_message_report(metadata) {
            Interest::always()
        } else if metadata.is_span() || shown_as(metadata) < LEVEL.load(Ordering::Relaxed) {
            Interest::never()
        } else {
            Interest::sometimes()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        is_invalid_message_report(metadata)
            || (metadata.is_event() && shown_as(metadata) >= LEVEL.load(Ordering::Relaxed))
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        // The report of invalid messages is for debugging: it must come through whatever the host wants to see.
        Some(if LEVEL.load(Ordering::Relaxed) <= 5 { LevelFilter::TRACE } else { LevelFilter::DEBUG })
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if is_invalid_message_report(metadata) {
            INVALID.with(|count| count.set(count.get() + 1));
        }
        let level = shown_as(metadata);
        if level < LEVEL.load(Ordering::Relaxed) {
            return;
        }
        let mut text = Text::default();
        event.record(&mut text);
        let record = Record {
            level,
            target: metadata.target().to_owned(),
            message: text.message,
            fields: text.fields,
            time: SystemTime::now(),
        };
        let mut records = records();
        if records.len() >= CAPACITY {
            DROPPED.fetch_add(1, Ordering::Relaxed);
            return;
        }
        records.push_back(record);
        drop(records);
        ARRIVED.notify_one();
    }
}

#[derive(Default)]
struct Text {
    message: String,
    fields: Vec<(String, String)>,
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record(field, format!("{value:?}"));
    }
}

impl Text {
    fn record(&mut self, field: &Field, value: String) {
        if field.name() == "message" {
            self.message = value;
        } else {
            self.fields.push((field.name().to_owned(), value));
        }
    }
}

thread_local! {
    static INVALID: Cell<u64> = const { Cell::new(0) };
}

/// What the scores of gossip say once for each message with a wrong signature or a missing field, and in one place only.
///
/// GossipSub tells nobody else of them. It is said inside the poll of the swarm, so a count by thread, read around the
/// poll, belongs to the node that polls. `tests/` prove it on the pinned version.
fn is_invalid_message_report(metadata: &Metadata<'_>) -> bool {
    metadata.target() == "libp2p_gossipsub::peer_score"
        && *metadata.level() == Level::DEBUG
        && metadata.fields().len() == 2
        && metadata.fields().field("peer").is_some()
}

/// Invalid messages reported on this thread since the last call.
pub(crate) fn take_invalid_messages() -> u64 {
    INVALID.with(Cell::take)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn records_that_nobody_takes_in_time_are_counted_and_wait_for_nobody() {
        const RECORDS: u64 = 100_000;
        install();
        set_level(20);
        let before = dropped();
        let began = Instant::now();
        let slow = thread::spawn(|| {
            let mut taken = 0;
            for _ in 0..20 {
                taken += take(1, Duration::ZERO).len();
                thread::sleep(Duration::from_millis(5));
            }
            taken
        });
        for number in 0..RECORDS {
            tracing::info!(target: "depinmesh::logs", number, "one of many");
        }
        let took = began.elapsed();
        println!("{:.0} records/s", 1e5 / took.as_secs_f64());
        set_level(OFF);
        let taken = slow.join().expect("the slow taker ends") as u64;
        let mut left = 0;
        while let n @ 1.. = take(512, Duration::ZERO).len() {
            left += n as u64;
        }
        // Other tests may log too.
        assert!(taken + left + dropped() - before >= RECORDS);
        assert!(dropped() - before >= RECORDS - CAPACITY as u64 - taken);
        assert!(took < Duration::from_secs(10), "as long as the taker would need: {took:?}");
    }
}
