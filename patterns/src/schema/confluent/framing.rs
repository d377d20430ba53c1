//! Messages that other clients of the registry read, and theirs read here.

use std::collections::HashMap;
use std::sync::Arc;

use anybroker_core::{Bytes, Error, Kind, Message, PublishError, Record, Result};
use bytestring::ByteString;

use super::ids::Found;
use super::{ConfluentRegistry, frame, unframe};

/// Frames payloads as Confluent's serializers do, so that its other clients read what is published here, and the other way
/// round. As a `tower` layer around a worker's handler it unframes, outside of [`Upcasters`](crate::schema::Upcasters).
///
/// A message that has no type of its own, as other clients publish it, gets that of its schema, and its version. What has
/// no frame, what was cut, or what names a schema that the registry does not have, is an error and goes to the dead letter
/// topic as it was published; while the registry is away, messages are tried again. Payloads are not validated.
///
/// ```no_run
/// # use anybroker_core::{Event, Message, Publisher, PublisherExt as _};
/// # use anybroker_patterns::schema::{ConfluentRegistry, Framing};
/// # use anybroker_worker::{Failure, Router};
/// # use tower::ServiceBuilder;
/// # #[derive(serde::Serialize, serde::Deserialize)]
/// # struct OrderPlaced { cents: u64 }
/// # impl Event for OrderPlaced { const TYPE: &'static str = "order.placed"; }
/// # async fn bill(order: OrderPlaced) -> Result<(), Failure> { Ok(()) }
/// # async fn example(registry: ConfluentRegistry, publisher: &dyn Publisher) -> Result<(), Box<dyn std::error::Error>> {
/// let framing = Framing::new(registry);
/// publisher.publish(framing.encode(Message::event(&OrderPlaced { cents: 250 })?).await?).await?;
/// let handler = ServiceBuilder::new().layer(framing).service(Router::new().on(bill));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Framing {
    registry: ConfluentRegistry,
    subjects: Arc<HashMap<String, ByteString>>,
}

/// What a record is once it is unframed.
pub(super) struct Read {
    pub(super) payload: Bytes,
    /// What the record itself does not say.
    pub(super) event_type: Option<ByteString>,
    pub(super) version: Option<u32>,
}

impl Framing {
    /// With the schemas of this registry.
    pub fn new(registry: ConfluentRegistry) -> Self {
        Framing { registry, subjects: Arc::default() }
    }

    /// Schemas that somebody else registered under this subject are of this type: clients of Confluent call the subject after
    /// the topic, `orders-value`, unless they are told otherwise. Without it, a subject has the name of its type.
    pub fn subject(mut self, subject: impl Into<String>, event_type: impl Into<ByteString>) -> Self {
        Arc::make_mut(&mut self.subjects).insert(subject.into(), event_type.into());
        self
    }

    /// The message with its payload framed, by its type and version, whose schema must be registered.
    ///
    /// # Errors
    /// `InvalidConfiguration` for a message without a type, `NotFound` for a schema that is not registered, and what asking
    /// for it fails with. The message comes back as it was.
    ///
    /// # Cancel safety
    /// The message is lost, nothing else: publish a clone if that matters.
    pub async fn encode(&self, mut message: Message) -> Result<Message, PublishError> {
        let Some(event_type) = &message.event_type else {
            let text = "a message without a type has no schema";
            let error = Error::new(Kind::InvalidConfiguration, "frame", text);
            let error = error.advice("make it by Message::event, or give it a type by with_type");
            return Err(PublishError::new(error, message));
        };
        // An unversioned event is of the first version.
        match self.registry.id_of(event_type, message.schema_version.unwrap_or(1)).await {
            Ok(id) => {
                message.payload = frame(id, &message.payload);
                Ok(message)
            }
            Err(error) => Err(PublishError::new(error.into(), message)),
        }
    }

    /// The record with its payload unframed, and with a type and a version if it has none.
    ///
    /// # Errors
    /// `Decode` for what is not framed or has another type than its schema, `NotFound` for an id that the registry does not
    /// have, `Unsupported` for Avro and Protobuf; `Disconnected`, `TimedOut` and the like if the registry is away.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn decode(&self, record: &Record) -> Result<Record> {
        let Read { payload, event_type, version } = self.read(record).await?;
        let mut record = record.clone().with_payload(payload);
        if let Some(event_type) = event_type {
            record = record.with_type(&event_type);
        }
        Ok(match version {
            Some(version) => record.with_schema_version(version),
            None => record,
        })
    }

    pub(super) async fn read(&self, record: &Record) -> Result<Read> {
        let (id, payload) = unframe(record.payload())?;
        let found = self.registry.found(id).await?;
        let (event_type, version) = self.named(record, id, &found)?;
        Ok(Read { payload, event_type, version })
    }

    /// The type and the version that a record lacks.
    fn named(&self, record: &Record, id: u32, found: &Found) -> Result<(Option<ByteString>, Option<u32>)> {
        let (said, versioned) = (record.event_type(), record.schema_version());
        let (event_type, version) = match &found.marks {
            Some((event_type, version)) => {
                let differs = said.is_some_and(|said| said != event_type)
                    || versioned.is_some_and(|versioned| versioned != *version);
                if differs {
                    let (said, versioned) = (said.unwrap_or("no type"), versioned.unwrap_or(1));
                    let text = format!(
                        "the message is {said} version {versioned}, and its schema, {id}, of {event_type} version {version}"
                    );
                    return Err(Error::new(Kind::Decode, "unframe", text));
                }
                (ByteString::from(event_type.as_str()), *version)
            }
            None => match self.used(said, found) {
                Some(named) => named,
                None => return Ok((None, None)),
            },
        };
        Ok((said.is_none().then_some(event_type), versioned.is_none().then_some(version)))
    }

    /// What a schema of somebody else's is of: if only one type has it, or if it is the one that the message says. Servers
    /// give equal schemas one id, so others may use it too: subjects that are named here, and then those with the prefix, count.
    fn used(&self, said: Option<&str>, found: &Found) -> Option<(ByteString, u32)> {
        let named: Vec<(ByteString, u32)> = found
            .used
            .iter()
            .filter_map(|(subject, version)| Some((self.subjects.get(subject)?.clone(), *version)))
            .collect();
        let prefix = &self.registry.inner.prefix;
        let plain = found
            .used
            .iter()
            .filter_map(|(subject, version)| Some((subject.strip_prefix(prefix)?.into(), *version)));
        let types = if named.is_empty() { plain.collect() } else { named };
        match (said, &types[..]) {
            (Some(said), types) => types.iter().find(|(event_type, _)| *event_type == said).cloned(),
            (None, [one]) => Some(one.clone()),
            (None, _) => None,
        }
    }
}
