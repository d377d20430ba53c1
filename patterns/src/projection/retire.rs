//! Removing a generation.

use anybroker_core::Result;

use super::generation::Generation;
use super::{Store, Tables};
use crate::event_store::Connection;

/// Drops a generation's tables and forgets it, in the caller's transaction. No view may show it.
pub(super) async fn retire<D: Store>(
    database: &D,
    connection: &mut Connection<D>,
    name: &str,
    generation: &Generation,
) -> Result<()> {
    let (doing, names) = ("drop a generation", Tables::new(database.names(), generation.number));
    for table in &generation.tables {
        let drop = format!("drop table if exists {}", names.table(table));
        database.execute(connection, doing, &drop, &[]).await?;
    }
    for table in ["projection_parked", "projection_checkpoints", "projections"] {
        let delete = format!("delete from {{{table}}} where name = $1 and generation = $2");
        database.execute(connection, doing, &delete, &[name.into(), generation.number.into()]).await?;
    }
    Ok(())
}
