//! One attempt of a step, or of its compensation.

use anybroker_core::{Error, Kind, Result};

use super::SagaRunner;
use crate::saga::commit;
use crate::saga::context::{Call, StepError};
use crate::saga::definition::Definition;
use crate::saga::instances::millis;
use crate::saga::loaded::Loaded;
use crate::saga::record::{Lease, Record};
use crate::saga::state::State;
use crate::saga::step::{self, Action};
use crate::saga::store::{Store, Transaction};

/// What an attempt came to.
enum Attempted<D: Store> {
    /// The data afterwards; with the transaction that its effect is in, if it is in one.
    Done(String, Option<Transaction<D>>),
    Failed(StepError),
}

/// An attempt of something: what is the same for steps and their compensations.
struct Attempt<'a, D: Store> {
    runner: &'a SagaRunner<D>,
    definition: &'a Definition<D>,
    lease: &'a Lease,
    loaded: &'a Loaded,
    step: &'a step::Definition<D>,
    undo: bool,
}

impl<D: Store> SagaRunner<D> {
    fn attempt<'a>(
        &'a self,
        definition: &'a Definition<D>,
        lease: &'a Lease,
        loaded: &'a Loaded,
        step: &str,
        undo: bool,
    ) -> Result<Attempt<'a, D>> {
        let step = definition.step(step).ok_or_else(|| {
            Error::new(Kind::Unexpected, "run a saga", format!("there is no step `{step}`"))
        })?;
        Ok(Attempt { runner: self, definition, lease, loaded, step, undo })
    }

    /// Tries a step, and records what came of it.
    pub(super) async fn execute(
        &self,
        definition: &Definition<D>,
        lease: &Lease,
        loaded: &Loaded,
        step: &str,
    ) -> Result<()> {
        let attempt = self.attempt(definition, lease, loaded, step, false)?;
        match attempt.run(&attempt.step.execute).await? {
            Attempted::Done(data, transaction) => attempt.done(&data, transaction).await,
            Attempted::Failed(error) => attempt.failed(error).await,
        }
    }

    /// Runs what a step has for events that did not come, and ends the instance in the same transaction.
    pub(super) async fn incomplete(
        &self,
        definition: &Definition<D>,
        lease: &Lease,
        loaded: &Loaded,
        step: &str,
    ) -> Result<()> {
        let attempt = self.attempt(definition, lease, loaded, step, false)?;
        let Some(action) = &attempt.step.incomplete else { return Ok(()) };
        match attempt.run(action).await? {
            Attempted::Done(_, transaction) => {
                let mut transaction = attempt.transaction(transaction).await?;
                let mut record = Record::open(&self.store, &mut transaction, lease).await?;
                record.end(State::Incomplete).await?;
                commit(transaction).await?;
                self.progress.count_ended();
                Ok(())
            }
            Attempted::Failed(error) => attempt.failed(error).await,
        }
    }

    /// Tries to undo a step, and records what came of it.
    pub(super) async fn undo(
        &self,
        definition: &Definition<D>,
        lease: &Lease,
        loaded: &Loaded,
        step: &str,
    ) -> Result<()> {
        let attempt = self.attempt(definition, lease, loaded, step, true)?;
        let undone = match &attempt.step.compensate {
            Some(action) => attempt.run(action).await?,
            None => Attempted::Done(loaded.data.clone(), None),
        };
        match undone {
            Attempted::Done(data, transaction) => attempt.undone(&data, transaction).await,
            Attempted::Failed(error) => attempt.undo_failed(error).await,
        }
    }
}

