//! What an inbox needs of a database.

use std::time::Duration;

use anybroker_core::Result;
use async_trait::async_trait;

/// The database that an inbox is in.
///
/// # For implementors
/// Two transactions that note the same message must not both succeed.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// What a caller's transaction dereferences to.
    type Connection: Send;

    /// Looks whether the table is there, unchanged, in this program's version.
    ///
    /// # Errors
    /// `InvalidConfiguration`, `Disconnected`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn check(&self) -> Result<()>;

    /// Notes a message in the caller's transaction; false if it is noted already. Waits for another transaction that
    /// notes it.
    ///
    /// # Errors
    /// `Throttled`, `NotFound`, `Disconnected`.
    ///
    /// # Cancel safety
    /// Not cancel safe: the transaction must be rolled back.
    async fn note(&self, connection: &mut Self::Connection, consumer: &str, id: &str) -> Result<bool>;

    /// Forgets at most so many messages that were noted longer ago; gives how many.
    ///
    /// # Errors
    /// `Disconnected`, `TimedOut`.
    ///
    /// # Cancel safety
    /// A cancelled call may have forgotten some.
    async fn forget(&self, age: Duration, most: u32) -> Result<u64>;
}
