//! The steps that a saga is made of.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::context::{Call, Context, StepError};
use super::retry::Retry;
use super::store::{Connection, Store};

/// How long an attempt may take, unless set.
const TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) type Transactional<D> = Arc<
    dyn for<'a> Fn(Call, &'a mut Connection<D>) -> BoxFuture<'a, Result<String, StepError>> + Send + Sync,
>;
pub(crate) type Effect = Arc<dyn Fn(Call) -> BoxFuture<'static, Result<String, StepError>> + Send + Sync>;

/// What there is to do.
pub(crate) enum Action<D: Store> {
    /// In the transaction that records it.
    Transaction(Transactional<D>),
    /// Elsewhere.
    Effect(Effect),
}

impl<D: Store> Clone for Action<D> {
    fn clone(&self) -> Self {
        match self {
            Action::Transaction(run) => Action::Transaction(run.clone()),
            Action::Effect(run) => Action::Effect(run.clone()),
        }
    }
}

/// Which events a step waits for.
#[derive(Clone)]
pub(crate) struct Wait {
    pub(crate) names: Vec<String>,
    /// All of them, not any.
    pub(crate) all: bool,
}

/// A step without its data's type.
#[derive(Clone)]
pub(crate) struct Definition<D: Store> {
    pub(crate) name: String,
    pub(crate) wait: Option<Wait>,
    pub(crate) execute: Action<D>,
    pub(crate) compensate: Option<Action<D>>,
    /// What to do when the events do not come, if that is an end of its own.
    pub(crate) incomplete: Option<Action<D>>,
    pub(crate) retry: Retry,
    /// Of an attempt; of the waiting, for a step that waits.
    pub(crate) timeout: Option<Duration>,
}

impl<D: Store> Definition<D> {
    /// Its effect is elsewhere.
    pub(crate) fn is_effect(&self) -> bool {
        matches!(self.execute, Action::Effect(_))
    }

    pub(crate) fn attempt_timeout(&self) -> Duration {
        self.timeout.filter(|_| self.wait.is_none()).unwrap_or(TIMEOUT)
    }
}

/// A step of a saga whose data is `T`.
pub struct Step<T, D: Store> {
    pub(crate) definition: Definition<D>,
    data: PhantomData<fn(T)>,
}

impl<T: Serialize + DeserializeOwned + Send + 'static, D: Store> Step<T, D> {
    /// A step whose effect is in the database: it is committed in one transaction with the record of it, so that both are
    /// there or neither is. It may stage messages in an outbox. Keep it short; on SQLite, others cannot write meanwhile.
    pub fn transaction<F>(name: impl Into<String>, execute: F) -> Self
    where
        F: for<'a> Fn(&'a mut Context<T>, &'a mut Connection<D>) -> BoxFuture<'a, Result<(), StepError>>
            + Send
            + Sync
            + 'static,
    {
        Self::new(name.into(), None, transaction(execute))
    }

    /// A step whose effect is elsewhere. It is begun on record before, and done on record after: a crash in between, or a
    /// time-out, lets it be done again, with the same [idempotency key](Context::idempotency_key). Given up on, it may have
    /// taken effect, and is compensated too; unless it was [declined](StepError::declined).
    pub fn effect<F>(name: impl Into<String>, execute: F) -> Self
    where
        F: for<'a> Fn(&'a mut Context<T>) -> BoxFuture<'a, Result<(), StepError>> + Send + Sync + 'static,
    {
        Self::new(name.into(), None, effect(execute))
    }

    /// A step that waits until one of these events is [signalled](super::Saga::signal), and then runs in a transaction.
    /// [`timeout`](Self::timeout) bounds the waiting, which is as long as it takes otherwise.
    pub fn wait<F>(
        name: impl Into<String>,
        events: impl IntoIterator<Item = impl Into<String>>,
        execute: F,
    ) -> Self
    where
        F: for<'a> Fn(&'a mut Context<T>, &'a mut Connection<D>) -> BoxFuture<'a, Result<(), StepError>>
            + Send
            + Sync
            + 'static,
    {
        let names = events.into_iter().map(Into::into).collect();
        Self::new(name.into(), Some(Wait { names, all: false }), transaction(execute))
    }

    fn new(name: String, wait: Option<Wait>, execute: Action<D>) -> Self {
        let definition = Definition {
            name,
            wait,
            execute,
            compensate: None,
            incomplete: None,
            retry: Retry::default(),
            timeout: None,
        };
        Step { definition, data: PhantomData }
    }

    /// Waits for all of its events, not for any.
    pub fn all(mut self) -> Self {
        if let Some(wait) = &mut self.definition.wait {
            wait.all = true;
        }
        self
    }

    /// What undoes it, in a transaction.
    pub fn compensate<F>(mut self, compensate: F) -> Self
    where
        F: for<'a> Fn(&'a mut Context<T>, &'a mut Connection<D>) -> BoxFuture<'a, Result<(), StepError>>
            + Send
            + Sync
            + 'static,
    {
        self.definition.compensate = Some(transaction(compensate));
        self
    }

    /// What undoes it elsewhere.
    pub fn compensate_effect<F>(mut self, compensate: F) -> Self
    where
        F: for<'a> Fn(&'a mut Context<T>) -> BoxFuture<'a, Result<(), StepError>> + Send + Sync + 'static,
    {
        self.definition.compensate = Some(effect(compensate));
        self
    }

    pub(crate) fn incomplete<F>(mut self, incomplete: F) -> Self
    where
        F: for<'a> Fn(&'a mut Context<T>, &'a mut Connection<D>) -> BoxFuture<'a, Result<(), StepError>>
            + Send
            + Sync
            + 'static,
    {
        self.definition.incomplete = Some(transaction(incomplete));
        self
    }

    /// How often and when it, or its compensation, is tried again.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.definition.retry = retry;
        self
    }

    /// How long an attempt may take, 30 seconds by default; for a step that waits, how long it waits.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.definition.timeout = Some(timeout);
        self
    }
}

fn transaction<T, D, F>(run: F) -> Action<D>
where
    T: Serialize + DeserializeOwned + Send + 'static,
    D: Store,
    F: for<'a> Fn(&'a mut Context<T>, &'a mut Connection<D>) -> BoxFuture<'a, Result<(), StepError>>
        + Send
        + Sync
        + 'static,
{
    let run = Arc::new(run);
    Action::Transaction(in_transaction::<D, _>(move |call, connection| {
        let run = run.clone();
        Box::pin(async move {
            let mut context = call.open::<T>()?;
            run(&mut context, connection).await?;
            context.close()
        })
    }))
}

/// Says what the closure's lifetimes are.
fn in_transaction<D, F>(run: F) -> Transactional<D>
where
    D: Store,
    F: for<'a> Fn(Call, &'a mut Connection<D>) -> BoxFuture<'a, Result<String, StepError>>
        + Send
        + Sync
        + 'static,
{
    Arc::new(run)
}

fn effect<T, D, F>(run: F) -> Action<D>
where
    T: Serialize + DeserializeOwned + Send + 'static,
    D: Store,
    F: for<'a> Fn(&'a mut Context<T>) -> BoxFuture<'a, Result<(), StepError>> + Send + Sync + 'static,
{
    let run = Arc::new(run);
    Action::Effect(Arc::new(move |call: Call| {
        let run = run.clone();
        Box::pin(async move {
            let mut context = call.open::<T>()?;
            run(&mut context).await?;
            context.close()
        })
    }))
}

impl<T, D: Store> fmt::Debug for Step<T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step").field("name", &self.definition.name).finish_non_exhaustive()
    }
}
