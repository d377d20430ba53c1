//! Building a new generation beside the live one, and putting it in its place.

use anybroker_core::{Error, Result};
use futures::FutureExt;

use super::follow::{End, Until, newest};
use super::generation::{Generation, all};
use super::projector::Projector;
use super::retire::retire;
use super::{Projection, Store, partition};
use crate::database::typed;
use crate::event_store::Connection;
use crate::event_store::store::Scan;

/// So many batches may be applied in the transaction that puts the new generation in place, while the live one waits.
const LAST_BATCHES: usize = 4;

/// What became of an attempt to put the new generation in place.
enum Swap {
    Done,
    /// It is too far behind, still.
    Behind,
    /// It was given up, or replaced by another.
    Gone,
}

impl<D: Store, P: Projection<D>> Projector<D, P> {
    /// Builds a new generation in tables of its own, from the first event on, with this program's code and partitions; then
    /// puts it in the place of the live one, in one transaction, and drops the old tables. Readers see the old one complete
    /// until they see the new one complete, which is never older. True when that is done; false if it was stopped.
    ///
    /// One that was stopped or killed goes on where it was. Projectors of the old code end when it is done; those of this
    /// code go on with the new generation.
    ///
    /// # Errors
    /// `InvalidConfiguration` if a generation of other code is in building; `Fenced` if it was given up
    /// ([`Projections::abandon`](super::Projections::abandon)); and as [`run`](Projector::run).
    ///
    /// # Cancel safety
    /// Dropped, it gives up what is under way: call it again.
    pub async fn rebuild(&self, stop: impl Future<Output = ()>) -> Result<bool> {
        let stop = stop.shared();
        let Some(generation) = self.insist(&stop, || self.building()).await? else {
            return Ok(false);
        };
        loop {
            match self.follow_all(&generation, &stop, Until::CaughtUp).await? {
                End::Stopped => return Ok(false),
                End::Replaced => return Err(self.given_up(&generation)),
                End::CaughtUp | End::Beaten => {}
            }
            match self.insist(&stop, || self.swap(&generation)).await? {
                Some(Swap::Done) => return Ok(true),
                Some(Swap::Behind) => {}
                Some(Swap::Gone) => return Err(self.given_up(&generation)),
                None => return Ok(false),
            }
        }
    }

    async fn swap(&self, generation: &Generation) -> Result<Swap> {
        let database = self.store().database();
        let mut transaction = database.begin_applying().await?;
        let all = all(database, &mut transaction, self.name()).await?;
        match all.iter().find(|found| found.number == generation.number) {
            None => return Ok(Swap::Gone),
            Some(found) if found.live => return Ok(Swap::Done),
            Some(_) => {}
        }
        let live = all.iter().find(|found| found.live);
        if let Some(live) = live {
            // It stands still from here on.
            let reached = self.reached(&mut transaction, live).await?;
            // It may be ahead of events that were restored from a backup.
            let target = reached.min(newest(database, &mut transaction).await?);
            if !self.reach(&mut transaction, generation, target).await? {
                return Ok(Swap::Behind);
            }
        }
        self.put_in_place(&mut transaction, generation, live).await?;
        transaction.commit().await.map_err(|error| typed("commit", error))?;
        tracing::info!(projection = self.name(), generation = generation.number, "is live");
        Ok(Swap::Done)
    }

    /// How far the live generation has come at most; it goes no further in this transaction.
    async fn reached(&self, connection: &mut Connection<D>, live: &Generation) -> Result<u64> {
        let mut reached = 0;
        for partition in 0..live.partitions {
            let place = self.place(live, partition);
            let position = place.lock(self.store().database(), connection).await?;
            reached = reached.max(position.unwrap_or(0));
        }
        Ok(reached)
    }

    /// Brings the new generation as far; false if that is too much. Up to there the order of events is settled.
    async fn reach(
        &self,
        connection: &mut Connection<D>,
        generation: &Generation,
        target: u64,
    ) -> Result<bool> {
        let (database, filter) = (self.store().database(), self.projection().filter());
        let max = self.options().batch.max(1);
        for partition in 0..generation.partitions {
            let place = self.place(generation, partition);
            let mut position = place.lock(database, connection).await?.unwrap_or(0);
            let mut batches = 0;
            while position < target {
                if batches == LAST_BATCHES {
                    return Ok(false);
                }
                batches += 1;
                let scan = Scan { after: position, settled: target, filter: &filter, max };
                let found = database.scan(connection, scan).await?;
                // Rows after the target are not settled, and come later.
                let last = found.last().map_or(target, |row| row.position);
                let upto = if found.len() < max { target } else { last.min(target) };
                let rows: Vec<_> = found
                    .into_iter()
                    .filter(|row| row.position <= upto)
                    .filter(|row| partition::of(&row.stream, generation.partitions) == partition)
                    .filter_map(|row| self.store().wanted(&filter, row))
                    .collect();
                self.advance(connection, generation, place, &rows, upto).await?;
                position = upto;
            }
        }
        Ok(true)
    }

    /// Lets the views show the new tables, and drops the old ones.
    async fn put_in_place(
        &self,
        connection: &mut Connection<D>,
        generation: &Generation,
        live: Option<&Generation>,
    ) -> Result<()> {
        let (database, names) = (self.store().database(), self.tables(generation));
        for table in &generation.tables {
            let shown = database.show(connection, &names.view(table), &names.table(table)).await;
            shown.map_err(|error| error.on(format!("view {}", names.view(table))))?;
        }
        if let Some(live) = live {
            for table in live.tables.iter().filter(|table| !generation.tables.contains(table)) {
                let drop = format!("drop view if exists {}", names.view(table));
                database.execute(connection, "drop a view", &drop, &[]).await?;
            }
            retire(database, connection, self.name(), live).await?;
        }
        let sql = "update {projections} set state = 'live' where name = $1 and generation = $2";
        let values = [self.name().into(), generation.number.into()];
        database.execute(connection, "rebuild", sql, &values).await.map(drop)
    }

    fn given_up(&self, generation: &Generation) -> Error {
        let text = format!("generation {} was given up meanwhile", generation.number);
        Error::new(anybroker_core::Kind::Fenced, "rebuild", text).on(format!("projection `{}`", self.name()))
    }
}
