//! What an id stands for, and which id a version has: asked once.

use std::sync::Arc;

use anybroker_core::{Error, Kind};
use bytestring::ByteString;
use reqwest::Method;
use serde_json::Value;

use super::ConfluentRegistry;
use super::http::Request;
use super::protocol::{ById, JSON, Used};
use crate::schema::RegistryError;
use crate::schema::document::take_marks;

/// A schema as it is found by its id.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) document: Value,
    /// Its type and version, if it was registered by this library.
    pub(super) marks: Option<(String, u32)>,
    /// Otherwise the subjects that use it, with their versions.
    pub(super) used: Vec<(String, u32)>,
}

impl ConfluentRegistry {
    /// The JSON Schema that has this id. It never changes, so it is asked for once.
    ///
    /// # Errors
    /// [`RegistryError::Unknown`]; `Unsupported` if it is no JSON Schema, but one of Avro or Protobuf; what asking fails with.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn by_id(&self, id: u32) -> Result<Value, RegistryError> {
        Ok(self.found(id).await?.document.clone())
    }

    pub(super) async fn found(&self, id: u32) -> Result<Arc<Found>, RegistryError> {
        self.inner.found.get(&id, async { self.fetch(id).await.map(Arc::new) }).await
    }

    /// The id of a registered version.
    pub(super) async fn id_of(&self, event_type: &ByteString, version: u32) -> Result<u32, RegistryError> {
        let key = (event_type.clone(), version);
        let fetch = async {
            match self.entry(event_type, version).await? {
                Some(entry) => Ok(entry.id),
                None => Err(RegistryError::NotRegistered {
                    event_type: event_type.to_string(),
                    version,
                    place: self.place().to_owned(),
                }),
            }
        };
        self.inner.ids.get(&key, fetch).await
    }

    async fn fetch(&self, id: u32) -> Result<Found, RegistryError> {
        let path = format!("/schemas/ids/{id}");
        let Some(found) = self.get::<ById>(&path).await? else {
            return Err(RegistryError::Unknown { id, place: self.place().to_owned() });
        };
        if let Some(other) = found.schema_type.filter(|it| it != JSON) {
            let text = format!("the schema with the id {id} is one of {other}, and JSON is read here");
            return Err(Error::new(Kind::Unsupported, "fetch a schema", text).on(self.place()).into());
        }
        let mut document = self.parse(&found.schema)?;
        let marks = take_marks(&mut document);
        let used = match &marks {
            Some(_) => Vec::new(),
            None => self.get::<Vec<Used>>(&format!("{path}/versions")).await?.unwrap_or_default(),
        };
        let used = used.into_iter().map(|it| (it.subject, it.version)).collect();
        Ok(Found { document, marks, used })
    }

    /// What is at a path, if there is anything.
    pub(super) async fn get<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<Option<T>, RegistryError> {
        let request = Request { operation: "fetch a schema", method: &Method::GET, path, body: None };
        let answer = self.inner.http.ask(request).await?;
        match answer {
            Ok(found) => Ok(Some(found)),
            Err(refused) if refused.status == 404 => Ok(None),
            Err(refused) => {
                Err(Error::new(Kind::Unexpected, "fetch a schema", refused.message).on(self.place()).into())
            }
        }
    }

    /// The document, which travels as text in JSON.
    pub(super) fn parse(&self, text: &str) -> Result<Value, RegistryError> {
        serde_json::from_str(text).map_err(|error| {
            let error =
                Error::new(Kind::Unexpected, "fetch a schema", "the registry has a schema that is no JSON")
                    .with_source(error);
            error.on(self.place()).into()
        })
    }
}
