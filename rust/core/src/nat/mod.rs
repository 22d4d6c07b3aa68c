//! Nodes behind a NAT: whether others reach them, ports that a router maps, a relay to be reached through, and a direct
//! way out of it.

pub(crate) mod autonat;
pub(crate) mod dialback;
pub(crate) mod holepunch;
pub(crate) mod portmap;
pub mod reachability;
pub(crate) mod relay;
pub(crate) mod relay_server;
