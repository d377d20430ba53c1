//! A broker with two topics, and what the tests do with it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use anybroker_core::{
    Broker, DeadLetterPolicy, Delivery, Group, Message, PublisherExt, PublisherOptions, Result, Subscription,
    Topic, Topology,
};
use anybroker_worker::{BoxError, Failure};
use tower::util::BoxCloneSyncService;

pub(crate) fn topic() -> Topic {
    Topic::new("orders").unwrap()
}

pub(crate) fn dead() -> Topic {
    Topic::new("orders.dead").unwrap()
}

pub(crate) fn group() -> Group {
    Group::new("billing").unwrap()
}

/// A broker of the test's own.
pub(crate) async fn bare_broker(parameters: &str) -> Broker {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let url = format!("memory://test-{}{parameters}", NEXT.fetch_add(1, Ordering::Relaxed));
    anybroker_memory::connect(&url.parse().unwrap()).await.unwrap()
}

/// With both topics declared.
pub(crate) async fn broker(parameters: &str) -> Broker {
    let broker = bare_broker(parameters).await;
    for (topic, group) in [(topic(), group()), (dead(), group())] {
        broker.admin().declare(&Topology::new(topic).group(group)).await.unwrap();
    }
    broker
}

pub(crate) fn subscription() -> Subscription {
    Subscription::new(topic(), group()).dead_letter(DeadLetterPolicy { topic: dead(), max_attempts: None })
}

pub(crate) async fn publish(broker: &Broker, messages: impl IntoIterator<Item = Message>) {
    let publisher = broker.publisher(PublisherOptions::new(topic())).await.unwrap();
    for outcome in publisher.publish_batch(messages.into_iter().collect()).await {
        outcome.unwrap();
    }
}

/// `keys` keys with `each` messages: the payload is the number within the key.
pub(crate) fn keyed(keys: usize, each: usize) -> Vec<Message> {
    let numbers = (0..each).flat_map(|number| (0..keys).map(move |key| (key, number)));
    numbers.map(|(key, number)| Message::new(number.to_string()).with_key(format!("k{key}"))).collect()
}

/// What handlers saw: key, payload, attempt.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<Vec<(String, String, u32)>>>, Arc<tokio::sync::Notify>);

impl Seen {
    pub(crate) fn note(&self, delivery: &Delivery) {
        let key = delivery.to_key().map_or_else(String::new, |key| key.to_string());
        let payload = String::from_utf8_lossy(delivery.payload()).into_owned();
        self.0.lock().unwrap().push((key, payload, delivery.attempt()));
        self.1.notify_waiters();
    }

    pub(crate) fn all(&self) -> Vec<(String, String, u32)> {
        self.0.lock().unwrap().clone()
    }

    /// Waits until so many were noted.
    pub(crate) async fn wait(&self, count: usize) {
        loop {
            let noted = self.1.notified();
            tokio::pin!(noted);
            noted.as_mut().enable();
            if self.0.lock().unwrap().len() >= count {
                return;
            }
            noted.await;
        }
    }
}

pub(crate) type Service = BoxCloneSyncService<Delivery, (), BoxError>;

/// A handler that notes what it sees and then does as `body` says.
pub(crate) fn noting<F>(seen: &Seen, body: impl Fn(Delivery) -> F + Clone + Send + Sync + 'static) -> Service
where
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let seen = seen.clone();
    Service::new(tower::service_fn(move |delivery: Delivery| {
        seen.note(&delivery);
        let handled = body(delivery);
        async move { handled.await.map_err(|failure| BoxError::from(anybroker_worker::HandlerError(failure))) }
    }))
}

/// Waits until the group has nothing left; in virtual time.
pub(crate) async fn settled(broker: &Broker) {
    while broker.admin().backlog(&topic(), &group()).await.unwrap() > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

/// The dead letters, which stay where they are.
pub(crate) async fn letters(broker: &Broker) -> Vec<Delivery> {
    let count = broker.admin().backlog(&dead(), &group()).await.unwrap() as usize;
    let mut consumer = broker.consumer(Subscription::new(dead(), group())).await.unwrap();
    let mut letters = Vec::new();
    while letters.len() < count {
        letters.extend(consumer.receive(count).await.unwrap());
    }
    letters
}
