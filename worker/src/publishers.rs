//! Publishing from handlers.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use anybroker_core::{
    Broker, Error, Event, Kind, Message, PublishError, Publisher, PublisherExt, PublisherOptions, Receipt,
    Result, Topic,
};
use tokio::sync::Mutex;

use crate::outputs::{OutputPublisher, Outputs};
use crate::telemetry::Spans;

/// Publishers by topic, opened on first use and shared by all handlers of a worker.
///
/// What a handler publishes is not undone when it fails afterwards: the next attempt publishes again. Give such messages an
/// id that follows from the message handled, and let the consumer know it by that.
///
/// Where the subscription is handled [exactly once](crate::Handling::exactly_once), it is: what a handler publishes belongs
/// to the transaction that acknowledges its message. It is seen when that is, or never; a receipt says only that it was taken
/// in, and has no position. Once the handler has ended, its publishers refuse (`Closed`).
#[derive(Clone)]
pub struct Publishers {
    broker: Broker,
    spans: Spans,
    open: Arc<Mutex<HashMap<Topic, Arc<dyn Publisher>>>>,
    /// The largest message of each topic that was published to in a transaction.
    limits: Arc<Mutex<HashMap<Topic, usize>>>,
    /// Where it goes in a transaction.
    outputs: Option<Arc<Outputs>>,
}

impl Publishers {
    /// Publishers of this broker.
    pub fn new(broker: Broker) -> Self {
        let spans = Spans::new(&broker);
        Self::with(broker, spans)
    }

    pub(crate) fn with(broker: Broker, spans: Spans) -> Self {
        Publishers { broker, spans, open: Arc::default(), limits: Arc::default(), outputs: None }
    }

    /// The same, for a handler whose publishes belong to a transaction.
    pub(crate) fn within(&self, outputs: Arc<Outputs>) -> Self {
        Publishers { outputs: Some(outputs), ..self.clone() }
    }

    pub(crate) fn spans(&self) -> &Spans {
        &self.spans
    }

    /// The publisher of a topic, opened with the defaults of [`PublisherOptions`] unless [`open`](Self::open) has.
    ///
    /// # Errors
    /// As [`Backend::publisher`](anybroker_core::Backend::publisher).
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn of(&self, topic: &Topic) -> Result<Arc<dyn Publisher>> {
        let Some(outputs) = &self.outputs else {
            return self.open(PublisherOptions::new(topic.clone())).await;
        };
        let most = self.largest(topic).await?;
        Ok(self.spans.trace(Arc::new(OutputPublisher::new(topic, most, outputs.clone()))))
    }

    /// The most bytes of a message that the topic takes.
    ///
    /// # Errors
    /// As [`Backend::guarantees`](anybroker_core::Backend::guarantees).
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn largest(&self, topic: &Topic) -> Result<usize> {
        let mut limits = self.limits.lock().await;
        if let Some(most) = limits.get(topic) {
            return Ok(*most);
        }
        let given = self.broker.guarantees(Some(topic), None).await?;
        let most = given.limits.message_bytes.unwrap_or(usize::MAX);
        limits.insert(topic.clone(), most);
        Ok(most)
    }

    /// Opens a publisher with options of its own; the one that is open for its topic already stays.
    ///
    /// # Errors
    /// As [`Backend::publisher`](anybroker_core::Backend::publisher). `Unsupported` where the subscription is handled exactly
    /// once: there its transactions have the options.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn open(&self, options: PublisherOptions) -> Result<Arc<dyn Publisher>> {
        if self.outputs.is_some() {
            let text = "what this handler publishes belongs to a transaction, whose publisher has its options already";
            return Err(Error::new(Kind::Unsupported, "open a publisher", text)
                .on(format!("topic `{}`", options.topic))
                .advice("use Publishers::of or publish; state requirements in the transaction's options"));
        }
        // Held while one is opened: nobody is to open it a second time.
        let mut open = self.open.lock().await;
        if let Some(publisher) = open.get(&options.topic) {
            return Ok(publisher.clone());
        }
        let topic = options.topic.clone();
        let publisher = self.spans.publisher(&self.broker, options).await?;
        open.insert(topic, publisher.clone());
        Ok(publisher)
    }

    /// Publishes a message and waits for the confirmation.
    ///
    /// # Errors
    /// As [`PublisherExt::publish`]. The key is not held: the handler's failure decides what follows.
    ///
    /// # Cancel safety
    /// As [`PublisherExt::publish`].
    pub async fn publish(&self, topic: &Topic, message: Message) -> Result<Receipt, PublishError> {
        let publisher = match self.of(topic).await {
            Ok(publisher) => publisher,
            Err(error) => return Err(PublishError::new(error, message)),
        };
        let key = message.key.clone();
        let outcome = publisher.publish(message).await;
        if let (Err(_), Some(key)) = (&outcome, &key) {
            publisher.resume(key);
        }
        outcome
    }

    /// Publishes an event and waits for the confirmation.
    ///
    /// # Errors
    /// As [`publish`](Self::publish), and `Decode` if it cannot be written as JSON.
    ///
    /// # Cancel safety
    /// As [`publish`](Self::publish).
    pub async fn publish_event<E: Event + Sync>(&self, topic: &Topic, event: &E) -> Result<Receipt> {
        Ok(self.publish(topic, Message::event(event)?).await?)
    }

    /// Flushes and closes what is open.
    pub(crate) async fn close(&self) -> Result<()> {
        let open = std::mem::take(&mut *self.open.lock().await);
        let closed = futures::future::join_all(open.values().map(|publisher| publisher.close())).await;
        closed.into_iter().collect()
    }
}

impl fmt::Debug for Publishers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publishers").field("broker", &self.broker).finish_non_exhaustive()
    }
}
