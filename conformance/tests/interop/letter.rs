//! What of a message both sides can name, so that it can be compared.

use std::collections::BTreeMap;
use std::fmt;

use anybroker::{Message, Record};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Failure;

/// A message without its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Letter {
    pub(crate) key: Option<Octets>,
    pub(crate) headers: Vec<(String, Octets)>,
    pub(crate) payload: Octets,
    pub(crate) content_type: Option<String>,
    /// CloudEvents attributes by their bare names.
    #[serde(default)]
    pub(crate) attributes: BTreeMap<String, String>,
}

impl Letter {
    /// One without attributes, as programs write it that know nothing of anybroker.
    pub(crate) fn plain(payload: impl Into<Vec<u8>>) -> Self {
        let payload = Octets(payload.into());
        Letter { key: None, headers: Vec::new(), payload, content_type: None, attributes: BTreeMap::new() }
    }

    pub(crate) fn key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.key = Some(Octets(key.into()));
        self
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.to_owned(), Octets(value.into())));
        self
    }

    pub(crate) fn content_type(mut self, content_type: &str) -> Self {
        self.content_type = Some(content_type.to_owned());
        self
    }

    pub(crate) fn attribute(mut self, name: &str, value: &str) -> Self {
        self.attributes.insert(name.to_owned(), value.to_owned());
        self
    }

    /// As anybroker publishes it.
    pub(crate) fn of_message(message: &Message) -> Self {
        let mut letter = Letter::plain(message.payload.to_vec());
        letter.key = message.key.as_ref().map(|key| Octets(key.as_bytes().to_vec()));
        letter.headers =
            message.headers.iter().map(|(name, value)| (name.to_owned(), Octets(value.to_vec()))).collect();
        letter.content_type = message.content_type.as_ref().map(ToString::to_string);
        message.attributes(|attribute, value| {
            letter.attributes.insert(attribute.name().to_owned(), value.to_owned());
        });
        letter
    }

    /// As anybroker received it.
    pub(crate) fn of_record(record: &Record) -> Self {
        let mut letter = Letter::of_message(&record.to_message());
        if record.id().is_none() {
            letter.attributes.remove("id");
        }
        letter
    }

    /// With the headers in order of their names, where the protocol keeps no other.
    pub(crate) fn sorted(mut self) -> Self {
        self.headers.sort_by(|(one, _), (other, _)| one.cmp(other));
        self
    }
}

/// Fails with both sides if they differ.
pub(crate) fn same<T: PartialEq + fmt::Debug>(what: &str, expected: T, found: T) -> Result<(), Failure> {
    if expected == found {
        return Ok(());
    }
    Err(format!("{what}\nexpected {expected:#?}\nfound {found:#?}").into())
}

/// Bytes: base64 in JSON, short to look at.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Octets(pub(crate) Vec<u8>);

impl fmt::Debug for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(200)];
        write!(f, "{} bytes: \"{}\"", self.0.len(), shown.escape_ascii())
    }
}

impl Serialize for Octets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        STANDARD.encode(&self.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Octets).map_err(serde::de::Error::custom)
    }
}