impl<D: Store> Attempt<'_, D> {
    async fn run(&self, action: &Action<D>) -> Result<Attempted<D>> {
        match action {
            Action::Transaction(run) => {
                let mut transaction = self.runner.store.begin().await?;
                let done = self.bounded(run(self.call(), &mut transaction)).await;
                Ok(done.map_or_else(Attempted::Failed, |data| Attempted::Done(data, Some(transaction))))
            }
            Action::Effect(run) => {
                let mut transaction = self.runner.store.begin().await?;
                let mut record = Record::open(&self.runner.store, &mut transaction, self.lease).await?;
                if self.undo {
                    record.undo_begun(&self.step.name).await?;
                } else {
                    record.begun(&self.step.name).await?;
                }
                commit(transaction).await?;
                let done = self.bounded(run(self.call())).await;
                Ok(done.map_or_else(Attempted::Failed, |data| Attempted::Done(data, None)))
            }
        }
    }

    async fn bounded(
        &self,
        run: impl Future<Output = Result<String, StepError>>,
    ) -> Result<String, StepError> {
        let mut most = self.step.attempt_timeout();
        if let Some(deadline) = self.loaded.deadline_at.filter(|_| !self.undo) {
            let left = deadline.saturating_sub(self.loaded.now).max(0) as u64;
            most = most.min(std::time::Duration::from_millis(left));
        }
        match tokio::time::timeout(most, run).await {
            Ok(done) => done,
            Err(_) => Err(StepError::failed(format!("timed out after {}", humantime::format_duration(most)))),
        }
    }

    async fn done(&self, data: &str, transaction: Option<Transaction<D>>) -> Result<()> {
        let counted = transaction.is_none();
        let mut transaction = self.transaction(transaction).await?;
        let mut record = Record::open(&self.runner.store, &mut transaction, self.lease).await?;
        let change = (self.loaded.data.as_str(), data);
        match record.done(self.definition, &self.step.name, counted, change).await? {
            Ok(()) => commit(transaction).await,
            Err(conflict) => {
                drop(transaction);
                self.give_up(&conflict, self.step.is_effect()).await
            }
        }
    }

    async fn failed(&self, error: StepError) -> Result<()> {
        let counted = self.step.is_effect();
        let before = self.loaded.steps.get(&self.step.name).map_or(0, |step| step.attempts);
        let again = self.step.retry.after(before + 1).filter(|_| !error.declined);
        let Some(again) = again else {
            return self.give_up(&error.reason, counted && !error.declined).await;
        };
        let mut transaction = self.runner.store.begin().await?;
        let mut record = Record::open(&self.runner.store, &mut transaction, self.lease).await?;
        record.failed(&self.step.name, counted, millis(again), &error.reason).await?;
        commit(transaction).await
    }

    async fn give_up(&self, reason: &str, unsure: bool) -> Result<()> {
        let mut transaction = self.runner.store.begin().await?;
        let mut record = Record::open(&self.runner.store, &mut transaction, self.lease).await?;
        record.give_up(&self.step.name, self.step.is_effect(), unsure, reason).await?;
        commit(transaction).await
    }

    async fn undone(&self, data: &str, transaction: Option<Transaction<D>>) -> Result<()> {
        let counted = transaction.is_none();
        let mut transaction = self.transaction(transaction).await?;
        let mut record = Record::open(&self.runner.store, &mut transaction, self.lease).await?;
        record.undone(self.definition, &self.step.name, counted, data).await?;
        commit(transaction).await
    }

    async fn undo_failed(&self, error: StepError) -> Result<()> {
        let name = &self.step.name;
        let counted = matches!(self.step.compensate, Some(Action::Effect(_)));
        let before = self.loaded.steps.get(name).map_or(0, |step| step.undo_attempts);
        let again = self.step.retry.after(before + 1).filter(|_| !error.declined);
        let mut transaction = self.runner.store.begin().await?;
        let mut record = Record::open(&self.runner.store, &mut transaction, self.lease).await?;
        record.undo_failed(name, counted, again.map_or(0, millis), &error.reason).await?;
        if again.is_some() {
            return commit(transaction).await;
        }
        let reason = format!("step `{name}` could not be compensated: {}", error.reason);
        record.park(Some(name), &reason).await?;
        commit(transaction).await?;
        self.runner.parked(self.lease, &reason);
        Ok(())
    }

    /// That of the effect, or one of the record's own.
    async fn transaction(&self, effect: Option<Transaction<D>>) -> Result<Transaction<D>> {
        match effect {
            Some(transaction) => Ok(transaction),
            None => self.runner.store.begin().await,
        }
    }

    fn call(&self) -> Call {
        let tried = self.loaded.steps.get(&self.step.name);
        let before = tried.map_or(0, |step| if self.undo { step.undo_attempts } else { step.attempts });
        Call {
            saga: self.lease.saga.clone(),
            id: self.lease.id.clone(),
            step: self.step.name.clone(),
            undo: self.undo,
            attempt: before + 1,
            data: self.loaded.data.clone(),
            signals: self.loaded.signals.clone(),
        }
    }
}
