//! A server that is away, does not answer, or is something else.

use std::time::Duration;

use anybroker_core::{Error, Kind, Secret};
use anybroker_patterns::schema::{GlueConfig, Registry, Schema};
use tokio::net::TcpListener;

use super::closed;
use super::server::open;
use super::stub::Stub;

fn at(address: impl std::fmt::Display) -> GlueConfig {
    GlueConfig {
        endpoint: Some(format!("http://{address}")),
        access_key: Some(("AKIA".to_owned(), Secret::new("hunter2"))),
        ..GlueConfig::new("us-east-1")
    }
}

#[tokio::test]
async fn a_server_that_is_down_is_named_and_secrets_are_not() {
    // A port that nothing listens on.
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let config = at(address);
    let registry = open(&config).await;
    let error = Error::from(registry.register(&Schema::new("t", 1, closed(&[]))).await.unwrap_err());
    assert_eq!(error.kind(), Kind::Disconnected, "{error}");
    assert!(error.is_retryable());
    let shown = format!("{error} {registry:?} {config:?}");
    assert!(shown.contains(&address.to_string()) && !shown.contains("hunter2"), "{shown}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_waited_for_within_the_deadline() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = GlueConfig { deadline: Duration::from_millis(200), ..at(silent.local_addr().unwrap()) };
    let error = Error::from(Registry::schemas(&open(&config).await).await.unwrap_err());
    assert_eq!(error.kind(), Kind::TimedOut, "{error}");
}

#[tokio::test]
async fn what_is_no_glue_is_said() {
    for (status, body) in [(404, "<html>"), (200, "<html>"), (400, "{}")] {
        let stub = Stub::open([("GetSchema", vec![(status, body.to_owned())])]).await;
        let error = Error::from(open(&stub.config).await.versions("t").await.unwrap_err());
        assert_eq!(error.kind(), Kind::Unexpected, "{error}");
        let text = error.to_string();
        assert!(text.contains("check the region, and endpoint="), "{text}");
    }
}
