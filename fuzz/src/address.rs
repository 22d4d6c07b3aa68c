//! Addresses of bootstrap nodes, as registries and configurations give them.

use std::sync::Arc;

use depinmesh_core::{identity::SecretKey, node::Node};
use depinmesh_mailbox::Wake;

use crate::support::config;

struct Nobody;

impl Wake for Nobody {
    fn wake(&self) {}
}

/// A line is a node, its parts between blanks are its addresses.
pub fn address(data: &[u8]) {
    thread_local! {
        static NODE: Arc<Node> = Node::new(SecretKey::from_seed(&[1; 32]), config(true, false), Arc::new(Nobody));
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    let nodes: Vec<Vec<String>> = text.lines().map(|line| line.split(' ').map(str::to_owned).collect()).collect();
    NODE.with(|node| match node.answer_bootstrap(1, &nodes) {
        Ok(waited_for) => assert!(!waited_for, "nobody has asked"),
        Err(error) => {
            assert!(!error.message.is_empty());
            // One that is wrong by itself is wrong among others.
            assert!(nodes.into_iter().any(|alone| node.answer_bootstrap(1, &[alone]).is_err()));
        }
    });
}
