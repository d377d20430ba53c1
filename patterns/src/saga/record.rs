//! The record of what happened to an instance. Each is written in one transaction, by whoever has the instance.

use anybroker_core::{Error, Kind, Result};

use super::definition::Definition;
use super::instances::{Entry, note};
use super::loaded;
use super::merge::merge;
use super::state::{State, StepState};
use super::step::Action;
use super::store::{Connection, Store, Value};

/// An instance in a runner's hands.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    pub(crate) saga: String,
    pub(crate) id: String,
    /// Higher than that of whoever had it before.
    pub(crate) fence: i64,
}

/// Writes in a transaction in which the instance is locked.
pub(crate) struct Record<'a, D: Store> {
    store: &'a D,
    connection: &'a mut Connection<D>,
    lease: &'a Lease,
    version: i64,
    data: String,
}

impl<'a, D: Store> Record<'a, D> {
    /// Locks the instance, and sees whether it is this runner's still.
    pub(crate) async fn open(
        store: &'a D,
        connection: &'a mut Connection<D>,
        lease: &'a Lease,
    ) -> Result<Self> {
        let sql = "select version, data from {sagas} where saga = $1 and id = $2 and fence = $3 {lock}";
        let values = vec![lease.saga.as_str().into(), lease.id.as_str().into(), lease.fence.into()];
        let Some(mut row) = store.fetch(connection, sql, values).await?.into_iter().next() else {
            let text = "another runner, or somebody by hand, has taken the instance over";
            return Err(Error::new(Kind::Fenced, "record a step", text).on(lease.to_string()));
        };
        let (version, data) = (row.number()?, row.text()?);
        Ok(Record { store, connection, lease, version, data })
    }

    /// An attempt begins whose effect is elsewhere.
    pub(crate) async fn begun(&mut self, step: &str) -> Result<()> {
        self.upsert(step, "begun", 1, None).await?;
        self.note_attempt(step, "begun", None).await
    }

    /// A compensation begins whose effect is elsewhere.
    pub(crate) async fn undo_begun(&mut self, step: &str) -> Result<()> {
        self.set_step(step, "undo_attempts = undo_attempts + 1, due_at = null", vec![]).await?;
        self.note_undo(step, "compensation begun", None).await
    }

    /// A step succeeded. `base` is the data that it began with, `after` what it made of it.
    pub(crate) async fn done(
        &mut self,
        definition: &Definition<D>,
        step: &str,
        counted: bool,
        (base, after): (&str, &str),
    ) -> Result<Result<(), String>> {
        let theirs = definition.data(self.version, &self.data)?;
        let merged = match merge(base, after, &theirs) {
            Ok(merged) => merged,
            Err(conflict) => return Ok(Err(conflict)),
        };
        self.upsert(step, "done", i64::from(!counted), None).await?;
        self.place(step).await?;
        self.keep(definition, &merged).await?;
        self.note_attempt(step, "done", None).await?;
        Ok(Ok(()))
    }

    /// A step was undone.
    pub(crate) async fn undone(
        &mut self,
        definition: &Definition<D>,
        step: &str,
        counted: bool,
        data: &str,
    ) -> Result<()> {
        let more = i64::from(!counted);
        let set = format!(
            "state = 'compensated', undo_attempts = undo_attempts + {more}, due_at = null, changed_at = {{now}}"
        );
        self.set_step(step, &set, vec![]).await?;
        self.keep(definition, data).await?;
        self.note_undo(step, "compensated", None).await
    }

    /// An attempt failed, and the next one is due after so many milliseconds.
    pub(crate) async fn failed(&mut self, step: &str, counted: bool, again: i64, reason: &str) -> Result<()> {
        self.upsert(step, "begun", i64::from(!counted), Some(again)).await?;
        self.note_attempt(step, "failed", Some(reason)).await
    }

    /// The same of a compensation.
    pub(crate) async fn undo_failed(
        &mut self,
        step: &str,
        counted: bool,
        again: i64,
        reason: &str,
    ) -> Result<()> {
        let more = i64::from(!counted);
        let set = format!("undo_attempts = undo_attempts + {more}, due_at = {{now}} + {again}");
        self.set_step(step, &set, vec![]).await?;
        self.note_undo(step, "compensation failed", Some(reason)).await
    }

    /// A step is not tried again.
    pub(crate) async fn give_up(
        &mut self,
        step: &str,
        counted: bool,
        unsure: bool,
        reason: &str,
    ) -> Result<()> {
        let state = if unsure { StepState::Unsure } else { StepState::Failed };
        self.upsert(step, state.as_str(), i64::from(!counted), None).await?;
        self.set_step(step, "reason = $4", vec![reason.into()]).await?;
        self.place(step).await?;
        self.note_attempt(step, "given up", Some(reason)).await
    }

