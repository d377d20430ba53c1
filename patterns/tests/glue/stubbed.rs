//! What Moto does not have: Glue's own check, which takes its time, lists in pages, and rights.

use std::time::Duration;

use anybroker_core::{Error, Fate, Kind};
use anybroker_patterns::schema::{GlueConfig, Registered, Registry, RegistryError, Schema};
use serde_json::{Value, json};

use super::closed;
use super::server::open;
use super::stub::{Stub, answer, refusal};

fn schema() -> Schema {
    Schema::new("t", 1, closed(&[]))
}

/// A version that `schema` is registered as.
fn version(status: &str) -> (u16, String) {
    let mut document: Value = schema().document;
    document["x-event-type"] = json!("t");
    document["x-schema-version"] = json!(1);
    answer(json!({
        "SchemaVersionId": "v-1",
        "SchemaDefinition": document.to_string(),
        "DataFormat": "JSON",
        "SchemaArn": "arn:aws:glue:us-east-1:1:schema/default-registry/t",
        "VersionNumber": 1,
        "Status": status,
    }))
}

fn set(next: u32) -> (u16, String) {
    answer(json!({ "DataFormat": "JSON", "Compatibility": "BACKWARD", "NextSchemaVersion": next }))
}

/// Glue takes the version, and says these of its check.
async fn checking(said: &[&str]) -> Stub {
    let mut states: Vec<_> = said.iter().map(|status| version(status)).collect();
    states.extend(states.last().cloned());
    Stub::open([
        ("GetSchema", vec![set(1), set(2)]),
        (
            "RegisterSchemaVersion",
            vec![answer(json!({ "SchemaVersionId": "v-1", "VersionNumber": 1, "Status": "PENDING" }))],
        ),
        ("GetSchemaVersion", states),
    ])
    .await
}

#[tokio::test]
async fn a_version_is_registered_once_glue_has_checked_it() {
    let stub = checking(&["PENDING", "PENDING", "AVAILABLE"]).await;
    let registration = open(&stub.config).await.register(&schema()).await.unwrap();
    assert_eq!((registration.id.as_str(), registration.registered), ("v-1", Registered::New));
}

#[tokio::test]
async fn a_version_that_glue_s_own_check_fails_is_refused() {
    let stub = checking(&["PENDING", "FAILURE"]).await;
    let registry = open(&stub.config).await;
    let error = registry.register(&schema()).await.unwrap_err();
    let RegistryError::Incompatible { reason, .. } = &error else { panic!("{error}") };
    assert!(reason.contains("Glue's own check"), "{reason}");
    // It stays there under its number, and counts for nothing.
    assert_eq!(registry.versions("t").await.unwrap(), []);
}

#[tokio::test]
async fn a_check_that_does_not_end_is_waited_for_within_the_deadline() {
    let stub = checking(&["PENDING"]).await;
    let config = GlueConfig { deadline: Duration::from_millis(700), ..stub.config.clone() };
    let registry = open(&config).await;
    let error = Error::from(registry.register(&schema()).await.unwrap_err());
    assert_eq!((error.kind(), error.fate()), (Kind::TimedOut, Fate::Unknown));
    assert!(error.to_string().contains("register it again"), "{error}");
    // Nobody may rely on it yet.
    assert_eq!(registry.versions("t").await.unwrap(), []);
}

#[tokio::test]
async fn lists_are_read_to_their_end_and_schemas_of_another_kind_left_out() {
    let names = |names: &[&str]| names.iter().map(|name| json!({ "SchemaName": name })).collect::<Vec<_>>();
    let avro = answer(json!({ "DataFormat": "AVRO", "NextSchemaVersion": 2 }));
    let stub = Stub::open([
        (
            "ListSchemas",
            vec![
                answer(json!({ "Schemas": names(&["other", "p.avro"]), "NextToken": "more" })),
                answer(json!({ "Schemas": names(&["p.t#3A"]) })),
            ],
        ),
        ("GetSchema", vec![avro, set(2)]),
        ("GetSchemaVersion", vec![version("AVAILABLE")]),
    ])
    .await;
    let config = GlueConfig { prefix: "p.".to_owned(), ..stub.config.clone() };
    let schemas = Registry::schemas(&open(&config).await).await.unwrap();
    assert_eq!(schemas, [Schema::new("t:", 1, closed(&[]))]);
}

#[tokio::test]
async fn rights_and_keys_that_are_missing_are_said_apart() {
    for (code, said) in
        [("AccessDeniedException", "glue:GetSchema"), ("UnrecognizedClientException", "the access key")]
    {
        let stub = Stub::open([("GetSchema", vec![refusal(code)])]).await;
        let registry = open(&stub.config).await;
        let error = Error::from(registry.register(&schema()).await.unwrap_err());
        assert_eq!(error.kind(), Kind::PermissionDenied, "{error}");
        assert!(!error.is_retryable());
        let text = error.to_string();
        assert!(text.contains(said) && text.contains("127.0.0.1"), "{text}");
    }
}
