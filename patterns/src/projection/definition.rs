//! What an application declares.

use anybroker_core::async_trait;

use super::{BoxError, Store, Tables};
use crate::event_store::{Connection, Filter, Recorded};

/// A read model that is made of events.
///
/// # For implementors
/// All that [`apply`](Projection::apply) does, it does on the connection that it is given: a batch may be rolled back and
/// applied again. It uses the tables by the names that it is given, and nothing but the event and those tables, so that a
/// rebuild gives the same.
///
/// Whoever changes `filter`, `create` or `apply` so that the same events would give another read model raises
/// [`version`](Projection::version): what was built by another version is not gone on with.
#[async_trait]
pub trait Projection<D: Store>: Send + Sync + 'static {
    /// What it is called: its checkpoint is kept under this name.
    fn name(&self) -> &str;

    /// The version of its code.
    fn version(&self) -> u32;

    /// Its tables, as readers call them.
    fn tables(&self) -> &[&str];

    /// Which events it wants: all, unless it says otherwise.
    fn filter(&self) -> Filter {
        Filter::all()
    }

    /// Creates its tables, and indexes; once for each generation.
    ///
    /// # Errors
    /// The generation is not begun.
    ///
    /// # Cancel safety
    /// The caller rolls back.
    async fn create(&self, connection: &mut Connection<D>, tables: &Tables) -> Result<(), BoxError>;

    /// Takes an event into its tables.
    ///
    /// # Errors
    /// Errors of the database that may pass are waited for. What only this event can be to blame for (it does not decode, it
    /// violates a constraint, the projection refuses it) parks it.
    ///
    /// # Cancel safety
    /// The caller rolls back.
    async fn apply(
        &self,
        connection: &mut Connection<D>,
        tables: &Tables,
        event: &Recorded,
    ) -> Result<(), BoxError>;
}
