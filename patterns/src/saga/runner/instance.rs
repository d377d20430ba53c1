//! One instance, from one thing to the next.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anybroker_core::{Error, Kind, Result};
use futures::future::join_all;

use super::SagaRunner;
use crate::saga::commit;
use crate::saga::definition::Definition;
use crate::saga::loaded::{Loaded, load};
use crate::saga::next::Next;
use crate::saga::record::{Lease, Record};
use crate::saga::state::State;
use crate::saga::store::Store;

/// How long it waits after the database failed, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// The shortest time between two signs of life.
const OFTEN: Duration = Duration::from_millis(10);

/// What became of an instance.
#[derive(PartialEq, Eq)]
pub(super) enum Moved {
    /// There is more to do.
    On,
    /// It ended, waits, or is parked.
    Left,
}

impl<D: Store> SagaRunner<D> {
    /// Runs an instance for as long as there is something to do, and gives signs of life meanwhile.
    pub(super) async fn run_instance(&self, lease: Lease) {
        let Some(definition) = self.definitions.get(&lease.saga).cloned() else { return };
        tokio::select! {
            () = self.advance(&definition, &lease) => {}
            error = self.keep(&lease) => self.report(&error),
        }
    }

    async fn advance(&self, definition: &Arc<Definition<D>>, lease: &Lease) {
        let mut pause = PAUSES.0;
        loop {
            let moved = if self.stopping.load(Ordering::Relaxed) {
                self.give_back(lease).await.map(|()| Moved::Left)
            } else {
                self.move_on(definition, lease).await
            };
            match moved {
                Ok(Moved::On) => pause = PAUSES.0,
                Ok(Moved::Left) => return,
                Err(error) => {
                    self.report(&error);
                    if error.kind() == Kind::Fenced || self.stopping.load(Ordering::Relaxed) {
                        return;
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
        }
    }

    async fn move_on(&self, definition: &Arc<Definition<D>>, lease: &Lease) -> Result<Moved> {
        let loaded = match self.load(lease).await {
            // What cannot be read was changed by hand.
            Err(error) if matches!(error.kind(), Kind::Decode | Kind::InvalidConfiguration) => {
                return self.park(lease, None, &error.to_string()).await;
            }
            loaded => loaded?,
        };
        let data = match definition.data(loaded.version, &loaded.data) {
            Ok(data) => data,
            Err(error) => return self.park(lease, None, &error.to_string()).await,
        };
        let loaded = Loaded { data, ..loaded };
        match definition.next(&loaded) {
            Next::Execute(steps) => {
                let attempts = steps.iter().map(|step| self.execute(definition, lease, &loaded, step));
                for attempt in join_all(attempts).await {
                    attempt?;
                }
                Ok(Moved::On)
            }
            Next::Incomplete(step) => {
                self.incomplete(definition, lease, &loaded, &step).await.map(|()| Moved::On)
            }
            Next::Undo(step) => self.undo(definition, lease, &loaded, &step).await.map(|()| Moved::On),
            Next::GiveUp(step, reason) => {
                let mut transaction = self.store.begin().await?;
                let mut record = Record::open(&self.store, &mut transaction, lease).await?;
                let unsure = definition.step(&step).is_some_and(|step| step.is_effect());
                record.give_up(&step, true, unsure, &reason).await?;
                commit(transaction).await.map(|()| Moved::On)
            }
            Next::Fail(reason) if definition.forward_only => self.park(lease, None, &reason).await,
            Next::Fail(reason) => {
                let mut transaction = self.store.begin().await?;
                let mut record = Record::open(&self.store, &mut transaction, lease).await?;
                record.fail(definition, &reason).await?;
                commit(transaction).await?;
                tracing::info!(saga = lease.saga, id = lease.id, reason, "the saga goes back");
                Ok(Moved::On)
            }
            Next::End(state) => self.end(lease, state).await,
            Next::Park(reason) => self.park(lease, None, &reason).await,
            Next::Wait(until) => self.leave(lease, until, loaded.signals.len()).await,
        }
    }

    async fn load(&self, lease: &Lease) -> Result<Loaded> {
        let mut connection =
            self.store.pool().acquire().await.map_err(|error| crate::database::typed("connect", error))?;
        let loaded = load(&self.store, &mut connection, &lease.saga, &lease.id).await?;
        loaded.ok_or_else(|| {
            Error::new(Kind::Fenced, "run a saga", "the instance is gone").on(lease.to_string())
        })
    }

    pub(super) async fn end(&self, lease: &Lease, state: State) -> Result<Moved> {
        let mut transaction = self.store.begin().await?;
        Record::open(&self.store, &mut transaction, lease).await?.end(state).await?;
        commit(transaction).await?;
        self.progress.count_ended();
        Ok(Moved::Left)
    }

    async fn park(&self, lease: &Lease, step: Option<&str>, reason: &str) -> Result<Moved> {
        let mut transaction = self.store.begin().await?;
        Record::open(&self.store, &mut transaction, lease).await?.park(step, reason).await?;
        commit(transaction).await?;
        self.parked(lease, reason);
        Ok(Moved::Left)
    }

    pub(super) fn parked(&self, lease: &Lease, reason: &str) {
        self.progress.count_parked();
        tracing::error!(
            saga = lease.saga,
            id = lease.id,
            reason,
            "the saga is parked: it cannot go on by itself"
        );
    }

    async fn leave(&self, lease: &Lease, until: Option<i64>, events: usize) -> Result<Moved> {
        let mut transaction = self.store.begin().await?;
        let left = Record::open(&self.store, &mut transaction, lease).await?.leave(until, events).await?;
        commit(transaction).await?;
        Ok(if left { Moved::Left } else { Moved::On })
    }

    /// Lets another runner have it at once.
    async fn give_back(&self, lease: &Lease) -> Result<()> {
        self.lease(lease, "owner = null, leased_until = 0").await.map(drop)
    }

    /// Gives signs of life until somebody else has the instance; ends with that error.
    async fn keep(&self, lease: &Lease) -> Error {
        let often = (self.options.lease / 3).max(OFTEN);
        loop {
            tokio::time::sleep(often).await;
            let until =
                format!("leased_until = {{now}} + {}", crate::saga::instances::millis(self.options.lease));
            match self.lease(lease, &until).await {
                Ok(true) => {}
                Ok(false) => {
                    let text = "another runner, or somebody by hand, has taken the instance over";
                    return Error::new(Kind::Fenced, "run a saga", text).on(lease.to_string());
                }
                Err(error) => self.report(&error),
            }
        }
    }

    async fn lease(&self, lease: &Lease, set: &str) -> Result<bool> {
        let mut connection = self.store.begin().await?;
        let sql = format!("update {{sagas}} set {set} where saga = $1 and id = $2 and fence = $3");
        let values = vec![lease.saga.as_str().into(), lease.id.as_str().into(), lease.fence.into()];
        let held = self.store.execute(&mut connection, &sql, values).await?;
        commit(connection).await?;
        Ok(held > 0)
    }
}
