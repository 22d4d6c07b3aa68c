//! The one error that leaves the core: a kind for programs, a sentence for people, fields for both.
//!
//! Pure modules have small enums of their own (`identity::IdentityError`, `pubsub::envelope::Defect`);
//! they become an [`Error`] where they cross into the host language.

use std::fmt;

/// What went wrong, coarse and stable: one kind for each exception class of the host language.
///
/// Not `non_exhaustive` on purpose: the binding matches every kind, so that a kind without a class does not compile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    Config,
    Identity,
    Topic,
    Encode,
    MessageTooLarge,
    Listen,
    Registry,
    Dial,
    NotAuthorized,
    AlreadySubscribed,
    NotSubscribed,
    Backpressure,
    Closed,
    ForkedProcess,
    Timeout,
    Core,
}

/// A value that an error or an event carries beside its sentence.
#[derive(Clone, Debug, PartialEq)]
pub enum Field {
    Text(String),
    Int(i64),
    Texts(Vec<String>),
    None,
}

impl From<&str> for Field {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Field {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<usize> for Field {
    fn from(value: usize) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<u64> for Field {
    fn from(value: u64) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<Vec<String>> for Field {
    fn from(value: Vec<String>) -> Self {
        Self::Texts(value)
    }
}

/// An error on its way to the caller. `Clone`, because many may wait for the same cause.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    pub kind: ErrorKind,
    pub message: String,
    pub fields: Vec<(&'static str, Field)>,
}

impl Error {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), fields: Vec::new() }
    }

    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Field>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// The node is closed, or closing: every call but `close` ends with this.
    pub fn closed() -> Self {
        Self::new(ErrorKind::Closed, "the node is closed")
    }

    pub(crate) fn database_closed() -> Self {
        Self::new(ErrorKind::Closed, "the database is closed")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
