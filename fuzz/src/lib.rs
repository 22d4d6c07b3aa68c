//! One function for each thing that reads what others wrote. Each takes any bytes and panics when a promise is broken:
//! libFuzzer looks for such bytes, and a test gives them all that was found before.

mod address;
mod batch;
mod envelope;
mod key;
mod mailbox;
#[path = "../../rust/core/tests/support/mod.rs"]
mod support;
mod wallets;

pub use address::address;
pub use batch::batch;
pub use envelope::envelope;
pub use key::key;
pub use mailbox::mailbox;
pub use wallets::wallets;

/// What a target is: it panics, or it returns.
pub type Target = fn(&[u8]);

/// The targets by the names of their folders in `fuzz/corpus`.
pub const TARGETS: [(&str, Target); 6] = [
    ("address", address),
    ("batch", batch),
    ("envelope", envelope),
    ("key", key),
    ("mailbox", mailbox),
    ("wallets", wallets),
];
