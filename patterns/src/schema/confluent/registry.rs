//! Schemas by type and version, on the server.

use anybroker_core::{Error, Kind};
use async_trait::async_trait;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde_json::Value;

use super::ConfluentRegistry;
use super::http::{Refused, Request};
use super::protocol::{Compatible, CurrentLevel, Id, JSON, NewLevel, NewSchema, Version};
use crate::schema::document::{marked, take_marks};
use crate::schema::registry::differences;
use crate::schema::{Judged, Level, Registered, Registry, RegistryError, Schema};

/// What stands in a path as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_');
/// Requests at once, of one call.
const AT_ONCE: usize = 8;

/// What registering did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The schema's id, which its payloads are framed with.
    pub id: u32,
    /// Whether it is new.
    pub registered: Registered,
}

/// A version of a subject.
pub(super) struct Entry {
    /// The server's count.
    number: u32,
    pub(super) id: u32,
    version: u32,
    document: Value,
}

impl ConfluentRegistry {
    /// Adds a schema, if the server's compatibility level allows it.
    ///
    /// # Errors
    /// [`RegistryError::Changed`] if its version has another schema, [`RegistryError::Incompatible`] with the server's
    /// reason; `InvalidConfiguration` for what the server takes for no schema; what asking fails with.
    ///
    /// # Cancel safety
    /// A cancelled call may have registered it; the next one says so.
    pub async fn register(&self, schema: &Schema) -> Result<Registration, RegistryError> {
        let (subject, body) = self.new_schema(schema)?;
        if let Some(entry) = self.entry(&schema.event_type, schema.version).await? {
            return self.same(schema, &entry, Registered::Unchanged);
        }
        let path = format!("/subjects/{subject}/versions");
        let answer = self.post::<Id>("register a schema", &path, &body).await?;
        let Id { id } = answer.map_err(|refused| self.refused(schema, refused))?;
        // Somebody else may have registered the version meanwhile: who was first has it.
        match self.entry(&schema.event_type, schema.version).await? {
            Some(entry) => self.same(schema, &entry, Registered::New),
            None => Ok(Registration { id, registered: Registered::New }),
        }
    }

