//! Dead lettering by the client, the same on every backend: the envelope is confirmed before the original is settled.

use std::sync::Arc;
use std::time::SystemTime;

use crate::consumer::Subscription;
use crate::delivery::Delivery;
use crate::error::Result;
use crate::ext::PublisherExt;
use crate::publisher::Publisher;
use crate::topic::{Group, Topic};

/// The headers that a dead letter carries besides the message's own: why, from which topic, position and group,
/// after how many attempts, and when. Key, payload, id and attributes are the message's, byte for byte.
pub const DEAD_LETTER_HEADERS: [&str; 6] = [
    "dead-letter-reason",
    "dead-letter-topic",
    "dead-letter-position",
    "dead-letter-group",
    "dead-letter-attempts",
    "dead-letter-time",
];

#[derive(Debug)]
pub(super) struct DeadLetters {
    publisher: Arc<dyn Publisher>,
    topic: Topic,
    group: Group,
}

impl DeadLetters {
    pub(super) fn new(publisher: Arc<dyn Publisher>, subscription: &Subscription) -> Self {
        DeadLetters { publisher, topic: subscription.topic.clone(), group: subscription.group.clone() }
    }

    pub(super) async fn publish(&self, delivery: &Delivery, reason: &str) -> Result<()> {
        let position =
            delivery.position().map_or_else(String::new, |p| format!("{}/{}", p.partition, p.offset));
        let values = [
            reason.to_owned(),
            self.topic.to_string(),
            position,
            self.group.to_string(),
            delivery.attempt().to_string(),
            humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
        ];
        let mut message = delivery.to_message();
        for (name, value) in DEAD_LETTER_HEADERS.into_iter().zip(values) {
            message.headers.append(name, value);
        }
        let key = message.key.clone();
        let result = self.publisher.publish(message).await;
        if let (Err(_), Some(key)) = (&result, &key) {
            // Dead letters of a key have no order to keep: a failed one comes again by itself.
            self.publisher.resume(key);
        }
        result.map(|_| ()).map_err(Into::into)
    }
}
