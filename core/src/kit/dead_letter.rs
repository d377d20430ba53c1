//! Dead lettering by the client, the same on every backend: the envelope is confirmed before the original is settled.

use std::sync::Arc;

use bytestring::ByteString;

use crate::consumer::Subscription;
use crate::dead_letter::{DeadLetter, Reason, derived};
use crate::delivery::Delivery;
use crate::error::{Kind, Result};
use crate::ext::PublisherExt;
use crate::message::{Message, MessageId, check_extension};
use crate::publisher::{Publisher, Receipt};
use crate::topic::{Group, Topic};

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

    pub(super) async fn publish(&self, delivery: &Delivery, reason: &Reason) -> Result<()> {
        let bare = publishable(delivery.to_message());
        let mut message = bare.clone();
        DeadLetter::around(&bare, delivery, reason, &self.topic, &self.group).write(&mut message);
        match self.store(message, delivery).await {
            // A message at the limit has no room for an envelope; without one it is at least not lost.
            Err(error) if error.kind() == Kind::TooLarge => {
                tracing::warn!(%error, %reason, "a dead letter goes without its envelope, which does not fit");
                self.store(bare, delivery).await
            }
            sent => sent,
        }
    }

    /// Publishes it so that it is there. Where the broker has had a letter of this id lately it stores none, and that letter
    /// may be gone by now: replayed, whereupon the message died again. The letter then goes under an id that only this
    /// death has, which costs a second letter if the first is there after all.
    async fn store(&self, message: Message, delivery: &Delivery) -> Result<()> {
        let mut again = message.clone();
        if self.send(message).await?.duplicate {
            again.id = id_of_death(&again.id, delivery);
            self.send(again).await?;
        }
        Ok(())
    }

    async fn send(&self, message: Message) -> Result<Receipt> {
        let key = message.key.clone();
        let result = self.publisher.publish(message).await;
        if let (Err(_), Some(key)) = (&result, &key) {
            // Dead letters of a key have no order to keep: a failed one comes again by itself.
            self.publisher.resume(key);
        }
        result.map_err(Into::into)
    }
}

/// The same however often the death of this record is written down, and no other's.
fn id_of_death(id: &MessageId, delivery: &Delivery) -> MessageId {
    let record = match (delivery.position(), delivery.stored()) {
        (Some(at), _) => format!("{}/{}", at.partition, at.offset),
        (None, 0) => return MessageId::new(),
        (None, stored) => stored.to_string(),
    };
    derived(id, &record)
}

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
