//! A member of a service: receives, handles, publishes what follows, and only then acknowledges.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anybroker::{
    Consumer, Delivery, Key, Kind, Message, MessageId, Outcome, Publisher, PublisherExt, Result, Settlement,
    Settler, Verdict,
};
use tokio::sync::watch;

use crate::pipeline::{Next, Outgoing};
use crate::tally::Tally;

/// What a service does with a message: what it publishes, and where.
pub(crate) type Handler = Arc<dyn Fn(&Delivery) -> Result<Outgoing> + Send + Sync>;

/// The messages that a service has handled: shared by its members, as a database would be.
#[derive(Clone, Default)]
pub(crate) struct Handled(Arc<Mutex<HashMap<MessageId, Outgoing>>>);

impl Handled {
    fn before(&self, id: &MessageId) -> Option<Outgoing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    fn note(&self, id: MessageId, sent: Outgoing) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id, sent);
    }
}

pub(crate) struct Service {
    pub(crate) settler: Arc<dyn Settler>,
    pub(crate) publishers: HashMap<Next, Arc<dyn Publisher>>,
    pub(crate) handler: Handler,
    pub(crate) handled: Handled,
    pub(crate) tally: Arc<Tally>,
}

/// The most messages handled before they are acknowledged.
const BATCH: usize = 200;
/// How long a failed handler waits.
const RETRY: Duration = Duration::from_millis(20);

impl Service {
    /// Serves until it is told to stop; then closes in order.
    pub(crate) async fn run(
        self,
        mut consumer: Box<dyn Consumer>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<()> {
        loop {
            let batch = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                batch = consumer.receive(BATCH) => batch?,
            };
            self.serve(batch).await?;
        }
        consumer.close().await
    }

    async fn serve(&self, batch: Vec<Delivery>) -> Result<()> {
        let mut failed = HashSet::new();
        let (mut done, mut sending) = (Vec::new(), Vec::new());
        for delivery in batch {
            // After a failure the later messages of its key come again behind it; they must not be handled first.
            if failed.contains(&delivery.to_key()) {
                continue;
            }
            match self.handle(&delivery) {
                Ok(messages) => {
                    sending.extend(messages);
                    done.push(Settlement::ack(delivery));
                }
                Err(_) => {
                    self.tally.retried();
                    failed.insert(delivery.to_key());
                    done.push(Settlement::nack(delivery, RETRY));
                }
            }
        }
        // What follows is confirmed before what caused it is acknowledged: a crash in between repeats, and loses nothing.
        let unsent = self.send(sending).await;
        for settlement in &mut done {
            if settlement.verdict == Verdict::Ack && unsent.contains(&settlement.delivery.to_key()) {
                settlement.verdict = Verdict::Nack { delay: RETRY };
            }
        }
        for result in self.settler.settle(done).await {
            match result {
                // Somebody else has it now, or it comes again: its duplicate will be recognised.
                Err(refused) if matches!(refused.error().kind(), Kind::Superseded | Kind::Fenced) => {}
                other => drop(other?),
            }
        }
        Ok(())
    }

    /// Handles a message once: a second delivery of it publishes what the first one did.
    fn handle(&self, delivery: &Delivery) -> Result<Outgoing> {
        self.tally.delivered(delivery);
        let id = delivery.id().unwrap_or_default();
        if let Some(sent) = self.handled.before(&id) {
            self.tally.suppressed();
            return Ok(sent);
        }
        self.tally.stumble(&id, delivery.attempt())?;
        let messages = (self.handler)(delivery)?;
        self.handled.note(id, messages.clone());
        Ok(messages)
    }

    /// Publishes what follows; says of which keys something was not confirmed.
    async fn send(&self, messages: Outgoing) -> HashSet<Option<Key>> {
        let mut batches: HashMap<Next, Vec<Message>> = HashMap::new();
        for (next, message) in messages {
            batches.entry(next).or_default().push(message);
        }
        let mut unsent = HashSet::new();
        for (next, batch) in batches {
            let Some(publisher) = self.publishers.get(&next) else { continue };
            for outcome in publisher.publish_batch(batch).await {
                unsent.extend(self.unconfirmed(&**publisher, outcome));
            }
        }
        unsent
    }

    fn unconfirmed(&self, publisher: &dyn Publisher, outcome: Outcome) -> Option<Option<Key>> {
        let (_, message) = outcome.err()?.into_parts();
        if let Some(key) = &message.key {
            // Its input comes again, and with it this message, before anything later of the key.
            publisher.resume(key);
        }
        Some(message.key)
    }
}
