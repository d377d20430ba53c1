//! What is there: a schema, its versions, and the names of all.

use anybroker_core::{Error, Kind};
use aws_sdk_glue::operation::get_schema_version::GetSchemaVersionOutput;
use aws_sdk_glue::types::{DataFormat, RegistryId, SchemaId, SchemaVersionNumber, SchemaVersionStatus};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::Value;

use super::config::DEFAULT;
use super::error::{is_missing, typed};
use super::{GlueRegistry, judging, names};
use crate::schema::document::take_marks;
use crate::schema::{Level, RegistryError, Schema};

/// Requests at once, of one call.
const AT_ONCE: usize = 8;

/// A schema as Glue keeps it, of one event type.
pub(super) struct Set {
    pub(super) level: Option<Level>,
    /// In the order of Glue's count; what failed or is deleted is not among them.
    pub(super) entries: Vec<Entry>,
}

/// A version of a schema.
pub(super) struct Entry {
    pub(super) id: String,
    /// Glue has not checked it yet.
    pub(super) pending: bool,
    pub(super) version: u32,
    pub(super) document: Value,
    /// As the document says.
    event_type: Option<String>,
}

impl Set {
    /// The first that is this version: who was first has it.
    pub(super) fn entry(&self, version: u32) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.version == version)
    }

    /// What readers may rely on.
    pub(super) fn schemas(self, event_type: &str) -> Vec<Schema> {
        let mut schemas: Vec<_> = self
            .entries
            .into_iter()
            .filter(|entry| !entry.pending)
            .map(|entry| Schema::new(event_type, entry.version, entry.document))
            .collect();
        // Of two that claim a version the first has it: the sort keeps their order.
        schemas.sort_by_key(|schema| schema.version);
        schemas.dedup_by_key(|schema| schema.version);
        schemas
    }
}

