//! How a node finds others.

pub(crate) mod bootstrap;
pub(crate) mod kad;
pub(crate) mod neighbours;
pub(crate) mod records;
pub(crate) mod rendezvous;
