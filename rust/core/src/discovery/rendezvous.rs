//! When the nodes of a database look for each other (docs/wire.md section 8). Pure: the caller brings the time.
//!
//! Each database has two loops. One advertises this node under the database's key, quickly until that has succeeded
//! twice, then as often as records need to be renewed. The other looks for those who advertise, quickly until two rounds
//! have brought nobody new, then now and then. A lost peer, or a database without one, brings both back to the quick pace;
//! an address gained or lost is told at once.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use libp2p::kad::{KBucketKey, RecordKey};

use crate::jitter::Jitter;

/// Records live this long on the nodes that keep them.
pub(crate) const TTL: Duration = Duration::from_secs(3 * 60 * 60);
const RENEW: Duration = Duration::from_secs(3 * 60 * 60 * 7 / 8);
const CALM: Duration = Duration::from_secs(60);
const ENOUGH: u32 = 2;

/// One round of one loop of a database.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Work {
    Advertise(Arc<str>),
    Find(Arc<str>),
}

struct Loop {
    /// `None`: a round is under way.
    due: Option<Instant>,
    /// Rounds in a row after which nothing is left to do.
    calm: u32,
}

#[derive(Default)]
struct New {
    listed: usize,
    /// Whoever lies about who is there invents these: they must not take the places of the listed ones.
    unknown: usize,
}

struct Place {
    key: RecordKey,
    advertise: Loop,
    find: Loop,
    /// Brought by the round that is under way.
    new: New,
    /// What the advertisement that is under way says is out of date.
    stale: bool,
}

pub(crate) struct Rendezvous {
    interval: Duration,
    max_new: usize,
    jitter: Jitter,
    places: BTreeMap<Arc<str>, Place>,
}

/// The multihash of the namespace of a database: what a Go node puts into its content id.
pub(crate) fn key(database: &str) -> RecordKey {
    let namespace = format!("p2p-database-discovery_{database}");
    let mut multihash = vec![0x12, 0x20];
    multihash.extend_from_slice(KBucketKey::new(namespace.into_bytes()).hashed_bytes());
    RecordKey::from(multihash)
}

impl Rendezvous {
    pub(crate) const fn new(interval: Duration, max_new: usize, jitter: Jitter) -> Self {
        Self { interval, max_new, jitter, places: BTreeMap::new() }
    }

    /// These databases are attached now. Returns the keys of those that no longer are.
    pub(crate) fn sync(&mut self, databases: &[String], now: Instant) -> Vec<RecordKey> {
        for name in databases {
            self.places.entry(Arc::from(name.as_str())).or_insert_with(|| Place {
                key: key(name),
                advertise: Loop { due: Some(now), calm: 0 },
                find: Loop { due: Some(now), calm: 0 },
                new: New::default(),
                stale: false,
            });
        }
        let mut gone = Vec::new();
        self.places.retain(|name, place| {
            let stays = databases.iter().any(|other| **other == **name);
            if !stays {
                gone.push(place.key.clone());
            }
            stays
        });
        gone
    }

    /// The rounds whose time has come. Each is under way until [`Rendezvous::ended`].
    pub(crate) fn due(&mut self, now: Instant) -> Vec<(Work, RecordKey)> {
        let mut due = Vec::new();
        for (name, place) in &mut self.places {
            if place.advertise.due.take_if(|at| *at <= now).is_some() {
                due.push((Work::Advertise(Arc::clone(name)), place.key.clone()));
            }
            if place.find.due.take_if(|at| *at <= now).is_some() {
                place.new = New::default();
                due.push((Work::Find(Arc::clone(name)), place.key.clone()));
            }
        }
        due
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.places.values().flat_map(|place| [place.advertise.due, place.find.due]).flatten().min()
    }

    /// May this round dial somebody new? To be asked for each, as it counts: as many that are listed as of whom the gate
    /// has to ask first.
    pub(crate) fn takes(&mut self, work: &Work, listed: bool) -> bool {
        let Work::Find(name) = work else { return false };
        let Some(place) = self.places.get_mut(name) else { return false };
        let new = if listed { &mut place.new.listed } else { &mut place.new.unknown };
        let takes = place.find.due.is_none() && *new < self.max_new;
        *new += usize::from(takes);
        takes
    }

    /// `well`: the advertisement has reached somebody; or, for a search, the database has a peer.
    pub(crate) fn ended(&mut self, work: &Work, well: bool, now: Instant) {
        let (Work::Advertise(name) | Work::Find(name)) = work;
        let Some(place) = self.places.get_mut(name) else { return };
        let mut quick = self.jitter.around(self.interval);
        let (pace, slow) = match work {
            Work::Advertise(_) if std::mem::take(&mut place.stale) => {
                quick = Duration::ZERO;
                (&mut place.advertise, RENEW)
            }
            Work::Advertise(_) => {
                place.advertise.calm += u32::from(well);
                (&mut place.advertise, RENEW)
            }
            Work::Find(_) => {
                let nobody = place.new.listed + place.new.unknown == 0;
                place.find.calm = if well && nobody { place.find.calm + 1 } else { 0 };
                (&mut place.find, self.jitter.around(CALM))
            }
        };
        pace.due = Some(now + if pace.calm < ENOUGH { quick } else { slow });
    }

    /// This node has other addresses now: whoever finds the record of before would dial in vain.
    pub(crate) fn moved(&mut self, now: Instant) {
        for place in self.places.values_mut() {
            place.stale = place.advertise.due.is_none();
            place.advertise.calm = 0;
            place.advertise.due = place.advertise.due.map(|at| at.min(now));
        }
    }

    /// A peer is lost: look for others.
    pub(crate) fn hurry(&mut self, now: Instant) {
        let soon = now + self.jitter.around(self.interval);
        for place in self.places.values_mut() {
            for pace in [&mut place.advertise, &mut place.find] {
                pace.calm = 0;
                pace.due = pace.due.map(|at| at.min(soon));
            }
        }
    }
}

#[cfg(test)]
mod tests;
