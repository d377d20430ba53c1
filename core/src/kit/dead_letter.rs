//! Dead lettering by the client, the same on every backend: the envelope is confirmed before the original is settled.

use std::sync::Arc;
use std::time::SystemTime;

use bytestring::ByteString;

use crate::consumer::Subscription;
use crate::delivery::Delivery;
use crate::error::{Kind, Result};
use crate::ext::PublisherExt;
use crate::message::{Message, check_extension};
use crate::publisher::Publisher;
use crate::topic::{Group, Topic};

/// The headers that a dead letter carries besides the message's own: why, from which topic, position and group,
/// after how many attempts, and when. Key, payload, id, headers and attributes are the message's, byte for byte; of a
/// foreign message, what may not be published is kept as `original-…` headers (an attribute `x` as `original-ce-x`).
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
        let bare = publishable(delivery.to_message());
        let mut message = bare.clone();
        for (name, value) in DEAD_LETTER_HEADERS.into_iter().zip(self.values(delivery, reason)) {
            message.headers.append(name, value);
        }
        match self.send(message).await {
            // A message at the limit has no room for an envelope; without one it is at least not lost.
            Err(error) if error.kind() == Kind::TooLarge => {
                tracing::warn!(%error, reason, "a dead letter goes without its envelope, which does not fit");
                self.send(bare).await
            }
            sent => sent,
        }
    }

    fn values(&self, delivery: &Delivery, reason: &str) -> [String; 6] {
        [
            reason.chars().take(REASON).collect(),
            self.topic.to_string(),
            delivery.position().map_or_else(String::new, |p| format!("{}/{}", p.partition, p.offset)),
            self.group.to_string(),
            delivery.attempt().to_string(),
            humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
        ]
    }

    async fn send(&self, message: Message) -> Result<()> {
        let key = message.key.clone();
        let result = self.publisher.publish(message).await;
        if let (Err(_), Some(key)) = (&result, &key) {
            // Dead letters of a key have no order to keep: a failed one comes again by itself.
            self.publisher.resume(key);
        }
        result.map(|_| ()).map_err(Into::into)
    }
}

/// The longest reason, in characters: it travels in a header.
const REASON: usize = 1_000;

/// What a foreign producer wrote and we may not publish (a reserved header, an overlong attribute) is kept under another
/// name, so that no message is too strange to be given up.
pub fn publishable(mut message: Message) -> Message {
    let odd = take_odd_extensions(&mut message);
    if message.validate().is_err() {
        message = renamed(message);
    }
    for (name, value) in odd {
        message.headers.append(format!("original-ce-{}", kept(&name)), String::from(value));
    }
    message
}

/// Attributes that are not CloudEvents', or not as it defines them.
fn take_odd_extensions(message: &mut Message) -> Vec<(ByteString, ByteString)> {
    let all = std::mem::take(&mut message.extensions).into_iter();
    let (legal, odd) = all.partition(|(name, value)| check_extension(name, value).is_ok());
    message.extensions = legal;
    odd
}

fn renamed(original: Message) -> Message {
    let mut message = Message::new(original.payload);
    message.key = original.key;
    message.schema_version = original.schema_version;
    message.time = original.time;
    message.extensions = original.extensions;
    for (name, value) in original.headers.iter() {
        message.headers.append(format!("original-{}", kept(name)), value.clone());
    }
    let texts = [
        ("original-id", Some(original.id.to_string())),
        ("original-type", original.event_type.map(Into::into)),
        ("original-source", original.source.map(Into::into)),
        ("original-content-type", original.content_type.map(Into::into)),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            message.headers.append(name, text);
        }
    }
    message
}

fn kept(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(MAX_KEPT).collect()
}

/// Characters kept of a header's name, so that it still fits with its prefix in UTF-8.
const MAX_KEPT: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_message_is_too_strange_to_be_given_up() {
        let mut strange = Message::new("payload").with_key("k").with_id("").with_type("t\n");
        strange.headers.append("ce_subject", "s");
        strange.headers.append("x".repeat(300), "long");
        assert!(strange.validate().is_err());
        let kept = publishable(strange);
        kept.validate().unwrap();
        assert_eq!((kept.payload.as_ref(), kept.key), (&b"payload"[..], Some("k".into())));
        assert_eq!(kept.headers.get("original-ce_subject").unwrap().as_ref(), b"s");
        assert_eq!(kept.headers.get("original-type").unwrap().as_ref(), b"t\n");
    }

    #[test]
    fn an_odd_attribute_takes_nothing_else_with_it() {
        let odd = Message::new("p").with_id("m").with_type("t").with_header("h", "v");
        let odd =
            odd.with_extension("subject", "s").with_extension("time", "yesterday").with_extension("A_b", "x");
        let kept = publishable(odd.clone());
        kept.validate().unwrap();
        assert_eq!((kept.id, kept.event_type), (odd.id, odd.event_type));
        assert_eq!(kept.extensions, [("subject".into(), "s".into())]);
        let headers: Vec<_> = kept.headers.iter().map(|(name, value)| (name, value.as_ref())).collect();
        let expected = [("h", &b"v"[..]), ("original-ce-time", b"yesterday"), ("original-ce-A_b", b"x")];
        assert_eq!(headers, expected);
    }
}
