//! How projections stand.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use anybroker_core::Result;

use super::follow::newest;
use super::{Projections, Store};
use crate::event_store::Connection;
use crate::event_store::event::from_micros;

/// How far events that are not applied yet are counted.
pub const COUNTED: u64 = 100_000;

/// A generation of a projection.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// The projection.
    pub name: String,
    /// The generation's number.
    pub generation: u32,
    /// The version of the code that builds it.
    pub version: u32,
    /// Whether readers see it; otherwise it is being built.
    pub live: bool,
    /// When it was begun.
    pub created_at: SystemTime,
    /// The newest event's position.
    pub newest: u64,
    /// Its partitions, in order.
    pub partitions: Vec<PartitionStatus>,
    /// Events that are parked.
    pub parked: u64,
}

/// A partition of a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionStatus {
    /// All its events up to here are applied, or parked.
    pub position: u64,
    /// When that was.
    pub updated_at: SystemTime,
    /// Events after the position, of all partitions and types; if there are more than [`COUNTED`], that many and one.
    pub lag: u64,
    /// How long ago the first of these happened.
    pub age: Option<Duration>,
}

impl Status {
    /// The position up to which every partition has come.
    pub fn position(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.position).min().unwrap_or(0)
    }

    /// How much of the way to the newest event is done, from 0 to 100.
    pub fn percent(&self) -> f64 {
        if self.newest == 0 {
            100.0
        } else {
            (self.position() as f64 / self.newest as f64 * 100.0).min(100.0)
        }
    }

    /// The greatest lag of its partitions, in events.
    pub fn lag(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.lag).max().unwrap_or(0)
    }

    /// The greatest lag of its partitions, in time.
    pub fn age(&self) -> Option<Duration> {
        self.partitions.iter().filter_map(|partition| partition.age).max()
    }
}

impl<D: Store> Projections<D> {
    /// Every projection's generations, by name and number.
    ///
    /// # Errors
    /// `Disconnected`, `TimedOut`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn status(&self) -> Result<Vec<Status>> {
        let (database, doing) = (self.database(), "read projections");
        let mut connection = self.connection().await?;
        let sql = "select name, generation, version, state, created_at from {projections} order by name, generation";
        let rows: Vec<(String, i64, i64, String, i64)> =
            database.rows(&mut connection, doing, sql, &[]).await?;
        let parked = self.parked_counts(&mut connection).await?;
        let mut all = Vec::with_capacity(rows.len());
        for (name, generation, version, state, created_at) in rows {
            let parked = parked.get(&(name.clone(), generation)).copied().unwrap_or(0);
            let partitions = self.partitions(&mut connection, &name, generation).await?;
            // Read after the checkpoints, so that it is not less.
            let newest = newest(database, &mut connection).await?;
            let (generation, version) = (generation as u32, version as u32);
            let (live, created_at) = (state == "live", from_micros(created_at));
            all.push(Status { name, generation, version, live, created_at, newest, partitions, parked });
        }
        Ok(all)
    }

    async fn parked_counts(&self, connection: &mut Connection<D>) -> Result<BTreeMap<(String, i64), u64>> {
        let sql = "select name, generation, count(*) from {projection_parked} group by name, generation";
        let rows: Vec<(String, i64, i64)> =
            self.database().rows(connection, "read parked events", sql, &[]).await?;
        Ok(rows.into_iter().map(|(name, generation, count)| ((name, generation), count as u64)).collect())
    }

    async fn partitions(
        &self,
        connection: &mut Connection<D>,
        name: &str,
        generation: i64,
    ) -> Result<Vec<PartitionStatus>> {
        let sql = "select position, updated_at, \
                   (select count(*) from (select 1 from {events} where position > c.position limit $3) as more), \
                   (select occurred_at from {events} where position > c.position order by position limit 1) \
                   from {projection_checkpoints} c where name = $1 and generation = $2 order by part";
        let values = [name.into(), super::store::Value::Int(generation), (COUNTED + 1).into()];
        let rows: Vec<(i64, i64, i64, Option<i64>)> =
            self.database().rows(connection, "read checkpoints", sql, &values).await?;
        let now = SystemTime::now();
        let partition = |(position, updated_at, lag, oldest): (i64, i64, i64, Option<i64>)| PartitionStatus {
            position: position as u64,
            updated_at: from_micros(updated_at),
            lag: lag as u64,
            age: oldest.map(|oldest| now.duration_since(from_micros(oldest)).unwrap_or_default()),
        };
        Ok(rows.into_iter().map(partition).collect())
    }
}
