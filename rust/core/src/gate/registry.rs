//! Where lists come from.

use std::time::Duration;

use futures::future::BoxFuture;

use super::Entry;

/// Names one attachment of a database: never used a second time.
pub type DatabaseId = u32;

/// Where a database's wallets come from.
#[derive(Clone, Debug)]
pub enum WalletSource {
    /// A fixed list, replaced by `set_wallets`.
    List(Vec<Entry>),
    /// The registry.
    Asked,
}

/// The way to the user's registry functions.
pub trait Registry: Send + Sync {
    /// Reads the list of `database`. The future must end within `timeout`, with an error if need be: no second read of
    /// the same database starts before.
    fn wallets(&self, database: DatabaseId, timeout: Duration) -> BoxFuture<'static, Result<Vec<Entry>, String>>;
}