impl GlueRegistry {
    /// The schema of a version, if it is registered.
    ///
    /// # Errors
    /// `NotFound` for the registry; what asking fails with.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn by_version(&self, event_type: &str, version: u32) -> Result<Option<Schema>, RegistryError> {
        Ok(self.versions(event_type).await?.into_iter().find(|schema| schema.version == version))
    }

    /// The schemas of a type, by version; none if it is not there.
    ///
    /// # Errors
    /// `NotFound` for the registry; what asking fails with.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn versions(&self, event_type: &str) -> Result<Vec<Schema>, RegistryError> {
        let set = self.set(event_type).await?;
        Ok(set.map_or_else(Vec::new, |set| set.schemas(event_type)))
    }

    /// The schema that has this id, a UUID, if there is one. One that somebody else registered has the name of its schema for a
    /// type.
    ///
    /// # Errors
    /// `Unsupported` if it is no JSON Schema, but one of Avro or Protobuf; what asking fails with.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn by_id(&self, id: &str) -> Result<Option<Schema>, RegistryError> {
        let asked = self.client.get_schema_version().schema_version_id(id).send().await;
        let found = match asked {
            Ok(found) => found,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(typed("fetch a schema", &self.place, error).into()),
        };
        if let Some(other) = found.data_format().filter(|it| **it != DataFormat::Json) {
            let text = format!("the schema with the id {id} is one of {other}, and JSON is read here");
            return Err(Error::new(Kind::Unsupported, "fetch a schema", text).on(self.place()).into());
        }
        // …:schema/REGISTRY/NAME
        let name = found.schema_arn().and_then(|arn| arn.rsplit('/').next()).unwrap_or_default();
        let plain = names::event_type(name.strip_prefix(&names::name(&self.prefix)).unwrap_or(name));
        let entry = self.entry(found)?;
        Ok(entry.map(|it| Schema::new(it.event_type.unwrap_or(plain), it.version, it.document)))
    }

    /// The compatibility level that a type has. None if it is not there.
    ///
    /// # Errors
    /// `NotFound` for the registry; what asking fails with.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn level(&self, event_type: &str) -> Result<Option<Level>, RegistryError> {
        Ok(self.set(event_type).await?.and_then(|set| set.level))
    }

    /// What Glue has of a type, if it has anything.
    pub(super) async fn set(&self, event_type: &str) -> Result<Option<Set>, RegistryError> {
        let id = self.id(event_type)?;
        let schema = match self.client.get_schema().schema_id(id.clone()).send().await {
            Ok(schema) => schema,
            Err(error) if is_missing(&error) => return self.registry_is_there().await.map(|()| None),
            Err(error) => return Err(typed("fetch a schema", &self.place, error).into()),
        };
        if let Some(other) = schema.data_format().filter(|it| **it != DataFormat::Json) {
            let text = format!("the schema of {event_type} is one of {other}, and JSON is kept here");
            return Err(Error::new(Kind::Unsupported, "fetch a schema", text).on(self.place()).into());
        }
        // What was deleted leaves its number, so the next one is the bound, and not how many there are.
        let next = schema.next_schema_version().unwrap_or(1);
        let asked: Vec<_> = (1..next).map(|number| self.numbered(&id, number)).collect();
        let found: Vec<_> = stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
        let level = schema.compatibility().and_then(judging::level);
        Ok(Some(Set { level, entries: found.into_iter().flatten().collect() }))
    }

    /// The types of the registry's schemas, of those with the prefix.
    pub(super) async fn types(&self) -> Result<Vec<String>, RegistryError> {
        let registry = RegistryId::builder().registry_name(&self.registry).build();
        let mut listed = self.client.list_schemas().registry_id(registry).into_paginator().items().send();
        let prefix = names::name(&self.prefix);
        let mut types = Vec::new();
        while let Some(item) = listed.next().await {
            let item = item.map_err(|error| typed("list schemas", &self.place, error))?;
            let plain = item.schema_name().and_then(|name| name.strip_prefix(&prefix));
            types.extend(plain.filter(|name| !name.is_empty()).map(names::event_type));
        }
        Ok(types)
    }

    /// A schema's name with the registry's.
    pub(super) fn id(&self, event_type: &str) -> Result<SchemaId, RegistryError> {
        if event_type.is_empty() {
            let text = "an event type without a name has no schema";
            return Err(Error::new(Kind::InvalidConfiguration, "name a schema", text).into());
        }
        let name = self.schema_name(event_type);
        Ok(SchemaId::builder().registry_name(&self.registry).schema_name(name).build())
    }

    pub(super) fn schema_name(&self, event_type: &str) -> String {
        names::name(&format!("{}{event_type}", self.prefix))
    }

    /// A schema that is not there says nothing of the registry.
    async fn registry_is_there(&self) -> Result<(), RegistryError> {
        if self.registry == DEFAULT {
            return Ok(());
        }
        let registry = RegistryId::builder().registry_name(&self.registry).build();
        let asked = self.client.get_registry().registry_id(registry).send().await;
        asked.map(drop).map_err(|error| typed("find the registry", &self.place, error).into())
    }

    /// A version by Glue's count. None if it was deleted.
    async fn numbered(&self, id: &SchemaId, number: i64) -> Result<Option<Entry>, RegistryError> {
        let number = SchemaVersionNumber::builder().version_number(number).build();
        let asked = self.client.get_schema_version().schema_id(id.clone()).schema_version_number(number);
        match asked.send().await {
            Ok(found) => self.entry(found),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(typed("fetch a schema", &self.place, error).into()),
        }
    }

    fn entry(&self, found: GetSchemaVersionOutput) -> Result<Option<Entry>, RegistryError> {
        let pending = match found.status() {
            Some(SchemaVersionStatus::Available) => false,
            Some(SchemaVersionStatus::Pending) => true,
            _ => return Ok(None),
        };
        let mut document =
            serde_json::from_str(found.schema_definition().unwrap_or_default()).map_err(|error| {
                let text = "Glue has a schema that is no JSON";
                Error::new(Kind::Unexpected, "fetch a schema", text).on(self.place()).with_source(error)
            })?;
        let counted = u32::try_from(found.version_number().unwrap_or_default()).unwrap_or_default();
        let (event_type, version) = match take_marks(&mut document) {
            Some((event_type, version)) => (Some(event_type), version),
            None => (None, counted),
        };
        let id = found.schema_version_id.unwrap_or_default();
        Ok(Some(Entry { id, pending, version, document, event_type }))
    }
}
