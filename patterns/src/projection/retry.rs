//! Applying parked events again, or giving them up.

use anybroker_core::Result;

use super::failure::with_sources;
use super::generation::Generation;
use super::projector::Projector;
use super::{Projection, Store, partition};
use crate::database::typed;
use crate::event_store::store::{Scan, Scanned};
use crate::event_store::{Connection, Filter};

/// Events of one transaction.
const PORTION: u32 = 200;

/// What came of trying a stream's parked events again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retried {
    /// Events that are applied now.
    pub applied: u64,
    /// Why the next one is parked still, and those behind it.
    pub reason: Option<String>,
}

impl<D: Store, P: Projection<D>> Projector<D, P> {
    /// Applies the parked events of a stream again, in order, until one fails; `position` is that of any of them. None if
    /// nothing is parked there. When the last is applied, the stream goes on.
    ///
    /// # Errors
    /// `Disconnected`, `TimedOut`, `InvalidConfiguration` if the live generation is of other code.
    ///
    /// # Cancel safety
    /// A cancelled call may have applied some.
    pub async fn retry(&self, position: u64) -> Result<Option<Retried>> {
        self.again(position, false).await
    }

    /// Gives a parked event up: the read model will never have it. Those behind it are applied. None if nothing is parked
    /// there.
    ///
    /// # Errors
    /// As [`retry`](Projector::retry).
    ///
    /// # Cancel safety
    /// A cancelled call may have given it up.
    pub async fn discard(&self, position: u64) -> Result<Option<Retried>> {
        self.again(position, true).await
    }

    async fn again(&self, position: u64, mut discard: bool) -> Result<Option<Retried>> {
        let generation = self.live().await?;
        let Some(stream) = self.parked_stream(&generation, position).await? else { return Ok(None) };
        let mut retried = Retried::default();
        loop {
            let database = self.store().database();
            let mut transaction = database.begin_applying().await?;
            // The partition adds nothing behind them meanwhile.
            let place = self.place(&generation, partition::of(&stream, generation.partitions));
            if place.lock(database, &mut transaction).await?.is_none() {
                return Ok(None);
            }
            if discard && !self.forget(&mut transaction, &generation, position).await? {
                return Ok(None);
            }
            let (applied, reason, more) = self.portion(&mut transaction, &generation, &stream).await?;
            transaction.commit().await.map_err(|error| typed("commit", error))?;
            retried.applied += applied;
            if reason.is_some() || !more {
                return Ok(Some(Retried { reason, ..retried }));
            }
            discard = false;
        }
    }

    /// The next ones of a stream: how many were applied, why the next one fails, and whether there are more.
    async fn portion(
        &self,
        connection: &mut Connection<D>,
        generation: &Generation,
        stream: &str,
    ) -> Result<(u64, Option<String>, bool)> {
        let database = self.store().database();
        let sql = "select position from {projection_parked} where name = $1 and generation = $2 and stream = $3 \
                   order by position limit $4";
        let values = [self.name().into(), generation.number.into(), stream.into(), PORTION.into()];
        let parked: Vec<(i64,)> = database.rows(connection, "read parked events", sql, &values).await?;
        for (applied, (position,)) in parked.iter().enumerate() {
            let position = *position as u64;
            let reason = match self.event(connection, position).await?.map(|row| row.event) {
                None => Some("the event is not there any more: restore it, or discard it".into()),
                Some(Err(error)) => Some(with_sources(&error)),
                Some(Ok(event)) => self.alone(connection, generation, &event).await?,
            };
            if let Some(reason) = reason {
                self.blame(connection, generation, position, &reason).await?;
                return Ok((applied as u64, Some(reason), true));
            }
            self.forget(connection, generation, position).await?;
        }
        Ok((parked.len() as u64, None, parked.len() == PORTION as usize))
    }

    async fn event(&self, connection: &mut Connection<D>, position: u64) -> Result<Option<Scanned>> {
        let filter = Filter::all();
        let scan = Scan { after: position.saturating_sub(1), settled: position, filter: &filter, max: 1 };
        let found = self.store().database().scan(connection, scan).await?.into_iter().next();
        let found = found.filter(|row| row.position == position);
        Ok(found.and_then(|row| self.store().wanted(&filter, row)))
    }

    async fn parked_stream(&self, generation: &Generation, position: u64) -> Result<Option<String>> {
        let mut connection = self.store().connection().await?;
        let sql =
            "select stream from {projection_parked} where name = $1 and generation = $2 and position = $3";
        let values = [self.name().into(), generation.number.into(), position.into()];
        let rows: Vec<(String,)> =
            self.store().database().rows(&mut connection, "read parked events", sql, &values).await?;
        Ok(rows.into_iter().next().map(|(stream,)| stream))
    }

    async fn forget(
        &self,
        connection: &mut Connection<D>,
        generation: &Generation,
        position: u64,
    ) -> Result<bool> {
        let sql = "delete from {projection_parked} where name = $1 and generation = $2 and position = $3";
        let values = [self.name().into(), generation.number.into(), position.into()];
        Ok(self.store().database().execute(connection, "unpark an event", sql, &values).await? > 0)
    }

    async fn blame(
        &self,
        connection: &mut Connection<D>,
        generation: &Generation,
        position: u64,
        reason: &str,
    ) -> Result<()> {
        let sql = "update {projection_parked} set reason = $4 \
                   where name = $1 and generation = $2 and position = $3";
        let values = [self.name().into(), generation.number.into(), position.into(), reason.into()];
        self.store().database().execute(connection, "park an event", sql, &values).await.map(drop)
    }
}
