//! The registries there are, by the schemes of their URLs.

use anybroker::patterns::schema::{
    ConfluentConfig, ConfluentRegistry, Judged, Level, Registered, Registry as _, RegistryError, Schema,
};
#[cfg(feature = "glue")]
use anybroker::patterns::schema::{GlueConfig, GlueRegistry};
use anybroker::{BrokerUrl, Error};
use serde_json::Value;

/// A registry of schemas on a server.
pub(super) enum Server {
    Confluent(ConfluentRegistry),
    #[cfg(feature = "glue")]
    Glue(Box<GlueRegistry>),
}

/// The registry at this URL. No schema is asked for yet.
pub(super) async fn open(url: &str) -> Result<Server, Error> {
    let url: BrokerUrl = url.parse()?;
    match url.scheme.as_str() {
        "glue" => glue(&url).await,
        _ => Ok(Server::Confluent(ConfluentRegistry::open(ConfluentConfig::from_url(&url)?)?)),
    }
}

#[cfg(feature = "glue")]
async fn glue(url: &BrokerUrl) -> Result<Server, Error> {
    Ok(Server::Glue(Box::new(GlueRegistry::open(GlueConfig::from_url(url)?).await?)))
}

#[cfg(not(feature = "glue"))]
async fn glue(url: &BrokerUrl) -> Result<Server, Error> {
    let error =
        Error::new(anybroker::Kind::Unsupported, "connect", "this program was built without AWS Glue");
    Err(error.on(url.to_string()).advice("build it with the feature `glue`"))
}

impl Server {
    /// What is registered: of the types of `schemas`, or of all types.
    pub(super) async fn registered(&self, schemas: Option<&[Schema]>) -> Result<Vec<Schema>, RegistryError> {
        match (self, schemas) {
            // Glue is asked of each: not everybody may list.
            #[cfg(feature = "glue")]
            (Server::Glue(registry), Some(schemas)) => {
                let mut types: Vec<_> = schemas.iter().map(|it| it.event_type.as_str()).collect();
                types.dedup();
                let mut registered = Vec::new();
                for event_type in types {
                    registered.extend(registry.versions(event_type).await?);
                }
                Ok(registered)
            }
            #[cfg(feature = "glue")]
            (Server::Glue(registry), None) => registry.schemas().await,
            (Server::Confluent(registry), None) => registry.schemas().await,
            (Server::Confluent(registry), Some(schemas)) => {
                // A server may have others' types as well.
                let ours = |it: &Schema| schemas.iter().any(|own| own.event_type == it.event_type);
                Ok(registry.schemas().await?.into_iter().filter(ours).collect())
            }
        }
    }

    pub(super) async fn judge(&self, schema: &Schema) -> Result<Judged, RegistryError> {
        match self {
            Server::Confluent(registry) => registry.judge(schema).await,
            #[cfg(feature = "glue")]
            Server::Glue(registry) => registry.judge(schema).await,
        }
    }

    pub(super) async fn level(&self, event_type: &str) -> Result<Option<Level>, RegistryError> {
        match self {
            Server::Confluent(registry) => registry.level(event_type).await,
            #[cfg(feature = "glue")]
            Server::Glue(registry) => registry.level(event_type).await,
        }
    }

    /// Registers a schema; its id, and whether it is new.
    pub(super) async fn register(&self, schema: &Schema) -> Result<(Value, Registered), RegistryError> {
        match self {
            Server::Confluent(registry) => {
                let done = registry.register(schema).await?;
                Ok((done.id.into(), done.registered))
            }
            #[cfg(feature = "glue")]
            Server::Glue(registry) => {
                let done = registry.register(schema).await?;
                Ok((done.id.into(), done.registered))
            }
        }
    }
}
