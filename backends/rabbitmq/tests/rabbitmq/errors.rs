use std::time::{Duration, Instant};

use anybroker_core::{BrokerUrl, Kind, Topology};

use crate::support::*;

async fn refusal(url: &str) -> anybroker_core::Error {
    let parsed: BrokerUrl = url.parse().unwrap();
    let started = Instant::now();
    let error = anybroker_rabbitmq::connect(&parsed).await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(12), "{:?}: {error}", started.elapsed());
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_connection_is_said_soon() {
    on_servers("", async |_, url| {
        let host = url.split_once('@').unwrap().1.trim_end_matches('/').to_owned();
        for (url, kind) in [
            (format!("amqp://guest:hunter2@{host}"), Kind::PermissionDenied),
            (format!("amqp://nobody:hunter2@{host}"), Kind::PermissionDenied),
            (format!("amqp://guest:guest@{host}/no-such-host"), Kind::NotFound),
        ] {
            let error = refusal(&url).await;
            assert_eq!(error.kind(), kind, "{error}");
        }
    })
    .await;
    assert_eq!(refusal("amqp://guest:hunter2@127.0.0.1:1").await.kind(), Kind::Disconnected);
    assert_eq!(refusal("amqps://guest:hunter2@127.0.0.1:1").await.kind(), Kind::Disconnected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_is_given_up() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let error = refusal(&format!("amqp://guest:hunter2@127.0.0.1:{port}?deadline=1s")).await;
    assert_eq!(error.kind(), Kind::TimedOut, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_topic_or_group_is_not_found() {
    on_servers("", async |broker, _| {
        let topic = unique("missing");
        let error = broker.consumer(subscription(&topic)).await.unwrap_err();
        assert!(error.kind() == Kind::NotFound && error.to_string().contains("topics create"), "{error}");
        let options = anybroker_core::PublisherOptions::new(topic.clone());
        assert_eq!(broker.publisher(options).await.unwrap_err().kind(), Kind::NotFound);
        assert_eq!(broker.admin().delete(&topic).await.unwrap_err().kind(), Kind::NotFound);
        broker.admin().declare(&Topology::new(topic.clone())).await.unwrap();
        let error = broker.consumer(subscription(&topic)).await.unwrap_err();
        assert!(error.kind() == Kind::NotFound && error.to_string().contains("group `g`"), "{error}");
        assert_eq!(broker.admin().backlog(&topic, &group("g")).await.unwrap_err().kind(), Kind::NotFound);
        clean(&broker, &topic).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_partitions_are_refused_with_the_difference() {
    on_servers("", async |broker, url| {
        let topic = declared(&broker, "differs", Some(3)).await;
        let publisher = publisher(&broker, &topic).await;
        publish(&publisher, [("k".to_owned(), "1".to_owned())]).await;
        let four = connect(&format!("{url}?partitions=4")).await;
        let error = four.consumer(subscription(&topic)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidConfiguration);
        assert!(error.to_string().contains("3 partitions") && error.to_string().contains("4"), "{error}");
        let more = Topology::new(topic.clone()).group(group("g")).partitions(4);
        let error = broker.admin().declare(&more).await.unwrap_err();
        assert!(error.to_string().contains("1 messages"), "{error}");
        broker.admin().purge(&topic).await.unwrap();
        broker.admin().declare(&more).await.unwrap();
        four.consumer(subscription(&topic)).await.unwrap().close().await.unwrap();
        four.close().await.unwrap();
        clean(&broker, &topic).await;
        assert_eq!(broker.admin().backlog(&topic, &group("g")).await.unwrap_err().kind(), Kind::NotFound);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_of_other_arguments_is_refused_with_the_difference() {
    on_servers("", async |broker, url| {
        let topic = declared(&broker, "arguments", None).await;
        let connection = lapin::Connection::connect(&format!("{url}%2f"), Default::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let queue = format!("{topic}:g");
        channel.queue_delete(queue.as_str().into(), Default::default()).await.unwrap();
        let durable = lapin::options::QueueDeclareOptions { durable: true, ..Default::default() };
        channel.queue_declare(queue.as_str().into(), durable, Default::default()).await.unwrap();
        let error = broker.consumer(subscription(&topic)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidConfiguration, "{error}");
        for part in ["inequivalent arg", "but current is none", queue.as_str(), "delete the queue"] {
            assert!(error.to_string().contains(part), "{part}: {error}");
        }
        clean(&broker, &topic).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requirements_are_checked_with_what_would_satisfy_them() {
    on_servers("", async |broker, _| {
        let topic = declared(&broker, "needs", None).await;
        let needs = "ordering=key,delivery=at-least-once,durability-on-confirm=fsync".parse().unwrap();
        broker.consumer(subscription(&topic).require(needs)).await.unwrap().close().await.unwrap();
        let needs = "replay=earliest,settlement=confirmed".parse().unwrap();
        let error = broker.consumer(subscription(&topic).require(needs)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unmet);
        assert!(
            error.to_string().contains("settlement") && error.to_string().contains("idempotent"),
            "{error}"
        );
        clean(&broker, &topic).await;
    })
    .await;
}
