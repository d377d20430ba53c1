//! What is sent and answered, as JSON.

use serde::{Deserialize, Serialize};

use crate::schema::Level;

/// The type of schema that is ours. Where none is named it is Avro.
pub(super) const JSON: &str = "JSON";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewSchema {
    pub(super) schema_type: &'static str,
    pub(super) schema: String,
}

impl NewSchema {
    pub(super) fn new(document: &serde_json::Value) -> Self {
        NewSchema { schema_type: JSON, schema: document.to_string() }
    }
}

#[derive(Deserialize)]
pub(super) struct Id {
    pub(super) id: u32,
}

/// A schema by its id.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ById {
    pub(super) schema: String,
    pub(super) schema_type: Option<String>,
}

/// Where an id is used.
#[derive(Deserialize)]
pub(super) struct Used {
    pub(super) subject: String,
    pub(super) version: u32,
}

/// A version of a subject.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Version {
    pub(super) version: u32,
    pub(super) id: u32,
    pub(super) schema: String,
    pub(super) schema_type: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Compatible {
    pub(super) is_compatible: bool,
    #[serde(default)]
    pub(super) messages: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct NewLevel {
    pub(super) compatibility: Level,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CurrentLevel {
    pub(super) compatibility_level: Level,
}

/// Why not.
#[derive(Deserialize)]
pub(super) struct Refusal {
    pub(super) error_code: i64,
    pub(super) message: String,
}
