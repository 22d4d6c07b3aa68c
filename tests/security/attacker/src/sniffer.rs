//! Reads from the plain bytes of a stream which protocol the remote agreed to (multistream-select).

const HEADER: &[u8] = b"/multistream/1.0.0\n";
const REFUSED: &[u8] = b"na\n";
/// Longer than any protocol name; who sends more without naming a protocol does not speak multistream.
const LIMIT: usize = 512;

/// Watches one direction of one stream until its first protocol name.
#[derive(Default)]
pub(crate) struct Sniffer {
    seen: Vec<u8>,
    done: bool,
}

impl Sniffer {
    /// The name of the protocol, once: when these bytes complete it.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Option<String> {
        if self.done {
            return None;
        }
        let room = LIMIT - self.seen.len();
        self.seen.extend_from_slice(&bytes[..bytes.len().min(room)]);
        let found = agreed(&self.seen);
        self.done = found.is_some() || self.seen.len() == LIMIT;
        if self.done {
            self.seen = Vec::new();
        }
        found
    }
}

fn agreed(mut rest: &[u8]) -> Option<String> {
    loop {
        let (line, after) = cut(rest)?;
        if line != HEADER && line != REFUSED {
            return Some(String::from_utf8_lossy(line).trim_end().to_owned());
        }
        rest = after;
    }
}

/// The first length-prefixed line and what follows it, `None` while it is incomplete.
fn cut(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, start) = match *bytes {
        [low, ..] if low < 0x80 => (usize::from(low), 1),
        [low, high, ..] => (usize::from(low & 0x7f) | usize::from(high & 0x7f) << 7, 2),
        _ => return None,
    };
    let rest = &bytes[start..];
    (rest.len() >= length).then(|| rest.split_at(length))
}

#[cfg(test)]
mod tests {
    use super::Sniffer;

    const ANSWER: &[u8] = b"\x13/multistream/1.0.0\n\x11/ipfs/ping/1.0.0\n0123";

    #[test]
    fn finds_the_protocol_however_the_bytes_are_cut() {
        for at in 1..ANSWER.len() {
            let mut sniffer = Sniffer::default();
            let (first, second) = ANSWER.split_at(at);
            let found: Vec<String> = [first, second].into_iter().filter_map(|part| sniffer.feed(part)).collect();
            assert_eq!(found, ["/ipfs/ping/1.0.0"], "cut at {at}");
        }
    }

    #[test]
    fn a_refusal_is_no_protocol() {
        assert_eq!(Sniffer::default().feed(b"\x13/multistream/1.0.0\n\x03na\n"), None);
    }
}
