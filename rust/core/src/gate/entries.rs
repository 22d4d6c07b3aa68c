//! What a registry or the user's code lists, made into wallets.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    num::NonZero,
    panic::resume_unwind,
    sync::Arc,
    thread,
};

use super::wallets::WalletSet;
use crate::identity::{IdentityError, Wallet};

/// So many bad entries of one list are named in the log; the rest is a number.
const NAMED: usize = 10;

/// Base58 text of this length can be a wallet. Anything longer might be a secret key in the wrong place.
const WALLET_TEXT: usize = 44;

/// From so many entries on, threads gain more than they cost, and a list of so many new ones takes effect before the
/// curve check of its keys.
pub(super) const WORTH_THREADS: usize = 4096;

/// One entry of a list, unchecked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Entry {
    Text(String),
    Bytes(Vec<u8>),
}

impl Entry {
    /// The wallet, taken from `known` where it has been checked before: the check costs more than all the rest.
    /// With `later` the curve check of a key is left out, and `false` says so; not of those whose marks are given.
    fn wallet(&self, known: &WalletSet, later: Option<&HashSet<u64>>) -> Result<(Wallet, bool), IdentityError> {
        let mut key = [0; 32];
        let length = match self {
            Self::Text(text) => bs58::decode(text).onto(&mut key).unwrap_or_default(),
            Self::Bytes(bytes) => <[u8; 32]>::try_from(bytes.as_slice()).map_or(0, |bytes| {
                key = bytes;
                bytes.len()
            }),
        };
        if length == key.len() {
            if let Some(wallet) = known.get(&key) {
                return Ok((*wallet, true));
            }
            if later.is_some_and(|bad| bad.is_empty() || !bad.contains(&self.mark())) {
                return Ok((Wallet::before_curve_check(key)?, false));
            }
        }
        let wallet = match self {
            Self::Text(text) => Wallet::parse(text),
            Self::Bytes(bytes) => Wallet::from_bytes(bytes),
        };
        Ok((wallet?, true))
    }

    fn shown(&self) -> String {
        match self {
            Self::Text(text) if text.len() <= WALLET_TEXT => text.clone(),
            Self::Text(text) => {
                format!("{}.. ({} characters)", text.chars().take(8).collect::<String>(), text.chars().count())
            }
            Self::Bytes(bytes) if bytes.len() == 32 => bs58::encode(bytes).into_string(),
            Self::Bytes(bytes) => format!("{} bytes", bytes.len()),
        }
    }

