//! What can be known of projections without their code.

use std::time::SystemTime;

use anybroker_core::Result;

use super::generation::all;
use super::retire::retire;
use super::{Store, Tables};
use crate::database::typed;
use crate::event_store::event::from_micros;

/// The projections of a database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Projections<D> {
    database: D,
}

/// An event that is parked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedEvent {
    /// Its position, by which it is retried or discarded.
    pub position: u64,
    /// Its stream.
    pub stream: String,
    /// Where it is in its stream.
    pub version: u64,
    /// The generation of the read model.
    pub generation: u32,
    /// Why it could not be applied; none if it only follows an earlier one of its stream.
    pub reason: Option<String>,
    /// When it was parked.
    pub at: SystemTime,
}

impl<D: Store> Projections<D> {
    /// Looks whether the tables are there.
    ///
    /// # Errors
    /// `InvalidConfiguration`, `Disconnected`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn open(database: D) -> Result<Self> {
        database.check_projections().await?;
        Ok(Projections { database })
    }

    /// A projection's parked events after a position, at most `max`, in order.
    ///
    /// # Errors
    /// `Disconnected`, `TimedOut`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn parked(&self, name: &str, after: u64, max: u32) -> Result<Vec<ParkedEvent>> {
        let sql = "select position, stream, version, generation, reason, parked_at from {projection_parked} \
                   where name = $1 and position > $2 order by position, generation limit $3";
        let mut connection = self.connection().await?;
        let values = [name.into(), after.into(), max.into()];
        let rows: Vec<(i64, String, i64, i64, Option<String>, i64)> =
            self.database.rows(&mut connection, "read parked events", sql, &values).await?;
        let rows = rows.into_iter().map(|(position, stream, version, generation, reason, at)| ParkedEvent {
            position: position as u64,
            stream,
            version: version as u64,
            generation: generation as u32,
            reason,
            at: from_micros(at),
        });
        Ok(rows.collect())
    }

    /// Gives up the generation of a projection that is being built, and drops its tables; false if there is none.
    ///
    /// # Errors
    /// `Disconnected`, `TimedOut`, `Throttled`.
    ///
    /// # Cancel safety
    /// A cancelled call may have done it.
    pub async fn abandon(&self, name: &str) -> Result<bool> {
        let mut transaction = self.database.begin_applying().await?;
        let all = all(&self.database, &mut transaction, name).await?;
        let Some(building) = all.iter().find(|generation| !generation.live) else { return Ok(false) };
        self.lock(&mut transaction, name, building).await?;
        retire(&self.database, &mut transaction, name, building).await?;
        transaction.commit().await.map_err(|error| typed("commit", error))?;
        Ok(true)
    }

    /// Drops a projection's read model with all that is known of it; false if there is none. Its projectors end first.
    ///
    /// # Errors
    /// `Disconnected`, `TimedOut`, `Throttled`.
    ///
    /// # Cancel safety
    /// A cancelled call may have done it.
    pub async fn remove(&self, name: &str) -> Result<bool> {
        let mut transaction = self.database.begin_applying().await?;
        let all = all(&self.database, &mut transaction, name).await?;
        for generation in &all {
            self.lock(&mut transaction, name, generation).await?;
            let names = Tables::new(self.database.names(), generation.number);
            for table in generation.tables.iter().filter(|_| generation.live) {
                let drop = format!("drop view if exists {}", names.view(table));
                self.database.execute(&mut transaction, "drop a view", &drop, &[]).await?;
            }
            retire(&self.database, &mut transaction, name, generation).await?;
        }
        transaction.commit().await.map_err(|error| typed("commit", error))?;
        Ok(!all.is_empty())
    }

    /// Waits for those that are applying, as they do for each other: first the checkpoint, then the tables.
    async fn lock(
        &self,
        connection: &mut crate::event_store::Connection<D>,
        name: &str,
        generation: &super::generation::Generation,
    ) -> Result<()> {
        for partition in 0..generation.partitions {
            let place = super::checkpoint::Place { name, generation: generation.number, partition };
            place.lock(&self.database, connection).await?;
        }
        Ok(())
    }

    pub(super) fn database(&self) -> &D {
        &self.database
    }

    pub(super) async fn connection(&self) -> Result<sqlx::pool::PoolConnection<D::Database>> {
        self.database.pool().acquire().await.map_err(|error| typed("connect", error))
    }
}
