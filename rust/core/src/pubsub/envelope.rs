//! The JSON event that GossipSub carries: `{"id":..,"from_peer":..,"message":..,"timestamp":..}`.
//!
//! Reading is as generous as the other implementations are (keys in any case and order, unknown keys, the last of
//! duplicate keys), and promises in return that the message of an [`Envelope`] can be read in the host language without
//! an error. Nothing here recurses, and the message is not copied: what a hostile peer sends costs one walk over it.

use std::{borrow::Cow, fmt, io::Write, ops::Range};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::json;

/// The years 1 to 9999 in Unix seconds: what a date of the host language can hold.
const TIMESTAMPS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// The author's own words about an event. The author itself is known from the signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    pub id: String,
    /// Where the JSON text of the message stands in the data; `None` when the key is absent, which means `null`.
    pub message: Option<Range<usize>>,
    /// Unix seconds.
    pub timestamp: i64,
}

/// Why data that a signed message carries is not an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Defect {
    Utf8,
    /// Not one JSON object with nothing but white space around it.
    Json,
    /// The message nests more than 128 deep.
    Depth,
    /// The message holds a number that is not finite, or has more than 4,300 digits.
    Number,
    /// The message holds half of a surrogate pair, which no text can hold.
    Surrogate,
    /// Absent, empty, or not text.
    Id,
    /// Names somebody else than the author, or is not text.
    FromPeer,
    /// Absent, not an integer, or outside of what a date can hold.
    Timestamp,
}

impl Defect {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Utf8 => "not-utf8",
            Self::Json => "not-json",
            Self::Depth => "too-deep",
            Self::Number => "bad-number",
            Self::Surrogate => "lone-surrogate",
            Self::Id => "bad-id",
            Self::FromPeer => "wrong-from-peer",
            Self::Timestamp => "bad-timestamp",
        }
    }
}

/// A new event id: UUID v4, lower case, with hyphens.
pub fn new_id() -> String {
    Uuid::new_v4().to_string()
}

/// Writes an event. `id` and `from_peer` stand in it as they are, so they must not need escapes: a UUID and a peer id do
/// not. `message_json` must be one JSON value.
pub fn encode(id: &str, from_peer: &str, message_json: &[u8], timestamp: i64) -> Vec<u8> {
    const KEYS_AND_TIMESTAMP: usize = 80;
    let mut data = Vec::with_capacity(KEYS_AND_TIMESTAMP + id.len() + from_peer.len() + message_json.len());
    data.extend_from_slice(b"{\"id\":\"");
    data.extend_from_slice(id.as_bytes());
    data.extend_from_slice(b"\",\"from_peer\":\"");
    data.extend_from_slice(from_peer.as_bytes());
    data.extend_from_slice(b"\",\"message\":");
    data.extend_from_slice(message_json);
    write!(data, ",\"timestamp\":{timestamp}}}").expect("a vector takes whatever is written");
    data
}

/// Reads an event that `author` (the text of a peer id) has signed.
pub fn decode(data: &[u8], author: &str) -> Result<Envelope, Defect> {
    let text = std::str::from_utf8(data).map_err(|_| Defect::Utf8)?;
    let parts: Parts<'_> = serde_json::from_str(text).map_err(|_| Defect::Json)?;

    let message = match parts.message {
        Some(message) => {
            json::check(message)?;
            let start = message.as_ptr().addr() - text.as_ptr().addr();
            Some(start..start + message.len())
        }
        None => None,
    };
    let id = parts.id.and_then(string).filter(|id| !id.is_empty()).ok_or(Defect::Id)?;
    if let Some(from_peer) = parts.from_peer {
        let from_peer = string(from_peer).ok_or(Defect::FromPeer)?;
        if !from_peer.is_empty() && from_peer != author {
            return Err(Defect::FromPeer);
        }
    }
    let timestamp = parts.timestamp.and_then(|text| text.parse().ok()).ok_or(Defect::Timestamp)?;
    if !TIMESTAMPS.contains(&timestamp) {
        return Err(Defect::Timestamp);
    }
    Ok(Envelope { id: id.into_owned(), message, timestamp })
}

/// The JSON texts of the four values.
#[derive(Default)]
struct Parts<'a> {
    id: Option<&'a str>,
    from_peer: Option<&'a str>,
    message: Option<&'a str>,
    timestamp: Option<&'a str>,
}

impl<'de> Deserialize<'de> for Parts<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Parts<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an event")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut parts = Parts::default();
                while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
                    parts.put(key.get(), value.get());
                }
                Ok(parts)
            }
        }

        deserializer.deserialize_map(Object)
    }
}

impl<'a> Parts<'a> {
    /// The last of duplicate keys wins, but, as in Go, a `null` says nothing where it is no value.
    fn put(&mut self, key: &str, value: &'a str) {
        let Some(key) = string(key) else { return };
        if folds_to(&key, "message") {
            self.message = Some(value);
            return;
        }
        let part = if folds_to(&key, "id") {
            &mut self.id
        } else if folds_to(&key, "from_peer") {
            &mut self.from_peer
        } else if folds_to(&key, "timestamp") {
            &mut self.timestamp
        } else {
            return;
        };
        if value != "null" {
            *part = Some(value);
        }
    }
}

/// Compares as Go does, by the simple case folding of Unicode. In that the long s is one more `s` (and the Kelvin sign
/// one more `k`, which no key of ours has).
fn folds_to(key: &str, name: &str) -> bool {
    let fold = |c: char| if c == 'ſ' { 's' } else { c.to_ascii_lowercase() };
    key == name || key.chars().map(fold).eq(name.chars())
}

/// The text of a JSON string; `None` when `json` is another value, or cannot be text because of a lone surrogate.
fn string(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { serde_json::from_str(json).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inner)) }
}

#[cfg(test)]
mod tests;
