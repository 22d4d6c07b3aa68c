//! The defences that a build can lack, so that the tests of each can be seen to fail without it (`make test-defences`).

/// The gate in the transport (`gate/upgrade.rs`).
pub(crate) const GATE_UPGRADE: bool = !cfg!(feature = "without-gate-upgrade");
/// The first behaviour of the swarm (`swarm/guard.rs`), its limits apart.
pub(crate) const GUARD: bool = !cfg!(feature = "without-guard");
/// The author of an event is on the list of its database (`pubsub/receive.rs`).
pub(crate) const AUTHOR_CHECK: bool = !cfg!(feature = "without-author-check");
/// Keys that anybody can sign for, or that have a second name, are no wallets (`identity.rs`).
pub(crate) const WEAK_KEY_CHECK: bool = !cfg!(feature = "without-weak-key-check");
/// What one address may hold (`swarm/guard.rs`).
pub(crate) const LIMITS: bool = !cfg!(feature = "without-limits");
/// Gossip takes only what its author has signed (`swarm/gossip.rs`).
pub(crate) const STRICT_SIGNING: bool = !cfg!(feature = "without-strict-signing");

/// The names of those that this build lacks: none, wherever it is not a test that has made it.
pub(crate) fn missing() -> Vec<&'static str> {
    let all = [
        (GATE_UPGRADE, "gate-upgrade"),
        (GUARD, "guard"),
        (AUTHOR_CHECK, "author-check"),
        (WEAK_KEY_CHECK, "weak-key-check"),
        (LIMITS, "limits"),
        (STRICT_SIGNING, "strict-signing"),
    ];
    all.into_iter().filter_map(|(there, name)| (!there).then_some(name)).collect()
}
