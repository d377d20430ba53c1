//! What a service declares.

use anybroker_core::{Event, Group, Topic};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::schema::Schema;

/// What a service publishes, consumes, asks and answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Service {
    /// Events that it publishes.
    pub publishes: Vec<Publication>,
    /// Events that it consumes.
    pub consumes: Vec<Consumption>,
    /// Requests whose replies it waits for: synchronous.
    pub asks: Vec<Exchange>,
    /// Requests that it answers.
    pub answers: Vec<Exchange>,
}

impl Service {
    /// It publishes this.
    pub fn publishes(mut self, publication: Publication) -> Self {
        self.publishes.push(publication);
        self
    }

    /// It consumes the event from the topic, as a member of the group.
    pub fn consumes<E: Event>(mut self, topic: &Topic, group: &Group) -> Self {
        self.consumes.push(Consumption {
            event_type: E::TYPE.to_owned(),
            version: Some(E::VERSION),
            topic: topic.to_string(),
            group: group.to_string(),
        });
        self
    }

    /// It sends the request `Q` to the topic, and waits for the reply `A`.
    pub fn asks<Q: Event, A: Event>(mut self, topic: &Topic) -> Self {
        self.asks.push(Exchange::of::<Q, A>(topic));
        self
    }

    /// It answers the request `Q` from the topic with `A`.
    pub fn answers<Q: Event, A: Event>(mut self, topic: &Topic) -> Self {
        self.answers.push(Exchange::of::<Q, A>(topic));
        self
    }
}

/// An event that a service publishes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publication {
    /// What happened.
    pub event_type: String,
    /// The version of its schema.
    pub version: Option<u32>,
    /// Where it is published.
    pub topic: String,
    /// What its key is: `order`.
    pub key: Option<String>,
    /// Bytes of its payload: the largest that is to be expected.
    pub size: Option<usize>,
    /// A JSON Schema of its payload.
    pub schema: Option<Value>,
}

impl Publication {
    /// The event `E` on a topic.
    pub fn of<E: Event>(topic: &Topic) -> Self {
        Publication { version: Some(E::VERSION), ..Self::named(E::TYPE, topic) }
    }

    /// An event that has no type in Rust.
    pub fn named(event_type: impl Into<String>, topic: &Topic) -> Self {
        let (event_type, topic) = (event_type.into(), topic.to_string());
        Publication { event_type, version: None, topic, key: None, size: None, schema: None }
    }

    /// What its key is.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// How large its payload may be.
    pub fn size(mut self, bytes: usize) -> Self {
        self.size = Some(bytes);
        self
    }

    /// What its payload looks like.
    pub fn schema(mut self, schema: &Schema) -> Self {
        self.schema = Some(schema.document.clone());
        self
    }
}

/// An event that a service consumes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consumption {
    /// What happened.
    pub event_type: String,
    /// The newest version that it reads.
    pub version: Option<u32>,
    /// Where from.
    pub topic: String,
    /// The consumer group.
    pub group: String,
}

/// A request and its reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// The request's type.
    pub request: String,
    /// The reply's type.
    pub reply: String,
    /// Where requests are published.
    pub topic: String,
}

impl Exchange {
    fn of<Q: Event, A: Event>(topic: &Topic) -> Self {
        Exchange { request: Q::TYPE.to_owned(), reply: A::TYPE.to_owned(), topic: topic.to_string() }
    }
}
