//! Up to where a partition of a read model has come.

use std::time::SystemTime;

use anybroker_core::Result;

use super::store::{Store, Value};
use crate::event_store::Connection;
use crate::event_store::event::to_micros;

/// A partition of a generation of a projection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) name: &'a str,
    pub(super) generation: u32,
    pub(super) partition: u32,
}

/// The present time, as the tables have it.
pub(super) fn now() -> Value<'static> {
    Value::Int(to_micros(SystemTime::now()))
}

impl Place<'_> {
    /// The checkpoint; none if the generation is gone.
    pub(super) async fn position<D: Store>(
        self,
        database: &D,
        connection: &mut Connection<D>,
    ) -> Result<Option<u64>> {
        self.read(database, connection, "").await
    }

    /// The checkpoint, which no other transaction changes until this one has ended.
    pub(super) async fn lock<D: Store>(
        self,
        database: &D,
        connection: &mut Connection<D>,
    ) -> Result<Option<u64>> {
        self.read(database, connection, "{for update}").await
    }

    async fn read<D: Store>(
        self,
        database: &D,
        connection: &mut Connection<D>,
        lock: &str,
    ) -> Result<Option<u64>> {
        let sql = format!(
            "select position from {{projection_checkpoints}} where name = $1 and generation = $2 and part = $3 {lock}"
        );
        let values = [self.name.into(), self.generation.into(), self.partition.into()];
        let rows: Vec<(i64,)> = database.rows(connection, "read a checkpoint", &sql, &values).await?;
        Ok(rows.first().map(|(position,)| *position as u64))
    }

    /// Moves the checkpoint.
    pub(super) async fn put<D: Store>(
        self,
        database: &D,
        connection: &mut Connection<D>,
        position: u64,
    ) -> Result<()> {
        let sql = "update {projection_checkpoints} set position = $4, updated_at = $5 \
                   where name = $1 and generation = $2 and part = $3";
        let values =
            [self.name.into(), self.generation.into(), self.partition.into(), position.into(), now()];
        database.execute(connection, "keep a checkpoint", sql, &values).await.map(drop)
    }
}
