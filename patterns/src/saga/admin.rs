//! For people: what instances there are, how each came to where it is, and what to do about those that are parked.

use std::time::{Duration, SystemTime};

use anybroker_core::{Error, Kind, Result};

use super::commit;
use super::context::Signal;
use super::instances::{Entry as Noted, lock, millis, note};
use super::loaded::{load, time};
use super::state::{State, StepState};
use super::store::{Row, Store, Value};

/// Looks after instances, whatever sagas they are of.
#[derive(Clone, Debug)]
pub struct SagaAdmin<D> {
    store: D,
}

/// Which instances to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only those of this saga.
    pub saga: Option<String>,
    /// Only those that stand so.
    pub state: Option<State>,
    /// Only those after this saga and id.
    pub after: Option<(String, String)>,
}

/// An instance.
#[derive(Clone, Debug)]
pub struct Instance {
    /// The saga's name.
    pub saga: String,
    /// The instance's id.
    pub id: String,
    /// How it stands.
    pub state: State,
    /// Why it goes back, or is parked.
    pub reason: Option<String>,
    /// When it was started.
    pub started_at: SystemTime,
    /// When something last happened to it.
    pub changed_at: SystemTime,
    /// When it goes back, if it is not done then.
    pub deadline_at: Option<SystemTime>,
    /// When there is something to do, if no event comes before.
    pub due_at: Option<SystemTime>,
    /// The data's version.
    pub version: u32,
    /// The data, as JSON.
    pub data: String,
}

/// How a step of an instance stands.
#[derive(Clone, Debug)]
pub struct StepStatus {
    /// The step's name.
    pub step: String,
    /// How it stands.
    pub state: StepState,
    /// How often it was tried.
    pub attempts: u32,
    /// How often its compensation was tried.
    pub compensation_attempts: u32,
}

/// A line of an instance's history.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When.
    pub at: SystemTime,
    /// The step, if it is of one.
    pub step: Option<String>,
    /// The attempt, if it is of one.
    pub attempt: Option<u32>,
    /// What happened, in a word or two.
    pub what: String,
    /// Why, or which event.
    pub reason: Option<String>,
}

/// An instance with all that is known of it.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The instance.
    pub instance: Instance,
    /// The steps that were tried, in the order in which they ended.
    pub steps: Vec<StepStatus>,
    /// The events that were noted.
    pub signals: Vec<Signal>,
    /// What happened, the oldest first.
    pub history: Vec<Entry>,
}

/// How many instances are forgotten in one transaction.
const PORTION: i64 = 100;

const COLUMNS: &str =
    "saga, id, state, reason, started_at, changed_at, deadline_at, due_at, version, data from {sagas}";

