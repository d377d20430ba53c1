//! State correlated by events: nobody is in command, and an instance sees which events came.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anybroker_core::{Error, Kind, Result};
use futures::future::BoxFuture;

use super::context::{Context, StepError};
use super::definition::{Definition, Saga, Signalled};
use super::step::Step;
use super::store::{Connection, Store};

/// Events that belong together by an id, come in any order, and are to be complete within a time.
///
/// An instance begins with its first event. When the last one is noted, or the time has passed, a function runs in the
/// transaction that ends the instance: it may stage a message in an outbox.
pub struct Correlation<D: Store> {
    saga: Saga<(), D>,
    events: Vec<String>,
}

impl<D: Store> Correlation<D> {
    /// A correlation of these events. `complete` runs when all have come, `incomplete` when the time has passed before.
    pub fn new<C, I>(
        store: D,
        name: impl Into<String>,
        events: impl IntoIterator<Item = impl Into<String>>,
        within: Duration,
        complete: C,
        incomplete: I,
    ) -> Self
    where
        C: for<'a> Fn(&'a mut Context<()>, &'a mut Connection<D>) -> BoxFuture<'a, Result<(), StepError>>
            + Send
            + Sync
            + 'static,
        I: for<'a> Fn(&'a mut Context<()>, &'a mut Connection<D>) -> BoxFuture<'a, Result<(), StepError>>
            + Send
            + Sync
            + 'static,
    {
        let events: Vec<String> = events.into_iter().map(Into::into).collect();
        let step =
            Step::wait("events", events.clone(), complete).all().timeout(within).incomplete(incomplete);
        Correlation { saga: Saga::new(store, name, 1).forward_only().step(step), events }
    }

    /// Notes an event in the caller's transaction, once: that of the inbox, if it came as a message.
    ///
    /// # Errors
    /// `InvalidConfiguration` (it is none of the correlation's events), `NotFound` (no tables), `Throttled` (the
    /// transaction must be done again), `Disconnected`.
    ///
    /// # Cancel safety
    /// Not cancel safe: roll the transaction back.
    pub async fn note(
        &self,
        connection: &mut Connection<D>,
        id: &str,
        event: &str,
        payload: &[u8],
    ) -> Result<Signalled> {
        if !self.events.iter().any(|known| known == event) {
            let text = format!("`{event}` is none of its events: {}", self.events.join(", "));
            return Err(Error::new(Kind::InvalidConfiguration, "note an event", text).on(self.name()));
        }
        self.saga.start(&mut *connection, id, &()).await?;
        self.saga.signal(connection, id, event, payload).await
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.saga.name()
    }

    pub(crate) fn definition(&self) -> Arc<Definition<D>> {
        self.saga.definition.clone()
    }
}

impl<D: Store> Clone for Correlation<D> {
    fn clone(&self) -> Self {
        Correlation { saga: self.saga.clone(), events: self.events.clone() }
    }
}

impl<D: Store> fmt::Debug for Correlation<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Correlation").field("name", &self.name()).field("events", &self.events).finish()
    }
}
