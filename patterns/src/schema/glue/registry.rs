//! Schemas by type and version, in Glue.

use anybroker_core::{Error, Kind};
use async_trait::async_trait;
use aws_sdk_glue::types::SchemaVersionNumber;

use super::adding::Added;
use super::error::typed;
use super::reading::{Entry, Set};
use super::{GlueRegistry, judging};
use crate::schema::document::marked;
use crate::schema::registry::differences;
use crate::schema::{Judged, Level, Registered, Registry, RegistryError, Schema};

/// What registering did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlueRegistration {
    /// The id of the schema's version in Glue, a UUID.
    pub id: String,
    /// Whether it is new.
    pub registered: Registered,
}

impl GlueRegistry {
    /// Adds a schema, if the type's compatibility level allows it; the first of a type gets the
    /// [configured](super::GlueConfig::level) one. Returns when Glue has checked it.
    ///
    /// # Errors
    /// [`RegistryError::Changed`] if its version has another schema, [`RegistryError::Incompatible`] with the reason;
    /// `NotFound` for the registry, `InvalidConfiguration` for what Glue takes for no schema, `PermissionDenied`; what asking
    /// fails with.
    ///
    /// # Cancel safety
    /// A cancelled call may have registered it; the next one says so.
    pub async fn register(&self, schema: &Schema) -> Result<GlueRegistration, RegistryError> {
        let definition = self.definition(schema)?;
        let before = self.set(&schema.event_type).await?;
        let added = match before {
            Some(set) => match set.entry(schema.version).filter(|entry| !entry.pending) {
                Some(entry) => return same(schema, entry, Registered::Unchanged),
                None => self.follow(set, schema, &definition).await?,
            },
            None => self.begin(schema, &definition).await?,
        };
        self.settled(schema, &added).await?;
        // Somebody else may have registered the version meanwhile: who was first has it.
        let now = self.set(&schema.event_type).await?;
        match now.as_ref().and_then(|set| set.entry(schema.version)) {
            Some(entry) => same(schema, entry, Registered::New),
            None => Ok(GlueRegistration { id: added.id, registered: Registered::New }),
        }
    }

    /// Whether [`Check`](crate::schema::Check) finds nothing against a schema by the compatibility level that Glue has for the
    /// type. A type that is not there yet takes anything. Glue itself cannot be asked without registering.
    ///
    /// # Errors
    /// `NotFound` for the registry; what asking fails with.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn judge(&self, schema: &Schema) -> Result<Judged, RegistryError> {
        self.definition(schema)?;
        Ok(match self.set(&schema.event_type).await? {
            Some(set) => judged(set, schema),
            None => Judged { compatible: true, reasons: Vec::new() },
        })
    }

    /// Gives a type that is there another compatibility level.
    ///
    /// # Errors
    /// `NotFound` if it is not there; what asking fails with.
    ///
    /// # Cancel safety
    /// A cancelled call may have set it.
    pub async fn set_level(&self, event_type: &str, level: Level) -> Result<(), RegistryError> {
        let id = self.id(event_type)?;
        // Glue wants to know from which version on it counts.
        let latest = SchemaVersionNumber::builder().latest_version(true).build();
        let asked = self.client.update_schema().schema_id(id).schema_version_number(latest);
        let asked = asked.compatibility(judging::named(level));
        asked.send().await.map(drop).map_err(|error| {
            let error = typed("set a level", &self.place, error);
            match error.kind() {
                Kind::NotFound => error.advice(format!("register a schema of {event_type} first")).into(),
                _ => error.into(),
            }
        })
    }

    /// Makes the schema with its first version. Where somebody else does so at the same time, theirs is the first.
    async fn begin(&self, schema: &Schema, definition: &str) -> Result<Added, RegistryError> {
        if let Some(added) = self.create(schema, definition).await? {
            return Ok(added);
        }
        match self.set(&schema.event_type).await? {
            Some(set) => self.follow(set, schema, definition).await,
            None => {
                let text =
                    format!("the schema of {} is made and deleted at the same time", schema.event_type);
                Err(Error::new(Kind::Throttled, "register a schema", text).on(self.place()).into())
            }
        }
    }

    /// Adds a version to those that are there, unless it does not fit them.
    async fn follow(&self, set: Set, schema: &Schema, definition: &str) -> Result<Added, RegistryError> {
        let Judged { compatible, reasons } = judged(set, schema);
        if !compatible {
            return Err(self.incompatible(schema, reasons.join("; ")));
        }
        self.add(schema, definition).await
    }

    /// What is sent.
    fn definition(&self, schema: &Schema) -> Result<String, RegistryError> {
        let document = marked(schema).ok_or_else(|| {
            let text = format!("the schema of {} is no object", schema.event_type);
            Error::new(Kind::InvalidConfiguration, "register a schema", text).on(self.place())
        })?;
        Ok(document.to_string())
    }
}

fn judged(set: Set, schema: &Schema) -> Judged {
    judging::judge(set.level, set.schemas(&schema.event_type), schema)
}

fn same(schema: &Schema, entry: &Entry, registered: Registered) -> Result<GlueRegistration, RegistryError> {
    let differences = differences(&entry.document, &schema.document);
    if !differences.is_empty() {
        let Schema { event_type, version, .. } = schema.clone();
        return Err(RegistryError::Changed { event_type, version, differences });
    }
    Ok(GlueRegistration { id: entry.id.clone(), registered })
}

#[async_trait]
impl Registry for GlueRegistry {
    async fn register(&self, schema: &Schema) -> Result<Registered, RegistryError> {
        Ok(GlueRegistry::register(self, schema).await?.registered)
    }

    /// Those of the schemas with the prefix, by `ListSchemas`. Schemas of Avro and Protobuf are others'.
    async fn schemas(&self) -> Result<Vec<Schema>, RegistryError> {
        let mut schemas = Vec::new();
        for event_type in self.types().await? {
            match self.versions(&event_type).await {
                Ok(versions) => schemas.extend(versions),
                Err(RegistryError::Server(error)) if error.kind() == Kind::Unsupported => {}
                Err(error) => return Err(error),
            }
        }
        schemas.sort_by(|one, other| (&one.event_type, one.version).cmp(&(&other.event_type, other.version)));
        Ok(schemas)
    }
}
