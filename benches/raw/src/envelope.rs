//! The event as depinmesh writes it, of an exact size.

use std::{
    fmt::Write as _,
    time::{SystemTime, UNIX_EPOCH},
};

use libp2p::PeerId;
use uuid::Uuid;

use crate::Result;

pub(crate) struct Writer {
    peer: String,
    size: usize,
}

impl Writer {
    pub(crate) fn new(peer: PeerId, size: usize) -> Self {
        Self { peer: peer.to_string(), size }
    }

    /// The event number `n`, scheduled for `t` of the monotonic clock.
    pub(crate) fn write(&self, n: u64, t: u64) -> Result<Vec<u8>> {
        let mut text = String::with_capacity(self.size);
        let (id, peer) = (Uuid::new_v4(), &self.peer);
        write!(text, r#"{{"id":"{id}","from_peer":"{peer}","message":{{"t":{t},"n":{n},"pad":""#)?;
        let timestamp = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let end = format!(r#""}},"timestamp":{timestamp}}}"#);
        let least = text.len() + end.len();
        let pad = self.size.checked_sub(least).ok_or_else(|| format!("--size is below {least}"))?;
        text.extend(std::iter::repeat_n('x', pad));
        text.push_str(&end);
        Ok(text.into_bytes())
    }
}

/// The instant for which an event was scheduled.
pub(crate) fn scheduled(event: &[u8]) -> Option<u64> {
    serde_json::from_slice::<serde_json::Value>(event).ok()?["message"]["t"].as_u64()
}

#[cfg(test)]
mod tests {
    use libp2p::PeerId;

    use super::{Writer, scheduled};

    #[test]
    fn an_event_has_its_exact_size_and_its_instant() {
        for size in [200, 4096] {
            let event = Writer::new(PeerId::random(), size).write(7, 1_234_567_890).expect("an event");
            assert_eq!((event.len(), scheduled(&event)), (size, Some(1_234_567_890)));
        }
        assert!(Writer::new(PeerId::random(), 100).write(0, 0).is_err());
    }
}