impl<D: Store> SagaAdmin<D> {
    /// Looks whether the tables are there.
    ///
    /// # Errors
    /// `InvalidConfiguration` (tables missing or changed), `Disconnected`, `TimedOut`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn open(store: D) -> Result<Self> {
        store.check().await?;
        Ok(SagaAdmin { store })
    }

    /// Instances by saga and id, at most so many.
    ///
    /// # Errors
    /// `Disconnected`, `TimedOut`, `Decode` (changed by hand).
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn list(&self, filter: &Filter, most: u32) -> Result<Vec<Instance>> {
        let (saga, id) = filter.after.as_ref().map_or(("", ""), |(saga, id)| (saga, id));
        let sql = format!(
            "select {COLUMNS} where saga = coalesce($1, saga) and state = coalesce($2, state) and (saga, id) > ($3, $4)
             order by saga, id limit $5"
        );
        let state = filter.state.map(State::as_str);
        let values: Vec<Value> =
            vec![filter.saga.as_deref().into(), state.into(), saga.into(), id.into(), i64::from(most).into()];
        let mut connection = self.connection().await?;
        self.store.fetch(&mut connection, &sql, values).await?.into_iter().map(instance).collect()
    }

    /// An instance with its history.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn show(&self, saga: &str, id: &str) -> Result<Option<Shown>> {
        let of = || vec![saga.into(), id.into()];
        let mut connection = self.connection().await?;
        let sql = format!("select {COLUMNS} where saga = $1 and id = $2");
        let Some(row) = self.store.fetch(&mut connection, &sql, of()).await?.into_iter().next() else {
            return Ok(None);
        };
        let Some(loaded) = load(&self.store, &mut connection, saga, id).await? else { return Ok(None) };
        let mut steps: Vec<_> = loaded.steps.into_iter().collect();
        steps.sort_by_key(|(_, step)| if step.place == 0 { i64::MAX } else { step.place });
        let status = |(step, it): (String, super::loaded::LoadedStep)| StepStatus {
            step,
            state: it.state,
            attempts: it.attempts,
            compensation_attempts: it.undo_attempts,
        };
        let sql = "select at, step, attempt, what, reason from {saga_history} where saga = $1 and id = $2
                   order by number";
        let history = self.store.fetch(&mut connection, sql, of()).await?;
        Ok(Some(Shown {
            instance: instance(row)?,
            steps: steps.into_iter().map(status).collect(),
            signals: loaded.signals,
            history: history.into_iter().map(entry).collect::<Result<_>>()?,
        }))
    }

    /// Puts a parked instance back to work, with all its attempts anew. False if it is not parked.
    ///
    /// # Errors
    /// `Disconnected`, `TimedOut`.
    ///
    /// # Cancel safety
    /// A cancelled call may have done it.
    pub async fn retry(&self, saga: &str, id: &str) -> Result<bool> {
        let of = || vec![saga.into(), id.into()];
        let mut transaction = self.store.begin().await?;
        if lock(&self.store, &mut transaction, saga, id).await? != Some(State::Parked) {
            return Ok(false);
        }
        // What a correlation gave up is tried again; elsewhere it is what the instance goes back for.
        for sql in [
            "update {sagas} set state = coalesce(resume, 'running'), resume = null, reason = null, due_at = {now},
                 changed_at = {now}, fence = fence + 1, leased_until = 0 where saga = $1 and id = $2",
            "update {saga_steps} set due_at = null, undo_attempts = 0,
                 attempts = case when state in ('begun', 'failed') then 0 else attempts end where saga = $1 and id = $2",
            "update {saga_steps} set state = 'begun' where saga = $1 and id = $2 and state = 'failed' and exists
                 (select 1 from {sagas} i where i.saga = $1 and i.id = $2 and i.state = 'running')",
        ] {
            self.store.execute(&mut transaction, sql, of()).await?;
        }
        let entry = Noted { what: "retried", ..Noted::of(saga, id) };
        note(&self.store, &mut transaction, entry).await?;
        self.store.wake(&mut transaction).await?;
        commit(transaction).await.map(|()| true)
    }

    /// Ends an instance as it is: nothing more is done or undone. False if there is none, or it has ended.
    ///
    /// # Errors
    /// `Disconnected`, `TimedOut`; `InvalidConfiguration` without a reason.
    ///
    /// # Cancel safety
    /// A cancelled call may have done it.
    pub async fn abandon(&self, saga: &str, id: &str, reason: &str) -> Result<bool> {
        if reason.trim().is_empty() {
            let text = "a reason is needed: it is all that is left to know why";
            return Err(Error::new(Kind::InvalidConfiguration, "abandon a saga", text));
        }
        let mut transaction = self.store.begin().await?;
        let state = lock(&self.store, &mut transaction, saga, id).await?;
        if state.is_none_or(State::is_ended) {
            return Ok(false);
        }
        // A runner that is at work on it finds the fence higher than its own, and records nothing more.
        let sql = "update {sagas} set state = 'abandoned', reason = $3, due_at = null, changed_at = {now}, owner = null,
                       fence = fence + 1 where saga = $1 and id = $2";
        self.store.execute(&mut transaction, sql, vec![saga.into(), id.into(), reason.into()]).await?;
        let entry = Noted { what: "abandoned", reason: Some(reason), ..Noted::of(saga, id) };
        note(&self.store, &mut transaction, entry).await?;
        commit(transaction).await.map(|()| true)
    }

    /// Forgets instances that ended longer ago than `age`, with their history; gives how many. One that is started again under
    /// the same id after that is a new one.
    ///
    /// # Errors
    /// `Disconnected`, `TimedOut`; what was forgotten until then is.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn forget(&self, age: Duration) -> Result<u64> {
        let ended = "state in ('completed', 'compensated', 'incomplete', 'abandoned')";
        let mut forgotten = 0;
        loop {
            let mut transaction = self.store.begin().await?;
            let sql = format!(
                "select saga, id from {{sagas}} where {ended} and changed_at < {{now}} - $1 limit $2 {{lock}}"
            );
            let values = vec![millis(age).into(), PORTION.into()];
            let old = self.store.fetch(&mut transaction, &sql, values).await?;
            let count = old.len();
            for mut row in old {
                let of: Vec<Value> = vec![row.text()?.as_str().into(), row.text()?.as_str().into()];
                for table in ["saga_steps", "saga_signals", "saga_history", "sagas"] {
                    let sql = format!("delete from {{{table}}} where saga = $1 and id = $2");
                    self.store.execute(&mut transaction, &sql, of.clone()).await?;
                }
            }
            commit(transaction).await?;
            forgotten += count as u64;
            if (count as i64) < PORTION {
                return Ok(forgotten);
            }
        }
    }

    async fn connection(&self) -> Result<sqlx::pool::PoolConnection<D::Database>> {
        self.store.pool().acquire().await.map_err(|error| crate::database::typed("connect", error))
    }
}

fn instance(mut row: Row) -> Result<Instance> {
    Ok(Instance {
        saga: row.text()?,
        id: row.text()?,
        state: row.text()?.parse()?,
        reason: row.maybe_text()?,
        started_at: time(row.number()?),
        changed_at: time(row.number()?),
        deadline_at: row.maybe_number()?.map(time),
        due_at: row.maybe_number()?.map(time),
        version: row.number()? as u32,
        data: row.text()?,
    })
}

fn entry(mut row: Row) -> Result<Entry> {
    Ok(Entry {
        at: time(row.number()?),
        step: row.maybe_text()?,
        attempt: row.maybe_number()?.map(|attempt| attempt as u32),
        what: row.text()?,
        reason: row.maybe_text()?,
    })
}
