//! Following the events with one partition.

use std::sync::Arc;
use std::time::Duration;

use anybroker_core::kit::Supervision;
use anybroker_core::{Error, Kind, Result};
use futures::future::Shared;
use tokio::sync::Notify;

use super::checkpoint::Place;
use super::generation::{Generation, WRONG};
use super::projector::Projector;
use super::{Projection, Store, partition};
use crate::database::typed;
use crate::event_store::Reader;
use crate::event_store::store::Scanned;

/// How long whoever was beaten to a batch leaves the partition to the other.
const STAND_BY: Duration = Duration::from_millis(200);

/// Until when to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    Stopped,
    CaughtUp,
}

/// How following ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Stopped,
    CaughtUp,
    /// The generation is not there any more.
    Replaced,
    /// Another process has applied the batch.
    Beaten,
}

/// What became of a batch.
enum Step {
    Applied,
    Beaten,
    Replaced,
}

/// What a partition's task has at hand.
pub(super) struct Following<'a, S: Future<Output = ()>> {
    pub(super) generation: &'a Generation,
    pub(super) partition: u32,
    pub(super) wake: Arc<Notify>,
    pub(super) stop: Shared<S>,
    pub(super) until: Until,
}

impl<D: Store, P: Projection<D>> Projector<D, P> {
    /// Follows until the end; failures that may pass are waited for.
    pub(super) async fn follow<S: Future<Output = ()>>(&self, following: Following<'_, S>) -> Result<End> {
        let mut waits = Supervision::new();
        loop {
            let wait = match self.follow_on(&following, &mut waits).await {
                Ok(End::Beaten) => STAND_BY,
                Ok(end) => return Ok(end),
                Err(error) if is_final(&error) => return Err(error),
                Err(error) => {
                    self.count().failed(self.name(), &error);
                    waits.next_wait()
                }
            };
            if paused(wait, &following.stop).await {
                return Ok(End::Stopped);
            }
        }
    }

    /// From the checkpoint on, until something is in the way.
    async fn follow_on<S: Future<Output = ()>>(
        &self,
        following: &Following<'_, S>,
        waits: &mut Supervision,
    ) -> Result<End> {
        let Following { generation, partition, wake, stop, until } = following;
        let Some(mut position) = self.start(generation, *partition).await? else {
            return Ok(End::Replaced);
        };
        let mut reader = Reader::new(self.store().clone(), self.projection().filter(), position);
        reader.batch = self.options().batch.max(1);
        loop {
            let reading = tokio::select! {
                biased;
                () = stop.clone() => return Ok(End::Stopped),
                reading = reader.read_rows() => reading?,
            };
            let upto = reader.position();
            if upto > position {
                let mut rows = reading.events;
                rows.retain(|row| partition::of(&row.stream, generation.partitions) == *partition);
                match self.step(generation, *partition, position, &rows, upto).await? {
                    Step::Applied => position = upto,
                    Step::Beaten => return Ok(End::Beaten),
                    Step::Replaced => return Ok(End::Replaced),
                }
                waits.succeeded();
                continue;
            }
            if reading.caught_up && *until == Until::CaughtUp {
                return Ok(End::CaughtUp);
            }
            tokio::select! {
                biased;
                () = stop.clone() => return Ok(End::Stopped),
                _ = tokio::time::timeout(reading.pause, wake.notified()) => {}
            }
        }
    }

    /// The checkpoint, if the events are those that it was made of.
    async fn start(&self, generation: &Generation, partition: u32) -> Result<Option<u64>> {
        let database = self.store().database();
        let mut connection = self.store().connection().await?;
        let place = self.place(generation, partition);
        let Some(position) = place.position(database, &mut connection).await? else { return Ok(None) };
        let newest = newest(database, &mut connection).await?;
        if position > newest {
            let text = format!(
                "its checkpoint is at position {position}, but the newest event is at {newest}: the events were restored \
                 from an older backup, or deleted"
            );
            return Err(self
                .wrong(text)
                .advice("restore the events, or call rebuild(); nothing was applied"));
        }
        Ok(Some(position))
    }

    /// One transaction: the events, and the checkpoint. Whoever has the checkpoint's row applies; others wait for it, and
    /// find that it has moved.
    async fn step(
        &self,
        generation: &Generation,
        partition: u32,
        position: u64,
        rows: &[Scanned],
        upto: u64,
    ) -> Result<Step> {
        let database = self.store().database();
        let place = self.place(generation, partition);
        let mut transaction = database.begin_applying().await?;
        match place.lock(database, &mut transaction).await? {
            None => return Ok(Step::Replaced),
            Some(found) if found != position => return Ok(Step::Beaten),
            Some(_) => {}
        }
        let parked = self.advance(&mut transaction, generation, place, rows, upto).await?;
        transaction.commit().await.map_err(|error| typed("commit", error))?;
        self.count().done(rows.len() - parked, parked);
        Ok(Step::Applied)
    }

    pub(super) fn place(&self, generation: &Generation, partition: u32) -> Place<'_> {
        Place { name: self.name(), generation: generation.number, partition }
    }
}

/// The position of the newest event that is visible.
pub(super) async fn newest<D: Store>(
    database: &D,
    connection: &mut crate::event_store::Connection<D>,
) -> Result<u64> {
    let sql = "select coalesce(max(position), 0) from {events}";
    let rows: Vec<(i64,)> = database.rows(connection, "read events", sql, &[]).await?;
    Ok(rows.first().map_or(0, |(newest,)| *newest as u64))
}

/// Waiting does not help. A table that was changed by hand may be restored, and is waited for.
fn is_final(error: &Error) -> bool {
    matches!(error.kind(), Kind::Closed | Kind::Unsupported) || error.operation() == WRONG
}

/// Whether it was stopped meanwhile.
pub(super) async fn paused<S: Future<Output = ()>>(wait: Duration, stop: &Shared<S>) -> bool {
    tokio::time::timeout(wait, stop.clone()).await.is_ok()
}
