//! What does not fit, and what cannot be reached.

use anybroker_core::{BrokerUrl, Kind, PublisherOptions, Requirements, Topology};
use anybroker_nats::NativeClient;

use crate::support::{connect, declared, group, server, unique};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_an_error_at_once() {
    let url: BrokerUrl = "nats://127.0.0.1:1?deadline=5s".parse().unwrap();
    let error = anybroker_nats::connect(&url).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Disconnected, "{error}");
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn encryption_that_the_server_does_not_have_is_said_so() {
    let url: BrokerUrl = server().replace("nats://", "tls://").parse().unwrap();
    let error = anybroker_nats::connect(&url).await.unwrap_err();
    assert!(error.to_string().to_lowercase().contains("tls"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn differences_are_told_with_both_sides() {
    let broker = connect("").await;
    let topic = declared(&broker, "differs", Some(2)).await;
    for (parameters, parts) in [
        ("partitions=3", &["2 partitions", "3 are asked for"][..]),
        ("deduplication=7s", &["120s", "7s"]),
        ("replicas=3", &["1 replicas", "3 are asked for"]),
    ] {
        let other = connect(parameters).await;
        let error = other.publisher(PublisherOptions::new(topic.clone())).await.unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidConfiguration, "{error}");
        assert!(parts.iter().all(|part| error.to_string().contains(part)), "{error}");
    }
    let strict = connect("lanes=strict").await;
    let error = strict.guarantees(Some(&topic), Some(&group("g"))).await.unwrap_err();
    assert!(error.to_string().contains("relaxed") && error.to_string().contains("strict"), "{error}");
    broker.admin().delete(&topic).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_stream_with_the_subjects_is_a_difference_and_takes_nothing() {
    let broker = connect("").await;
    let topic = unique("taken");
    let native = broker.native().unwrap().downcast_ref::<NativeClient>().unwrap().client().unwrap();
    let stream = async_nats::jetstream::new(native);
    let name = topic.as_str().replace('.', "=");
    let config = async_nats::jetstream::stream::Config {
        name: name.clone(),
        subjects: vec![format!("{topic}.>")],
        ..Default::default()
    };
    stream.create_stream(config).await.unwrap();
    let error = broker.admin().declare(&Topology::new(topic.clone())).await.unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidConfiguration, "{error}");
    assert!(error.to_string().contains("subjects"), "{error}");
    stream.delete_stream(name).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_core_nats_gives_is_refused_with_what_would_give_it() {
    let url = server().replace("nats://", "nats+core://");
    let broker = crate::support::open(&url).await;
    let needs: Requirements = "delivery=at-least-once".parse().unwrap();
    let error = broker.publisher(PublisherOptions::new(unique("core")).require(needs)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unmet);
    assert!(error.to_string().contains("nats:// (JetStream)"), "{error}");
}
