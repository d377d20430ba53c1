use anybroker_core::{
    DeliveryLevel, Group, Kind, PublisherOptions, Requirements, Subscription, Topic, Topology,
};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;

use crate::support::*;

#[tokio::test]
async fn topics_are_declared_listed_purged_and_deleted() {
    let broker = connect("").await;
    let admin = broker.admin();
    let topic = topic(&broker, 3).await;
    let group = group();
    admin.declare(&Topology::new(topic.clone()).partitions(3).group(group.clone())).await.unwrap();
    publish(&broker, &topic, "k", 0..7).await;
    assert_eq!(admin.backlog(&topic, &group).await.unwrap(), 7);

    let mut consumer = consumer(&broker, &topic, &group).await;
    ack(next(&mut consumer).await).await;
    consumer.settler().flush().await.unwrap();
    assert_eq!(admin.backlog(&topic, &group).await.unwrap(), 6);
    let listed = admin.topics().await.unwrap().into_iter().find(|t| t.topic == topic.as_str()).unwrap();
    assert_eq!((listed.partitions, listed.groups), (Some(3), vec![group.to_string()]));
    consumer.close().await.unwrap();

    admin.purge(&topic).await.unwrap();
    assert_eq!(admin.backlog(&topic, &group).await.unwrap(), 0);
    let nobody = Group::new(unique("nobody")).unwrap();
    assert_eq!(admin.backlog(&topic, &nobody).await.unwrap_err().kind(), Kind::NotFound);

    admin.delete(&topic).await.unwrap();
    assert!(admin.topics().await.unwrap().iter().all(|t| t.topic != topic.as_str()));
    assert_eq!(admin.delete(&topic).await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(admin.backlog(&topic, &group).await.unwrap_err().kind(), Kind::NotFound);
    assert!(admin.health().await.unwrap() < PATIENCE);
}

#[tokio::test]
async fn a_missing_topic_is_created_if_the_url_says_so() {
    let broker = connect("topology=create&partitions=5").await;
    let topic = Topic::new(unique("created")).unwrap();
    broker.publisher(PublisherOptions::new(topic.clone())).await.unwrap();
    let listed =
        broker.admin().topics().await.unwrap().into_iter().find(|t| t.topic == topic.as_str()).unwrap();
    assert_eq!(listed.partitions, Some(5));
    broker.admin().delete(&topic).await.unwrap();
}

#[tokio::test]
async fn a_topic_that_is_deleted_under_a_consumer_ends_it() {
    let broker = connect("").await;
    let topic = topic(&broker, 1).await;
    publish(&broker, &topic, "k", 0..1).await;
    let mut consumer = consumer(&broker, &topic, &group()).await;
    ack(next(&mut consumer).await).await;
    broker.admin().delete(&topic).await.unwrap();
    let ended = tokio::time::timeout(PATIENCE, consumer.receive(1)).await;
    let error = ended.expect("the consumer should notice").unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound, "{error}");
    assert!(error.to_string().contains("anybroker topics create"), "{error}");
}

#[tokio::test]
async fn a_topic_that_gives_less_than_before_ends_its_consumers() {
    let broker = connect("").await;
    let topic = topic(&broker, 1).await;
    let needs = Requirements::new().delivery(DeliveryLevel::AtLeastOnce);
    let mut consumer =
        broker.consumer(Subscription::new(topic.clone(), group()).require(needs)).await.unwrap();
    compact(&topic).await;
    let ended = tokio::time::timeout(PATIENCE, consumer.receive(1)).await;
    let error = ended.expect("the consumer should notice").unwrap_err();
    assert_eq!(error.kind(), Kind::Unmet, "{error}");
    assert!(error.to_string().contains("cleanup.policy=delete"), "{error}");
    broker.admin().delete(&topic).await.unwrap();
}

/// Someone with other tools.
async fn compact(topic: &Topic) {
    let servers = address().trim_start_matches("kafka://").to_owned();
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", servers).create().unwrap();
    let compact = AlterConfig::new(ResourceSpecifier::Topic(topic.as_str())).set("cleanup.policy", "compact");
    for altered in admin.alter_configs([&compact], &AdminOptions::new()).await.unwrap() {
        altered.unwrap();
    }
}
