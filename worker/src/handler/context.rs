//! What a handler may ask for besides its event.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use anybroker_core::{
    Delivery, Error, Group, Held, Kind, Result, SettleError, Settled, Settlement, Settler, Standing, Token,
    Topic,
};
use async_trait::async_trait;
use tokio::time::{Duration, Instant};

use crate::outputs::{Output, Outputs};
use crate::publishers::Publishers;

/// The application's values, one of each type.
pub(crate) type States = HashMap<TypeId, Arc<dyn Any + Send + Sync>>;

/// What a worker lends to its handlers; extractors find it through the delivery.
#[derive(Clone)]
pub struct Context {
    states: Arc<States>,
    publishers: Publishers,
    /// How long a handler may take.
    limit: Option<Duration>,
    /// Until when the one that runs may; 0 if nobody has asked yet.
    deadline: Arc<AtomicU64>,
    /// Where the handler that runs publishes, if that belongs to a transaction.
    outputs: Arc<Mutex<Option<Arc<Outputs>>>>,
}

impl Context {
    pub(crate) fn new(states: Arc<States>, publishers: Publishers) -> Self {
        Context { states, publishers, limit: None, deadline: Arc::default(), outputs: Arc::default() }
    }

    /// The context of the worker that handles `delivery`.
    pub fn of(delivery: &Delivery) -> Option<&Self> {
        delivery.settler()?.context()?.downcast_ref()
    }

    /// For another slot: what belongs to the handler that runs is its own.
    pub(crate) fn fork(&self) -> Self {
        Context { deadline: Arc::default(), outputs: Arc::default(), ..self.clone() }
    }

    pub(crate) fn with_limit(self, limit: Option<Duration>) -> Self {
        Context { limit, ..self }
    }

    fn outputs(&self) -> MutexGuard<'_, Option<Arc<Outputs>>> {
        self.outputs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A handler begins whose publishes belong to a transaction.
    pub(crate) fn begin_outputs(&self) {
        *self.outputs() = Some(Outputs::open());
    }

    /// It has ended; what it has published.
    pub(crate) fn end_outputs(&self) -> Vec<Output> {
        self.outputs().take().map(|outputs| outputs.end()).unwrap_or_default()
    }

    pub(crate) fn state<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.states.get(&TypeId::of::<T>())?.downcast_ref().cloned()
    }

    /// Publishes for the handler that runs.
    pub fn publishers(&self) -> Publishers {
        match &*self.outputs() {
            Some(outputs) => self.publishers.within(outputs.clone()),
            None => self.publishers.clone(),
        }
    }

    /// The worker's own.
    pub(crate) fn all_publishers(&self) -> &Publishers {
        &self.publishers
    }

    /// A handler begins, which has its whole time.
    pub(crate) fn begin_deadline(&self) {
        self.deadline.store(0, Ordering::Relaxed);
    }

    /// When the handler that runs is dropped; none if it may take for ever. Its time is counted from when it first waits or
    /// asks for this: most do neither, and are spared the clock.
    pub fn deadline(&self) -> Option<Instant> {
        let limit = self.limit?;
        let since_epoch = (Instant::now() + limit).saturating_duration_since(epoch()).as_nanos() as u64;
        let known = self.deadline.compare_exchange(0, since_epoch, Ordering::Relaxed, Ordering::Relaxed);
        Some(epoch() + Duration::from_nanos(known.err().unwrap_or(since_epoch)))
    }
}

/// What deadlines are counted from, so that they fit a number.
fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    // A second back: no deadline is at 0.
    *EPOCH.get_or_init(|| Instant::now().checked_sub(Duration::from_secs(1)).unwrap_or_else(Instant::now))
}

/// Settles nothing: the worker does, by what the handler returns.
pub(crate) struct HandlerSettler {
    worker: Arc<dyn Settler>,
    pub(crate) context: Context,
}

impl HandlerSettler {
    pub(crate) fn new(worker: Arc<dyn Settler>, context: Context) -> Self {
        HandlerSettler { worker, context }
    }
}

#[async_trait]
impl Settler for HandlerSettler {
    async fn settle(&self, batch: Vec<Settlement>) -> Vec<Result<Settled, SettleError>> {
        let refused = |settlement: Settlement| {
            let error =
                Error::new(Kind::Unsupported, "settle", "the worker settles what it gives to a handler");
            let error = error.advice("return Ok to acknowledge, a Failure to retry or dead-letter");
            Err(SettleError::new(error, settlement.delivery))
        };
        batch.into_iter().map(refused).collect()
    }

    async fn flush(&self) -> Result<Held> {
        self.worker.flush().await
    }

    fn release(&self, _token: Token) {}

    fn is_current(&self, token: Token) -> bool {
        self.worker.is_current(token)
    }

    fn standing(&self, tokens: &[Token]) -> Vec<Standing> {
        self.worker.standing(tokens)
    }

    fn context(&self) -> Option<&(dyn Any + Send + Sync)> {
        Some(&self.context)
    }

    fn topic(&self) -> &Topic {
        self.worker.topic()
    }

    fn group(&self) -> &Group {
        self.worker.group()
    }
}