    /// The schema of a version, if it is registered.
    ///
    /// # Errors
    /// What asking fails with.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn by_version(&self, event_type: &str, version: u32) -> Result<Option<Schema>, RegistryError> {
        let entry = self.entry(event_type, version).await?;
        Ok(entry.map(|entry| Schema::new(event_type, version, entry.document)))
    }

    /// Whether the server would register a schema, by the compatibility level that it has for the type. A type that is
    /// not there yet takes anything.
    ///
    /// # Errors
    /// `InvalidConfiguration` for what the server takes for no schema; what asking fails with.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn judge(&self, schema: &Schema) -> Result<Judged, RegistryError> {
        let (subject, body) = self.new_schema(schema)?;
        let path = format!("/compatibility/subjects/{subject}/versions?verbose=true");
        match self.post::<Compatible>("check a schema", &path, &body).await? {
            Ok(answer) => Ok(Judged { compatible: answer.is_compatible, reasons: answer.messages }),
            Err(refused) if refused.status == 404 => Ok(Judged { compatible: true, reasons: Vec::new() }),
            Err(refused) => Err(self.refused(schema, refused)),
        }
    }

    /// The compatibility level that a type has, be it its own or the server's. None if it has none: what is not there.
    ///
    /// # Errors
    /// What asking fails with.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn level(&self, event_type: &str) -> Result<Option<Level>, RegistryError> {
        let path = format!("/config/{}?defaultToGlobal=true", self.subject(event_type)?);
        let answer = self.get::<CurrentLevel>(&path).await?;
        Ok(answer.map(|it| it.compatibility_level))
    }

    /// Gives a type its own compatibility level. Some servers want a schema of it first.
    ///
    /// # Errors
    /// `NotFound` if they do; `Unsupported` for [`Level::Disabled`]; what asking fails with.
    ///
    /// # Cancel safety
    /// A cancelled call may have set it.
    pub async fn set_level(&self, event_type: &str, compatibility: Level) -> Result<(), RegistryError> {
        if compatibility == Level::Disabled {
            let text = "the protocol has no level by which no version is taken";
            return Err(Error::new(Kind::Unsupported, "set a level", text).on(self.place()).into());
        }
        let path = format!("/config/{}", self.subject(event_type)?);
        let body = text(&NewLevel { compatibility })?;
        let request =
            Request { operation: "set a level", method: &Method::PUT, path: &path, body: Some(&body) };
        match self.inner.http.ask::<Value>(request).await? {
            Ok(_) => Ok(()),
            Err(refused) => {
                let kind = if refused.status == 404 { Kind::NotFound } else { Kind::InvalidConfiguration };
                let error = Error::new(kind, "set a level", refused.message).on(self.place());
                Err(error.advice(format!("register a schema of {event_type} first")).into())
            }
        }
    }

    /// The first of a subject's versions that is this version of the type.
    pub(super) async fn entry(&self, event_type: &str, version: u32) -> Result<Option<Entry>, RegistryError> {
        let entries = self.entries(&self.subject(event_type)?).await?;
        Ok(entries.into_iter().find(|entry| entry.version == version))
    }

    /// The JSON Schemas of a subject, in the order in which they were registered.
    async fn entries(&self, subject: &str) -> Result<Vec<Entry>, RegistryError> {
        let numbers = self.get::<Vec<u32>>(&format!("/subjects/{subject}/versions")).await?;
        let numbers = numbers.unwrap_or_default();
        let asked: Vec<_> = numbers.into_iter().map(|number| self.numbered(subject, number)).collect();
        let found: Vec<_> = stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
        let mut entries: Vec<_> = found.into_iter().flatten().collect();
        entries.sort_by_key(|entry| entry.number);
        Ok(entries)
    }

    /// A version by the server's count. None if it was deleted meanwhile, or is no JSON Schema.
    async fn numbered(&self, subject: &str, number: u32) -> Result<Option<Entry>, RegistryError> {
        let found = self.get::<Version>(&format!("/subjects/{subject}/versions/{number}")).await?;
        // Where no type is named it is Avro.
        let Some(found) = found.filter(|it| it.schema_type.as_deref() == Some(JSON)) else { return Ok(None) };
        let mut document = self.parse(&found.schema)?;
        let version = take_marks(&mut document).map_or(found.version, |(_, version)| version);
        Ok(Some(Entry { number: found.version, id: found.id, version, document }))
    }

    fn same(
        &self,
        schema: &Schema,
        entry: &Entry,
        registered: Registered,
    ) -> Result<Registration, RegistryError> {
        let differences = differences(&entry.document, &schema.document);
        if !differences.is_empty() {
            let Schema { event_type, version, .. } = schema.clone();
            return Err(RegistryError::Changed { event_type, version, differences });
        }
        self.inner.ids.put(&(schema.event_type.as_str().into(), schema.version), entry.id);
        Ok(Registration { id: entry.id, registered })
    }

    fn refused(&self, schema: &Schema, refused: Refused) -> RegistryError {
        let Schema { event_type, version, .. } = schema.clone();
        if refused.status == 409 {
            let (place, reason) = (self.place().to_owned(), refused.message);
            return RegistryError::Incompatible { event_type, version, place, reason };
        }
        let text = format!("{event_type} version {version} is not taken: {}", refused.message);
        let error = Error::new(Kind::InvalidConfiguration, "register a schema", text).on(self.place());
        error.advice("check that it is a JSON Schema; some servers see it by `$schema` only").into()
    }

    /// The subject in a path, and what is sent to it.
    fn new_schema(&self, schema: &Schema) -> Result<(String, String), RegistryError> {
        let document = marked(schema).ok_or_else(|| {
            let text = format!("the schema of {} is no object", schema.event_type);
            Error::new(Kind::InvalidConfiguration, "register a schema", text).on(self.place())
        })?;
        Ok((self.subject(&schema.event_type)?, text(&NewSchema::new(&document))?))
    }

    /// The subject of a type, as it stands in a path.
    fn subject(&self, event_type: &str) -> Result<String, RegistryError> {
        let subject = format!("{}{event_type}", self.inner.prefix);
        // The last two would lead elsewhere.
        if event_type.is_empty() || subject == "." || subject == ".." {
            let text = format!("`{subject}` cannot be the name of a subject");
            return Err(Error::new(Kind::InvalidConfiguration, "name a subject", text).into());
        }
        Ok(utf8_percent_encode(&subject, PLAIN).to_string())
    }

    async fn post<T: serde::de::DeserializeOwned>(
        &self,
        operation: &'static str,
        path: &str,
        body: &str,
    ) -> Result<Result<T, Refused>, RegistryError> {
        let request = Request { operation, method: &Method::POST, path, body: Some(body) };
        Ok(self.inner.http.ask(request).await?)
    }
}

fn text(body: &impl serde::Serialize) -> Result<String, Error> {
    serde_json::to_string(body).map_err(|error| {
        Error::new(Kind::Unexpected, "ask a registry", "a request cannot be written").with_source(error)
    })
}

#[async_trait]
impl Registry for ConfluentRegistry {
    async fn register(&self, schema: &Schema) -> Result<Registered, RegistryError> {
        Ok(ConfluentRegistry::register(self, schema).await?.registered)
    }

    /// Those of the subjects with the prefix. Schemas of Avro and Protobuf are others'.
    async fn schemas(&self) -> Result<Vec<Schema>, RegistryError> {
        let mut schemas = Vec::new();
        for subject in self.get::<Vec<String>>("/subjects").await?.unwrap_or_default() {
            let Some(event_type) = subject.strip_prefix(&self.inner.prefix).filter(|it| !it.is_empty())
            else {
                continue;
            };
            let entries = self.entries(&self.subject(event_type)?).await?;
            schemas.extend(entries.into_iter().map(|it| Schema::new(event_type, it.version, it.document)));
        }
        // Of two that claim a version the first has it: the sort keeps their order.
        schemas.sort_by(|one, other| (&one.event_type, one.version).cmp(&(&other.event_type, other.version)));
        schemas.dedup_by(|one, first| (&one.event_type, one.version) == (&first.event_type, first.version));
        Ok(schemas)
    }
}
