use std::time::{Duration, Instant};

use anybroker_core::{Durability, Kind, PublisherOptions, Requirements, Subscription, Topic};

use crate::support::*;

#[tokio::test]
async fn a_missing_topic_is_named_with_what_to_do() {
    let broker = connect("").await;
    let topic = Topic::new(unique("missing")).unwrap();
    let publisher = broker.publisher(PublisherOptions::new(topic.clone())).await.unwrap_err();
    let consumer = broker.consumer(Subscription::new(topic.clone(), group())).await.unwrap_err();
    let guarantees = broker.guarantees(Some(&topic), None).await.unwrap_err();
    for error in [publisher, consumer, guarantees] {
        assert_eq!(error.kind(), Kind::NotFound, "{error}");
        assert!(error.to_string().contains("anybroker topics create"), "{error}");
    }
}

#[tokio::test]
async fn a_dead_or_wrong_address_fails_soon() {
    for address in ["127.0.0.1:1", "no-such-host.invalid:9092"] {
        let started = Instant::now();
        let url = format!("kafka://{address}?connect_timeout=3s").parse().unwrap();
        let error = anybroker_kafka::connect(&url).await.unwrap_err();
        assert!(matches!(error.kind(), Kind::Disconnected | Kind::TimedOut), "{error}");
        assert!(started.elapsed() < Duration::from_secs(8), "{address} took {:?}", started.elapsed());
        assert!(error.to_string().contains(address), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let url = format!("kafka://{address}?connect_timeout=2s").parse().unwrap();
    let error = anybroker_kafka::connect(&url).await.unwrap_err();
    assert!(matches!(error.kind(), Kind::Disconnected | Kind::TimedOut), "{error}");
}

#[tokio::test]
async fn a_login_that_the_broker_does_not_take_fails_without_showing_the_password() {
    let url = format!("{}?connect_timeout=5s", address().replace("kafka://", "kafka://alice:hunter2@"));
    let error = anybroker_kafka::connect(&url.parse().unwrap()).await.unwrap_err();
    assert!(!error.to_string().contains("hunter2"), "{error}");
    assert!(matches!(error.kind(), Kind::PermissionDenied | Kind::Disconnected | Kind::TimedOut), "{error}");
}

#[tokio::test]
async fn an_unmet_requirement_refuses_with_what_would_satisfy_it() {
    let broker = connect("").await;
    let topic = topic(&broker, 1).await;
    let needs = Requirements::new().durability_on_confirm(Durability::Replicated);
    let error =
        broker.publisher(PublisherOptions::new(topic.clone()).require(needs.clone())).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unmet);
    assert!(error.to_string().contains("min.insync.replicas=2"), "{error}");
    let error = broker.consumer(Subscription::new(topic, group()).require(needs)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unmet);
}

#[tokio::test]
async fn a_topic_that_differs_is_refused_with_the_difference() {
    let broker = connect("").await;
    let topic = topic(&broker, 2).await;
    let other = connect("partitions=3").await;
    let error = other.publisher(PublisherOptions::new(topic)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidConfiguration);
    assert!(error.to_string().contains("2 partitions") && error.to_string().contains('3'), "{error}");
}
