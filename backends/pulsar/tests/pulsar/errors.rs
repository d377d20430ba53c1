//! What does not fit, and what cannot be reached.

use anybroker_core::{BrokerUrl, Kind, PublisherOptions, Requirements};

use crate::support::{connect, declared, unique};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_an_error_at_once() {
    let url: BrokerUrl = "pulsar://127.0.0.1:1?deadline=5s".parse().unwrap();
    let error = anybroker_pulsar::connect(&url).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Disconnected, "{error}");
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_interface_that_is_not_there_is_named() {
    let server = crate::support::server();
    let url = format!("{}?admin=http://127.0.0.1:1", server.split('?').next().unwrap());
    let broker = anybroker_pulsar::connect(&url.parse().unwrap()).await.unwrap();
    let error = broker.publisher(PublisherOptions::new(unique("nowhere"))).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Disconnected, "{error}");
    assert!(error.to_string().contains("http://127.0.0.1:1"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_partitions_are_a_difference() {
    let broker = connect("").await;
    let topic = declared(&broker, "differs", Some(2)).await;
    let other = connect("partitions=3").await;
    let error = other.publisher(PublisherOptions::new(topic.clone())).await.unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidConfiguration, "{error}");
    let text = error.to_string();
    assert!(text.contains("2 partitions") && text.contains("3 partitions are asked for"), "{text}");
    broker.admin().delete(&topic).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_of_a_partition_is_no_topic() {
    let broker = connect("topology=create").await;
    let topic = anybroker_core::Topic::new("orders-partition-0").unwrap();
    let error = broker.publisher(PublisherOptions::new(topic)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidConfiguration, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_give_more_is_named() {
    let broker = connect("").await;
    let topic = declared(&broker, "needs", None).await;
    let needs: Requirements = "durability-on-confirm=fsync".parse().unwrap();
    let options = PublisherOptions::new(topic.clone()).require(needs.clone());
    let error = broker.publisher(options.clone()).await.unwrap_err();
    assert!(error.kind() == Kind::Unmet && error.to_string().contains("journal=sync"), "{error}");
    connect("journal=sync").await.publisher(options).await.unwrap();
    broker.admin().delete(&topic).await.unwrap();
}
