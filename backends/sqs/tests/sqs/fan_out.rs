//! Several groups: a queue for each, all sent to by the publisher.

use anybroker_core::{FanOut, Fate, Kind, Message, PublisherExt, Subscription, Topology};

use crate::support::{
    clean, connect, consumer_of, group, native, publisher, receive, silent, texts, unique, url_of,
};

const FAN_OUT: &str = "wait=1s&fan_out=publisher&groups=billing,shipping";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_group_gets_everything() {
    let broker = connect(FAN_OUT).await;
    let topic = unique("fan-out");
    broker.admin().declare(&Topology::new(topic.clone()).group(group("billing"))).await.unwrap();
    assert_eq!(broker.guarantees(Some(&topic), None).await.unwrap().fan_out.value, FanOut::Emulated);
    let publisher = publisher(&broker, &topic).await;
    for n in 0..25 {
        publisher.publish(Message::new(n.to_string()).with_key("k")).await.unwrap();
    }
    let expected: Vec<_> = (0..25).map(|n| n.to_string()).collect();
    for name in ["billing", "shipping"] {
        let mut consumer = consumer_of(&broker, &topic, name).await;
        let mut all = Vec::new();
        while all.len() < 25 {
            for delivery in receive(&mut consumer, 1).await {
                all.extend(texts(std::slice::from_ref(&delivery)));
                delivery.ack().await.unwrap();
            }
        }
        assert_eq!(all, expected, "{name}");
        consumer.close().await.unwrap();
    }
    let listed = broker.admin().topics().await.unwrap();
    let listed = listed.into_iter().find(|info| info.topic == topic.as_str()).unwrap();
    assert_eq!(listed.groups, ["billing", "shipping"]);
    let stranger = Subscription::new(topic.clone(), group("stranger"));
    let error = broker.consumer(stranger).await.unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidConfiguration);
    assert!(error.to_string().contains("groups=billing,shipping"), "{error}");
    clean(&broker, &topic).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_missed_a_message_gets_it_by_publishing_again() {
    let broker = connect(FAN_OUT).await;
    let topic = unique("partial");
    let topology = Topology::new(topic.clone()).group(group("shipping"));
    broker.admin().declare(&topology).await.unwrap();
    let publisher = publisher(&broker, &topic).await;
    let url = url_of(&broker, &format!("{topic}___shipping.fifo")).await;
    native(&broker).delete_queue().queue_url(url).send().await.unwrap();
    let failed = publisher.publish(Message::new("x").with_id("m-1").with_key("k")).await.unwrap_err();
    assert_eq!(failed.error().fate(), Fate::Unknown);
    let text = failed.to_string();
    assert!(
        text.contains("1 of 2 groups") && text.contains("`shipping`") && text.contains("same id"),
        "{text}"
    );
    broker.admin().declare(&topology).await.unwrap();
    let (_, message) = failed.into_parts();
    publisher.resume(message.key.as_ref().unwrap());
    publisher.publish(message).await.unwrap();
    for name in ["billing", "shipping"] {
        let mut consumer = consumer_of(&broker, &topic, name).await;
        receive(&mut consumer, 1).await.remove(0).ack().await.unwrap();
        silent(&mut consumer, std::time::Duration::from_millis(500)).await;
        consumer.close().await.unwrap();
    }
    clean(&broker, &topic).await;
}
