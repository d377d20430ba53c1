//! Adding a version: with the schema, if it is the first, and seen through Glue's own check.

use std::time::Duration;

use anybroker_core::{Error, Fate, Kind, kit::within};
use aws_sdk_glue::types::{DataFormat, RegistryId, SchemaVersionStatus};

use super::GlueRegistry;
use super::error::{is_there, typed};
use crate::schema::{RegistryError, Schema};

/// How long between two looks at a version that Glue is checking: it tells nobody.
const LOOK: Duration = Duration::from_millis(200);

/// A version as Glue has taken it.
pub(super) struct Added {
    pub(super) id: String,
    status: Option<SchemaVersionStatus>,
}

impl GlueRegistry {
    /// Makes the schema with its first version. None if somebody else has made it meanwhile.
    pub(super) async fn create(
        &self,
        schema: &Schema,
        definition: &str,
    ) -> Result<Option<Added>, RegistryError> {
        let asked = self
            .client
            .create_schema()
            .registry_id(RegistryId::builder().registry_name(&self.registry).build())
            .schema_name(self.schema_name(&schema.event_type))
            .data_format(DataFormat::Json)
            .compatibility(self.compatibility.clone())
            .schema_definition(definition);
        match asked.send().await {
            Ok(made) => Ok(Some(Added {
                id: made.schema_version_id.unwrap_or_default(),
                status: made.schema_version_status,
            })),
            Err(error) if is_there(&error) => Ok(None),
            Err(error) => Err(typed("register a schema", &self.place, error).into()),
        }
    }

    /// Adds a version to a schema that is there.
    pub(super) async fn add(&self, schema: &Schema, definition: &str) -> Result<Added, RegistryError> {
        let asked = self.client.register_schema_version().schema_id(self.id(&schema.event_type)?);
        let added = asked.schema_definition(definition).send().await;
        let added = added.map_err(|error| typed("register a schema", &self.place, error))?;
        Ok(Added { id: added.schema_version_id.unwrap_or_default(), status: added.status })
    }

    /// Waits until Glue has checked a version.
    pub(super) async fn settled(&self, schema: &Schema, added: &Added) -> Result<(), RegistryError> {
        let mut status = added.status.clone();
        let ended = within(self.deadline, "register a schema", async {
            while status == Some(SchemaVersionStatus::Pending) {
                tokio::time::sleep(LOOK).await;
                status = self.status(&added.id).await?;
            }
            Ok(status)
        });
        let status = ended.await.map_err(|error| match error.kind() {
            Kind::TimedOut => error
                .on(self.place())
                .with_fate(Fate::Unknown)
                .advice("register it again: that says how Glue's check has ended"),
            _ => error,
        })?;
        match status {
            Some(SchemaVersionStatus::Available) => Ok(()),
            Some(SchemaVersionStatus::Failure) => {
                let reason = "Glue's own check by the type's level failed, and says no more".to_owned();
                Err(self.incompatible(schema, reason))
            }
            other => {
                let text = format!("Glue says of the new version only {other:?}");
                Err(Error::new(Kind::Unexpected, "register a schema", text).on(self.place()).into())
            }
        }
    }

    pub(super) fn incompatible(&self, schema: &Schema, reason: String) -> RegistryError {
        let Schema { event_type, version, .. } = schema.clone();
        RegistryError::Incompatible { event_type, version, place: self.place.clone(), reason }
    }

    async fn status(&self, id: &str) -> Result<Option<SchemaVersionStatus>, Error> {
        let asked = self.client.get_schema_version().schema_version_id(id).send().await;
        Ok(asked.map_err(|error| typed("register a schema", &self.place, error))?.status)
    }
}
