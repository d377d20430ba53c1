//! Applying a batch: all of it, but for the events that are parked.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;

use anybroker_core::Result;
use futures::FutureExt;
use sqlx::Connection as _;

use super::checkpoint::Place;
use super::failure::{Failure, judge, with_sources};
use super::generation::Generation;
use super::parking::{self, Parked};
use super::projector::Projector;
use super::{Projection, Store};
use crate::database::typed;
use crate::event_store::store::Scanned;
use crate::event_store::{Connection, Recorded};

/// The streams of which something is parked.
type Held = HashSet<String>;

impl<D: Store, P: Projection<D>> Projector<D, P> {
    /// Applies events and moves the checkpoint, in the caller's transaction, which holds the checkpoint; gives how many
    /// were parked.
    pub(super) async fn advance(
        &self,
        connection: &mut Connection<D>,
        generation: &Generation,
        place: Place<'_>,
        rows: &[Scanned],
        upto: u64,
    ) -> Result<usize> {
        let database = self.store().database();
        let mut parked = 0;
        if !rows.is_empty() {
            let held = parking::held(database, connection, place, rows).await?;
            parked = self.apply_all(connection, generation, place, rows, held).await?;
        }
        place.put(database, connection, upto).await?;
        Ok(parked)
    }

    /// Without a savepoint for each event, which costs as much as the event; if one fails, again and with.
    async fn apply_all(
        &self,
        connection: &mut Connection<D>,
        generation: &Generation,
        place: Place<'_>,
        rows: &[Scanned],
        held: Held,
    ) -> Result<usize> {
        let failed = |error| typed("apply", error);
        let mut whole = connection.begin().await.map_err(failed)?;
        match self.pass(&mut whole, generation, place, rows, held.clone(), false).await {
            Ok(parked) => {
                whole.commit().await.map_err(failed)?;
                return Ok(parked);
            }
            Err(Failure::Transient(error)) => return Err(error),
            Err(Failure::Permanent(_)) => whole.rollback().await.map_err(failed)?,
        }
        match self.pass(connection, generation, place, rows, held, true).await {
            Ok(parked) => Ok(parked),
            Err(Failure::Transient(error)) => Err(error),
            Err(Failure::Permanent(reason)) => Err(self.wrong(reason)),
        }
    }

    /// Applies each event, or parks it; if not `careful`, it ends at the first that fails.
    async fn pass(
        &self,
        connection: &mut Connection<D>,
        generation: &Generation,
        place: Place<'_>,
        rows: &[Scanned],
        mut held: Held,
        careful: bool,
    ) -> Result<usize, Failure> {
        let mut parked = 0;
        for row in rows {
            let reason = match &row.event {
                _ if held.contains(&row.stream) => None,
                Err(error) => Some(with_sources(error)),
                Ok(event) if careful => match self.alone(connection, generation, event).await? {
                    Some(reason) => Some(reason),
                    None => continue,
                },
                Ok(event) => {
                    self.apply(connection, generation, event).await?;
                    continue;
                }
            };
            let park = Parked { position: row.position, stream: &row.stream, version: row.version, reason };
            parking::park(self.store().database(), connection, place, &park).await?;
            if let Some(reason) = &park.reason {
                tracing::warn!(
                    projection = place.name,
                    position = row.position,
                    stream = row.stream,
                    reason,
                    "parked"
                );
            }
            held.insert(row.stream.clone());
            parked += 1;
        }
        Ok(parked)
    }

    /// Applies one event in a savepoint; why it fails, if it does so for ever.
    pub(super) async fn alone(
        &self,
        connection: &mut Connection<D>,
        generation: &Generation,
        event: &Recorded,
    ) -> Result<Option<String>> {
        let failed = |error| typed("apply", error);
        let mut savepoint = connection.begin().await.map_err(failed)?;
        match self.apply(&mut savepoint, generation, event).await {
            Ok(()) => savepoint.commit().await.map(|()| None).map_err(failed),
            Err(Failure::Transient(error)) => Err(error),
            Err(Failure::Permanent(reason)) => {
                savepoint.rollback().await.map_err(failed)?;
                Ok(Some(reason))
            }
        }
    }

    async fn apply(
        &self,
        connection: &mut Connection<D>,
        generation: &Generation,
        event: &Recorded,
    ) -> Result<(), Failure> {
        let tables = self.tables(generation);
        let applying = AssertUnwindSafe(self.projection().apply(connection, &tables, event));
        match applying.catch_unwind().await {
            Ok(applied) => applied.map_err(judge),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
                Err(Failure::Permanent(format!("the projection panicked: {text}")))
            }
        }
    }
}
