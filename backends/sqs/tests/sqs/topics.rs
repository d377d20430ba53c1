//! Topics, groups, and queues that differ.

use anybroker_core::{Kind, PublisherOptions, Subscription, Topic, Topology};
use anybroker_sqs::aws_sdk_sqs::types::QueueAttributeName as Name;

use crate::support::{
    clean, connect, consumer, declared, group, native, publish, publisher, receive, unique, url_of,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_group_is_refused_with_what_to_do() {
    let broker = connect("wait=1s").await;
    let topic = declared(&broker, "one-group").await;
    let topology = Topology::new(topic.clone()).group(group("second"));
    let refused = [
        broker.admin().declare(&topology).await.unwrap_err(),
        broker.admin().declare(&topology.clone().group(group("g"))).await.unwrap_err(),
        broker.consumer(Subscription::new(topic.clone(), group("second"))).await.unwrap_err(),
    ];
    for error in refused {
        assert_eq!(error.kind(), Kind::InvalidConfiguration);
        assert!(error.to_string().contains("fan_out=publisher&groups="), "{error}");
    }
    let backlog = broker.admin().backlog(&topic, &group("second")).await.unwrap_err();
    assert_eq!(backlog.kind(), Kind::NotFound);
    clean(&broker, &topic).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_groups_and_backlogs_are_listed() {
    let broker = connect("wait=1s").await;
    let topic = Topic::new(format!("{}.v1_eu", unique("list"))).unwrap();
    broker.admin().declare(&Topology::new(topic.clone()).group(group("g"))).await.unwrap();
    publish(&publisher(&broker, &topic).await, &[("a", "a1"), ("b", "b1"), ("c", "c1")]).await;
    let mut consumer = consumer(&broker, &topic).await;
    let held = receive(&mut consumer, 2).await;
    let topics = broker.admin().topics().await.unwrap();
    assert!(topics.iter().any(|info| info.topic == topic.as_str()), "{topics:?}");
    let groups = broker.admin().groups(&topic).await.unwrap();
    assert_eq!((groups[0].group.as_str(), groups[0].backlog()), ("g", 3));
    drop(held);
    consumer.close().await.unwrap();
    broker.admin().purge(&topic).await.unwrap();
    assert_eq!(broker.admin().backlog(&topic, &group("g")).await.unwrap(), 0);
    broker.admin().health().await.unwrap();
    broker.admin().delete(&topic).await.unwrap();
    for error in [
        broker.admin().delete(&topic).await.unwrap_err(),
        broker.admin().groups(&topic).await.unwrap_err(),
        broker.publisher(PublisherOptions::new(topic.clone())).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), Kind::NotFound);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_differs_is_refused_with_the_difference() {
    let broker = connect("wait=1s").await;
    let (topic, dead) = (declared(&broker, "differs").await, declared(&broker, "differs-dead").await);
    let client = native(&broker);
    let (url, dead_url) =
        (url_of(&broker, &format!("{topic}.fifo")).await, url_of(&broker, &format!("{dead}.fifo")).await);
    let attributes = client.get_queue_attributes().queue_url(dead_url).attribute_names(Name::QueueArn);
    let arn = attributes.send().await.unwrap().attributes.unwrap().remove(&Name::QueueArn).unwrap();
    let policy = format!("{{\"deadLetterTargetArn\":\"{arn}\",\"maxReceiveCount\":\"3\"}}");
    let set = client.set_queue_attributes().queue_url(&url).attributes(Name::RedrivePolicy, policy);
    set.send().await.unwrap();
    let error = broker.publisher(PublisherOptions::new(topic.clone())).await.unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidConfiguration);
    for part in ["after 3 receives", "100 or more", "redrive=3"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    for parameters in ["redrive=3", "topology=ignore"] {
        let tolerant = connect(parameters).await;
        tolerant.publisher(PublisherOptions::new(topic.clone())).await.unwrap();
    }
    broker.admin().delete(&dead).await.unwrap();
    clean(&broker, &topic).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_without_a_group_is_for_publishers_only() {
    let broker = connect("wait=1s").await;
    let topic = unique("no-group");
    broker.admin().declare(&Topology::new(topic.clone())).await.unwrap();
    publish(&publisher(&broker, &topic).await, &[("a", "a1")]).await;
    let subscription = Subscription::new(topic.clone(), group("g"));
    let error = broker.consumer(subscription.clone()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.to_string().contains("--groups"), "{error}");
    assert!(broker.admin().groups(&topic).await.unwrap().is_empty());
    let creating = connect("wait=1s&topology=create").await;
    let mut consumer = creating.consumer(subscription).await.unwrap();
    receive(&mut consumer, 1).await.remove(0).ack().await.unwrap();
    consumer.close().await.unwrap();
    clean(&broker, &topic).await;
}
