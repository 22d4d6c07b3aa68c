//! Between the network and the host language: questions to it, and what wakes it.

pub(crate) mod requests;
pub mod waker;
