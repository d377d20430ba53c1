//! A server that is away, does not answer, does not know us, or has no such schema.

use std::time::Duration;

use anybroker_core::{Error, Fate, Kind, Secret};
use anybroker_patterns::schema::{ConfluentConfig, Login, Registry, RegistryError, Schema};
use serde_json::json;
use tokio::net::TcpListener;

use super::closed;
use super::gate::Gate;
use super::server::{at, config, foreign, open, own, port};

/// A port that nothing listens on.
async fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

fn schema() -> Schema {
    Schema::new("t", 1, closed(&[]))
}

#[tokio::test]
async fn a_server_that_is_down_is_named_after_so_many_attempts() {
    let config = ConfluentConfig::new(format!("http://127.0.0.1:{}", closed_port().await));
    let registry = open(&ConfluentConfig { attempts: 2, ..config });
    let error = Error::from(registry.register(&schema()).await.unwrap_err());
    assert_eq!((error.kind(), error.fate()), (Kind::Disconnected, Fate::NotApplied));
    assert!(error.is_retryable());
    let text = error.to_string();
    assert!(text.contains("2 attempts") && text.contains("127.0.0.1"), "{text}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_waited_for_within_the_deadline() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = ConfluentConfig::new(format!("http://{}", silent.local_addr().unwrap()));
    let config = ConfluentConfig { deadline: Duration::from_millis(100), attempts: 2, ..config };
    let error = Error::from(Registry::schemas(&open(&config)).await.unwrap_err());
    assert_eq!(error.kind(), Kind::TimedOut, "{error}");
}

#[tokio::test]
async fn broken_connections_and_servers_that_are_down_are_got_over() {
    let Some(own) = own() else { return };
    let gate = Gate::open(port(&own), 2).await;
    let registry = open(&at(&own, gate.port));
    registry.register(&schema()).await.unwrap();
    assert!(gate.connections() > 2, "{}", gate.connections());
    // The second address answers.
    let mut two = at(&own, closed_port().await);
    two.addresses.extend(own.addresses.clone());
    assert_eq!(Registry::schemas(&open(&two)).await.unwrap(), [schema()]);
}

#[tokio::test]
async fn wrong_credentials_are_said_and_not_shown() {
    let Some(config) = config() else { return };
    let wrong = Login::Basic { user: "anybroker".to_owned(), password: Secret::new("hunter2") };
    for login in [None, Some(wrong), Some(Login::Token(Secret::new("hunter2")))] {
        let config = ConfluentConfig { login, ..config.clone() };
        let registry = open(&config);
        let error = Error::from(registry.register(&schema()).await.unwrap_err());
        assert_eq!(error.kind(), Kind::PermissionDenied, "{error}");
        assert!(!error.is_retryable());
        let shown = format!("{error} {registry:?} {config:?}");
        assert!(shown.contains("user and password") && !shown.contains("hunter2"), "{shown}");
    }
}

#[tokio::test]
async fn what_is_no_registry_is_told_from_one_that_has_no_schema() {
    let Some(config) = config() else { return };
    let mut elsewhere = config.clone();
    elsewhere.addresses[0] = elsewhere.addresses[0].replace("/ccompat/v7", "/nowhere");
    let error = Error::from(Registry::schemas(&open(&elsewhere)).await.unwrap_err());
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.to_string().contains("check the path"), "{error}");

    let registry = open(&config);
    let error = registry.by_id(4_000_000_000).await.unwrap_err();
    assert!(matches!(error, RegistryError::Unknown { id: 4_000_000_000, .. }), "{error}");
    assert_eq!(Error::from(error).kind(), Kind::NotFound);
}

#[tokio::test]
async fn schemas_of_another_kind_are_not_taken_for_json() {
    let Some(config) = own() else { return };
    let id = foreign(&config, &format!("{}avro", config.prefix), "AVRO", &json!("string")).await;
    let error = Error::from(open(&config).by_id(id).await.unwrap_err());
    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(error.to_string().contains("AVRO"), "{error}");
}
