//! Where in a message a value is, as Python would write it: `message.rooms[3].name`.

use std::fmt;

/// Paths of cycles are as deep as the limit; so many steps of each end are shown.
const SHOWN_STEPS: usize = 8;
/// Characters of a key: it can be as long as a message.
const SHOWN_KEY: usize = 40;

/// One step into a container.
pub(crate) enum Segment {
    Key(String),
    Index(usize),
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(f, "[{index}]"),
            Self::Key(key) if is_name(key) => write!(f, ".{key}"),
            Self::Key(key) if key.chars().nth(SHOWN_KEY).is_none() => write!(f, "[{key:?}]"),
            Self::Key(key) => write!(f, "[{:?}...]", key.chars().take(SHOWN_KEY).collect::<String>()),
        }
    }
}

fn is_name(key: &str) -> bool {
    let mut bytes = key.bytes();
    key.len() <= SHOWN_KEY
        && bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Begins at `message`; grows from the inside.
#[derive(Default)]
pub(crate) struct Path {
    innermost_first: Vec<Segment>,
}

impl Path {
    pub(crate) fn push_outer(&mut self, segment: Segment) {
        self.innermost_first.push(segment);
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("message")?;
        let steps = &self.innermost_first;
        let left_out = SHOWN_STEPS..steps.len().saturating_sub(SHOWN_STEPS);
        for (number, segment) in steps.iter().rev().enumerate() {
            if !left_out.contains(&number) {
                write!(f, "{segment}")?;
            } else if number == left_out.start {
                f.write_str("...")?;
            }
        }
        Ok(())
    }
}
