//! How a node finds others.

pub(crate) mod bootstrap;
