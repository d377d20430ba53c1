//! Groups of every type, and where they start.

use anybroker_core::{Kind, Level as _, Replay, Start, Unsubscribed};

use crate::support::{connect, declared, group, publish, publisher, receive, subscription, texts};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_member_of_an_exclusive_group_is_refused() {
    let broker = connect("subscription_type=exclusive").await;
    let topic = declared(&broker, "exclusive", None).await;
    let first = broker.consumer(subscription(&topic)).await.unwrap();
    let error = broker.consumer(subscription(&topic)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Fenced, "{error}");
    assert!(error.to_string().contains("another consumer has the subscription"), "{error}");
    first.close().await.unwrap();
    broker.consumer(subscription(&topic)).await.unwrap().close().await.unwrap();
    broker.admin().delete(&topic).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_retention_nothing_is_read_again_and_the_rows_say_so() {
    let broker = connect("retention=0s").await;
    let topic = declared(&broker, "forgets", Some(2)).await;
    let given = broker.guarantees(Some(&topic), Some(&group("g"))).await.unwrap();
    assert_eq!(given.replay.value, Replay::None);
    assert_eq!(given.unsubscribed_publish.value, Unsubscribed::Dropped);
    let error = broker.consumer(subscription(&topic).start(Start::Earliest)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported, "{error}");
    assert!(error.to_string().contains("set-retention"), "{error}");
    broker.admin().delete(&topic).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn latest_begins_with_what_is_published_from_then_on() {
    let broker = connect("").await;
    let topic = declared(&broker, "latest", Some(2)).await;
    let publisher = publisher(&broker, &topic).await;
    publish(&publisher, ["before".to_owned()]).await;
    let mut consumer = broker.consumer(subscription(&topic).start(Start::Latest)).await.unwrap();
    publish(&publisher, ["after".to_owned()]).await;
    assert_eq!(texts(&receive(&mut consumer, 1).await), ["after"]);
    consumer.close().await.unwrap();
    broker.admin().delete(&topic).await.unwrap();
}

/// The binary protocol alone: topic and group come to be by themselves.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_admin_interface_it_works_and_knows_less() {
    let server = crate::support::server();
    let alone = format!("{}?admin=http://127.0.0.1:1&topology=ignore", server.split('?').next().unwrap());
    let broker = anybroker_pulsar::connect(&alone.parse().unwrap()).await.unwrap();
    let topic = crate::support::unique("alone");
    let mut consumer = broker.consumer(subscription(&topic)).await.unwrap();
    publish(&publisher(&broker, &topic).await, ["m".to_owned()]).await;
    let delivery = receive(&mut consumer, 1).await.remove(0);
    delivery.ack().await.unwrap();
    consumer.close().await.unwrap();
    let given = broker.guarantees(Some(&topic), Some(&group("g"))).await.unwrap();
    assert!(!given.replay.value.satisfies(Replay::Earliest));
    assert_eq!(given.replay.basis, anybroker_core::Basis::Unknown);
    connect("").await.admin().delete(&topic).await.unwrap();
}
