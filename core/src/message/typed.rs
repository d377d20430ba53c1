//! Typed payloads: serde's JSON, with the event's type and version on the message.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Key, Message, Record};
use crate::error::{Error, Kind, Result};

/// A payload with a name and a version.
///
/// ```
/// use anybroker_core::{Event, Key, Message};
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct OrderPlaced { order: String, cents: u64 }
/// impl Event for OrderPlaced {
///     const TYPE: &'static str = "order.placed";
///     fn key(&self) -> Option<Key> { Some(self.order.as_str().into()) }
/// }
/// let message = Message::event(&OrderPlaced { order: "o-1".into(), cents: 250 })?;
/// assert_eq!(message.event_type.as_deref(), Some("order.placed"));
/// # Ok::<(), anybroker_core::Error>(())
/// ```
pub trait Event: Serialize + DeserializeOwned {
    /// CloudEvents' `type`.
    const TYPE: &'static str;
    /// The version of the schema.
    const VERSION: u32 = 1;

    /// What events of this type are ordered by.
    fn key(&self) -> Option<Key> {
        None
    }
}

impl Message {
    /// A message whose payload is `event` as JSON, with type, version, key and time set.
    ///
    /// # Errors
    /// [`Kind::Decode`] if the value cannot be written as JSON.
    pub fn event<E: Event>(event: &E) -> Result<Self> {
        let payload = serde_json::to_vec(event).map_err(|e| {
            Error::new(Kind::Decode, "publish", format!("{} cannot be written as JSON", E::TYPE))
                .with_source(e)
        })?;
        let mut message = Message::new(payload);
        message.key = event.key();
        message.event_type = Some(bytestring::ByteString::from_static(E::TYPE));
        message.schema_version = Some(E::VERSION);
        message.content_type = Some(bytestring::ByteString::from_static("application/json"));
        message.time = Some(std::time::SystemTime::now());
        Ok(message)
    }
}

impl Record {
    /// The payload read as JSON.
    ///
    /// # Errors
    /// [`Kind::Decode`] says where the payload departs from `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(self.payload()).map_err(|e| {
            Error::new(Kind::Decode, "decode", "the payload is not the expected JSON").with_source(e)
        })
    }

    /// The payload read as the event `E`, whose type must be the message's.
    ///
    /// # Errors
    /// [`Kind::Decode`] if the message has another type or version, or does not decode.
    pub fn event<E: Event>(&self) -> Result<E> {
        let (found, version) = (self.event_type(), self.schema_version().unwrap_or(1));
        if found != Some(E::TYPE) || version != E::VERSION {
            let found = found.unwrap_or("no type");
            let text =
                format!("expected {} version {}, found {found} version {version}", E::TYPE, E::VERSION);
            return Err(Error::new(Kind::Decode, "decode", text));
        }
        self.json()
    }
}
