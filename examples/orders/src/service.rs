//! A service: handles a batch in one transaction, publishes what follows, and only then says that it is done.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use anybroker::worker::{Failure, HandlerError, Outcomes};
use anybroker::{Delivery, Key, Message, Outcome, Publisher, PublisherExt, Result};
use tokio::sync::watch;

use crate::inbox::{self, Handled};
use crate::report;
use crate::state::State;
use crate::topics::Place;

#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) place: Place,
    pub(crate) publishers: HashMap<Place, Arc<dyn Publisher>>,
    pub(crate) state: State,
    /// How many orders have ended, for whoever waits for them.
    pub(crate) ended: Arc<watch::Sender<u32>>,
}

impl Service {
    /// Handles a batch. What is wrong with the database or the program ends the worker.
    pub(crate) async fn handle(self, batch: Vec<Delivery>) -> std::result::Result<Outcomes, HandlerError> {
        let handled = self.take_effect(batch).await.map_err(|error| HandlerError(Failure::fatal(error)))?;
        Ok(handled.into_iter().map(|message| message.result.map(drop)).collect::<Vec<_>>().into())
    }

    async fn take_effect(&self, batch: Vec<Delivery>) -> Result<Vec<Handled>> {
        let place = self.place;
        let work = move |transaction: &rusqlite::Transaction<'_>| {
            let handled = inbox::handle_all(transaction, place, &batch)?;
            Ok((handled, report::count_ended(transaction)?))
        };
        let (mut handled, ended) = self.state.transaction(work).await?;
        // What follows is confirmed before what caused it is acknowledged: a crash in between repeats, and loses nothing.
        let unsent = self.send(&handled).await?;
        for message in handled.iter_mut().filter(|message| unsent.contains(&message.key)) {
            message.result = Err(Failure::retryable("what follows from it was not confirmed"));
        }
        self.ended.send_modify(|before| *before = ended.max(*before));
        Ok(handled)
    }

    /// Publishes what follows; says of which keys something was not confirmed.
    async fn send(&self, handled: &[Handled]) -> Result<HashSet<Option<Key>>> {
        let mut batches: HashMap<Place, Vec<Message>> = HashMap::new();
        for fact in handled.iter().filter_map(|message| message.result.as_ref().ok()?.as_ref()) {
            batches.entry(fact.place()).or_default().push(fact.message()?);
        }
        let mut unsent = HashSet::new();
        for (place, batch) in batches {
            let Some(publisher) = self.publishers.get(&place) else { continue };
            for outcome in publisher.publish_batch(batch).await {
                unsent.extend(unconfirmed(&**publisher, outcome));
            }
        }
        Ok(unsent)
    }
}

fn unconfirmed(publisher: &dyn Publisher, outcome: Outcome) -> Option<Option<Key>> {
    let (_, message) = outcome.err()?.into_parts();
    if let Some(key) = &message.key {
        // Its cause comes again, and with it this message, before anything later of the key.
        publisher.resume(key);
    }
    Some(message.key)
}
