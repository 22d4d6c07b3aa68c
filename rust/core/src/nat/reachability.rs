//! What a node knows of itself.

/// Whether others can connect to us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reachability {
    /// Nobody has been able to say.
    #[default]
    Unknown,
    Public,
    Private,
}

impl Reachability {
    /// As events and metrics name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Public => "public",
            Self::Private => "private",
        }
    }
}