    pub(super) fn mark(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

/// A list ready for use.
#[derive(Debug)]
pub(super) struct Parsed {
    /// The very list it was compared with, when it is the same.
    pub(super) wallets: Arc<WalletSet>,
    /// Marks of the entries that were dropped.
    pub(super) dropped: HashSet<u64>,
    /// How many of them the last list did not have.
    pub(super) news: u64,
    /// All entries, when the curve check of some is still to come.
    pub(super) unfinished: Option<Vec<Entry>>,
}

/// When keys that are not known are checked to be on the curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CurveCheck {
    Now,
    /// Later, when they are many.
    Later,
}

/// Checks a list of `database`, merges what is there twice and drops what is no wallet, with one warning for each
/// entry that the last list (`warned`) did not have. What that list had to drop is never left for later.
pub(super) fn parse(
    database: &str,
    entries: Vec<Entry>,
    known: &Arc<WalletSet>,
    warned: &HashSet<u64>,
    curve_check: CurveCheck,
) -> Parsed {
    let later = (curve_check == CurveCheck::Later && entries.len() >= WORTH_THREADS).then_some(warned);
    let mut results = checked(&entries, known, later);
    let left = results.iter().filter(|result| matches!(result, Ok((_, false)))).count();
    if left < WORTH_THREADS {
        for (entry, result) in entries.iter().zip(&mut results).filter(|(_, result)| matches!(result, Ok((_, false)))) {
            *result = entry.wallet(known, None);
        }
    }
    let mut wallets = WalletSet::with_capacity(entries.len());
    let mut dropped = HashSet::new();
    let mut fresh = 0;
    for (entry, result) in entries.iter().zip(results) {
        match result {
            Ok((wallet, _)) => {
                wallets.insert(wallet);
            }
            Err(error) => {
                let mark = entry.mark();
                if dropped.insert(mark) && !warned.contains(&mark) {
                    fresh += 1;
                    if fresh <= NAMED {
                        let public_key = entry.shown();
                        tracing::warn!(database, public_key, %error, "dropped an entry of the wallet list");
                    }
                }
            }
        }
    }
    if fresh > NAMED {
        tracing::warn!(database, count = fresh - NAMED, "dropped more entries of the wallet list");
    }
    let wallets = if wallets == **known { Arc::clone(known) } else { Arc::new(wallets) };
    let unfinished = (left >= WORTH_THREADS).then_some(entries);
    Parsed { wallets, dropped, news: fresh as u64, unfinished }
}

/// The check of each entry, in order: a long list on all cores, as a key costs some microseconds.
fn checked(
    entries: &[Entry],
    known: &WalletSet,
    later: Option<&HashSet<u64>>,
) -> Vec<Result<(Wallet, bool), IdentityError>> {
    let check = |part: &[Entry]| -> Vec<_> { part.iter().map(|entry| entry.wallet(known, later)).collect() };
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    if entries.len() < WORTH_THREADS || cores == 1 {
        return check(entries);
    }
    thread::scope(|scope| {
        // Where there are no more threads this one does it.
        let begin = |part| (part, thread::Builder::new().spawn_scoped(scope, move || check(part)));
        let parts: Vec<_> = entries.chunks(entries.len().div_ceil(cores)).map(begin).collect();
        let end = |(part, thread): (_, io::Result<thread::ScopedJoinHandle<'_, _>>)| match thread {
            Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Err(_) => check(part),
        };
        parts.into_iter().flat_map(end).collect()
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use tracing::Subscriber;
    use tracing_subscriber::{
        Layer,
        layer::{Context, SubscriberExt},
    };

    use super::*;
    use crate::gate::testing::{bytes, off_curve, text, wallet};

    fn list(entries: &[Entry]) -> Parsed {
        again(entries, &Arc::default(), &HashSet::new())
    }

    fn again(entries: &[Entry], known: &Arc<WalletSet>, warned: &HashSet<u64>) -> Parsed {
        parse("test", entries.to_vec(), known, warned, CurveCheck::Later)
    }

    #[test]
    fn text_and_bytes_name_the_same_wallet_once() {
        let parsed = list(&[text(1), bytes(1), text(2), text(1)]);
        assert_eq!(*parsed.wallets, [wallet(1), wallet(2)].into());
        assert!(parsed.dropped.is_empty());
    }

    #[test]
    fn what_is_no_wallet_is_dropped() {
        let identity_point = {
            let mut key = [0; 32];
            key[0] = 1;
            key
        };
        let bad = [
            Entry::Text(String::new()),
            Entry::Text("0OIl".into()),
            Entry::Text(format!("{} ", wallet(1))),
            Entry::Text("2".repeat(88)),
            Entry::Bytes(vec![]),
            Entry::Bytes(vec![7; 31]),
            Entry::Bytes(vec![7; 64]),
            Entry::Bytes(vec![0; 32]),
            Entry::Text("1".repeat(32)),
            Entry::Bytes(identity_point.to_vec()),
            off_curve(1),
        ];
        let parsed = list(&[&bad[..], &[text(5)]].concat());
        assert_eq!(*parsed.wallets, [wallet(5)].into());
        assert_eq!(parsed.dropped.len(), bad.len());
    }

    #[test]
    fn a_long_list_is_checked_in_parts_and_stays_in_order() {
        let entries: Vec<_> = (0..3 * WORTH_THREADS)
            .map(|n| if n % 3 == 0 { bytes(n as u64 % 50) } else { Entry::Bytes(vec![1; n % 31]) })
            .collect();
        let parallel = checked(&entries, &WalletSet::new(), None);
        let one_by_one: Vec<_> = entries.iter().map(|entry| entry.wallet(&WalletSet::new(), None)).collect();
        assert!(parallel == one_by_one);
    }

    #[test]
    fn an_unchanged_list_is_the_same_list() {
        let first = list(&[text(1), text(2)]);
        let second = again(&[bytes(2), text(1)], &first.wallets, &first.dropped);
        assert!(Arc::ptr_eq(&first.wallets, &second.wallets));
        let other = again(&[bytes(2)], &first.wallets, &first.dropped);
        assert_eq!(*other.wallets, [wallet(2)].into());
    }

    /// Counts the warnings of its thread.
    struct Warnings(Arc<AtomicUsize>);

    impl<S: Subscriber> Layer<S> for Warnings {
        fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
            assert_eq!(*event.metadata().level(), tracing::Level::WARN);
            self.0.fetch_add(1, SeqCst);
        }
    }

    #[test]
    fn a_bad_entry_is_warned_of_once() {
        let warnings = Arc::new(AtomicUsize::new(0));
        let bad: Vec<_> = (0..25).map(|n| Entry::Bytes(vec![n; 3])).collect();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(Warnings(Arc::clone(&warnings))), || {
            let first = list(&bad);
            // Ten by name, and how many more.
            assert_eq!(warnings.swap(0, SeqCst), NAMED + 1);
            let second = again(&[&bad[..], &[Entry::Text("new".into())]].concat(), &first.wallets, &first.dropped);
            assert_eq!(warnings.swap(0, SeqCst), 1);
            again(&bad, &second.wallets, &second.dropped);
            assert_eq!(warnings.swap(0, SeqCst), 0);
        });
    }

    #[test]
    fn a_long_entry_is_not_shown_whole() {
        let secret = Entry::Text("4".repeat(88));
        assert_eq!(secret.shown(), "44444444.. (88 characters)");
    }

    #[test]
    fn a_short_entry_is_not_mistaken_for_a_known_wallet() {
        // A decoder that stops early leaves zeroes behind: only a full key may be looked up.
        let parsed =
            again(&[Entry::Bytes(vec![]), Entry::Text("2".into())], &list(&[text(1)]).wallets, &HashSet::new());
        assert!(parsed.wallets.is_empty());
    }
}
