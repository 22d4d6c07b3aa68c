//! Nodes behind a NAT: a relay to be reached through, and a direct way out of it.

pub(crate) mod holepunch;
pub(crate) mod relay;