    /// From now on the instance goes back. Of what was under way, what has effects elsewhere may have had them.
    pub(crate) async fn fail(&mut self, definition: &Definition<D>, reason: &str) -> Result<()> {
        for step in definition.steps() {
            let state = match step.execute {
                Action::Effect(_) => "unsure",
                Action::Transaction(_) => "failed",
            };
            let sql = format!(
                "update {{saga_steps}} set state = '{state}', due_at = null, changed_at = {{now}},
                     place = (select coalesce(max(p.place), 0) + 1 from {{saga_steps}} p where p.saga = $1 and p.id = $2)
                 where saga = $1 and id = $2 and step = $3 and state = 'begun'"
            );
            self.execute(&sql, vec![step.name.as_str().into()]).await?;
        }
        self.state(State::Compensating, "due_at = {now}", Some(reason)).await
    }

    /// The instance waits for somebody to look.
    pub(crate) async fn park(&mut self, step: Option<&str>, reason: &str) -> Result<()> {
        let sql = "update {sagas} set resume = state, state = 'parked', reason = $3, changed_at = {now}, due_at = null,
                       owner = null, leased_until = 0
                   where saga = $1 and id = $2 and state <> 'parked'";
        self.execute(sql, vec![reason.into()]).await?;
        let entry = Entry { step, what: "parked", reason: Some(reason), ..self.entry() };
        note(self.store, &mut *self.connection, entry).await
    }

    /// Nothing happens to it any more.
    pub(crate) async fn end(&mut self, state: State) -> Result<()> {
        self.state(state, "due_at = null, owner = null, leased_until = 0", None).await
    }

    /// Leaves the instance until something is due; unless an event came since it was read, of which there were `events`.
    pub(crate) async fn leave(&mut self, until: Option<i64>, events: usize) -> Result<bool> {
        let (saga, id) = (&self.lease.saga, &self.lease.id);
        if loaded::signals(self.store, &mut *self.connection, saga, id).await?.len() != events {
            return Ok(false);
        }
        let sql =
            "update {sagas} set due_at = $3, owner = null, leased_until = 0 where saga = $1 and id = $2";
        self.execute(sql, vec![until.into()]).await?;
        Ok(true)
    }

    async fn state(&mut self, state: State, set: &str, reason: Option<&str>) -> Result<()> {
        let sql = format!(
            "update {{sagas}} set state = $3, reason = coalesce($4, reason), changed_at = {{now}}, {set}
             where saga = $1 and id = $2"
        );
        self.execute(&sql, vec![state.as_str().into(), reason.into()]).await?;
        let entry = Entry { what: state.as_str(), reason, ..self.entry() };
        note(self.store, &mut *self.connection, entry).await
    }

    async fn keep(&mut self, definition: &Definition<D>, data: &str) -> Result<()> {
        let sql =
            "update {sagas} set data = $3, version = $4, changed_at = {now} where saga = $1 and id = $2";
        self.execute(sql, vec![data.into(), i64::from(definition.version).into()]).await
    }

    /// Says that a step is the last that ended.
    async fn place(&mut self, step: &str) -> Result<()> {
        let sql = "update {saga_steps} set changed_at = {now},
                       place = (select coalesce(max(p.place), 0) + 1 from {saga_steps} p where p.saga = $1 and p.id = $2)
                   where saga = $1 and id = $2 and step = $3";
        self.execute(sql, vec![step.into()]).await
    }

    /// Notes how a step stands, after so many attempts more, and in how many milliseconds it is due.
    async fn upsert(&mut self, step: &str, state: &str, more: i64, again: Option<i64>) -> Result<()> {
        let sql = "insert into {saga_steps} as s (saga, id, step, state, attempts, changed_at, due_at)
                   values ($1, $2, $3, $4, $5, {now}, {now} + $6) on conflict (saga, id, step) do update set
                       state = excluded.state, attempts = s.attempts + excluded.attempts, due_at = excluded.due_at";
        self.execute(sql, vec![step.into(), state.into(), more.into(), again.into()]).await
    }

    async fn set_step(&mut self, step: &str, set: &str, more: Vec<Value>) -> Result<()> {
        let sql = format!("update {{saga_steps}} set {set} where saga = $1 and id = $2 and step = $3");
        self.execute(&sql, [vec![step.into()], more].concat()).await
    }

    async fn note_attempt(&mut self, step: &str, what: &str, reason: Option<&str>) -> Result<()> {
        self.note_count(step, what, reason, "attempts").await
    }

    async fn note_undo(&mut self, step: &str, what: &str, reason: Option<&str>) -> Result<()> {
        self.note_count(step, what, reason, "undo_attempts").await
    }

    async fn note_count(&mut self, step: &str, what: &str, reason: Option<&str>, count: &str) -> Result<()> {
        let sql = format!(
            "insert into {{saga_history}} (saga, id, at, step, attempt, what, reason)
             select saga, id, {{now}}, step, {count}, $4, $5 from {{saga_steps}}
             where saga = $1 and id = $2 and step = $3"
        );
        self.execute(&sql, vec![step.into(), what.into(), reason.into()]).await
    }

    async fn execute(&mut self, sql: &str, more: Vec<Value>) -> Result<()> {
        let values = [vec![self.lease.saga.as_str().into(), self.lease.id.as_str().into()], more].concat();
        self.store.execute(&mut *self.connection, sql, values).await.map(drop)
    }

    fn entry(&self) -> Entry<'a> {
        Entry::of(&self.lease.saga, &self.lease.id)
    }
}

impl std::fmt::Display for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.saga, self.id)
    }
}
