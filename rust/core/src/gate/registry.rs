//! Where lists come from.

use std::time::Duration;

use futures::future::BoxFuture;

use super::Entry;
use crate::identity::Wallet;

/// Names one attachment of a database: never used a second time.
pub type DatabaseId = u32;

/// Where a database's wallets come from.
#[derive(Clone, Debug)]
pub enum WalletSource {
    /// A fixed list, replaced by `set_wallets`.
    List(Vec<Entry>),
    /// The registry, for its list.
    Asked,
    /// The registry, wallet by wallet: its answers are the wallets that it was asked for and found good.
    Checked,
}

/// What a registry answered, or code pushed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    pub entries: Vec<Entry>,
    /// How old the list was already: zero when it was just read from its source.
    pub age: Duration,
}

impl From<Vec<Entry>> for Listed {
    fn from(entries: Vec<Entry>) -> Self {
        Self { entries, age: Duration::ZERO }
    }
}

/// The way to the user's registry functions.
pub trait Registry: Send + Sync {
    /// Reads the list of `database`. The future must end within `timeout`, with an error if need be: no second read of
    /// the same database starts before. `waiting` are the wallets that a `Checked` database is asked about.
    fn wallets(
        &self,
        database: DatabaseId,
        waiting: Vec<Wallet>,
        timeout: Duration,
    ) -> BoxFuture<'static, Result<Listed, String>>;
}
