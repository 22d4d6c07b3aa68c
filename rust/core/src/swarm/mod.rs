//! The network: how connections are made, who may hold one, and the one task that drives all of it.

mod admission;
mod after_identify;
pub(crate) mod behaviour;
mod closing;
pub(crate) mod commands;
pub(crate) mod dial;
mod dialling;
mod discovering;
mod door;
mod duplicates;
mod events;
pub(crate) mod guard;
pub(crate) mod jitter;
mod listen;
mod merge;
mod ops;
mod peers;
mod publishing;
mod rounds;
mod security;
mod single;
pub(crate) mod task;
mod transport;
mod trimming;
pub(crate) mod views;
mod warmup;
mod watch;
