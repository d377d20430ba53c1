//! Duplicates, positions, replay, foreign programs, groups.

use anybroker_core::{Message, PublisherExt, Settled, Settlement, Start};
use anybroker_nats::NativeClient;

use crate::support::{LIMIT, connect, declared, group, publish, publisher, receive, subscription, texts};

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_id_is_stored_once_and_said_so() {
    let broker = connect("").await;
    let topic = declared(&broker, "duplicate", Some(3)).await;
    let publisher = publisher(&broker, &topic).await;
    let message = Message::new("x").with_key("order-7").with_id("m 1");
    let first = publisher.publish(message.clone()).await.unwrap();
    let second = publisher.publish(message).await.unwrap();
    assert_eq!((first.duplicate, second.duplicate), (false, true));
    assert_eq!(first.position, second.position);
    // crc32("order-7") modulo 3.
    assert_eq!(first.position.unwrap().partition, 2);
    assert_eq!(broker.admin().backlog(&topic, &group("g")).await.unwrap(), 1);
    broker.admin().delete(&topic).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn earliest_reads_again_and_latest_reads_what_comes() {
    let broker = connect("").await;
    let topic = declared(&broker, "replay", Some(2)).await;
    let publisher = publisher(&broker, &topic).await;
    publish(&publisher, numbers(0..5)).await;
    for start in [Start::Resume, Start::Earliest] {
        let mut consumer = broker.consumer(subscription(&topic).start(start)).await.unwrap();
        let all = receive(&mut consumer, 5).await;
        assert_eq!(texts(&all), numbers(0..5), "{start:?}");
        for delivery in all {
            delivery.ack().await.unwrap();
        }
        consumer.close().await.unwrap();
    }
    publish(&publisher, numbers(5..7)).await;
    let mut consumer = broker.consumer(subscription(&topic).start(Start::Latest)).await.unwrap();
    publish(&publisher, numbers(7..9)).await;
    assert_eq!(texts(&receive(&mut consumer, 2).await), numbers(7..9));
    consumer.close().await.unwrap();
    broker.admin().delete(&topic).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_knows_nothing_of_us_can_publish() {
    let broker = connect("").await;
    let topic = declared(&broker, "foreign", Some(4)).await;
    let native = broker.native().unwrap().downcast_ref::<NativeClient>().unwrap().client().unwrap();
    let stream = async_nats::jetstream::new(native);
    stream.publish(topic.to_string(), "plain".into()).await.unwrap().await.unwrap();
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Ce-PartitionKey", "k");
    stream.publish_with_headers(format!("{topic}.0"), headers, "keyed".into()).await.unwrap().await.unwrap();
    let mut consumer = broker.consumer(subscription(&topic)).await.unwrap();
    let all = receive(&mut consumer, 2).await;
    assert_eq!(texts(&all), ["plain", "keyed"]);
    assert_eq!(all[0].key(), None);
    assert_eq!(all[1].key(), Some(&b"k"[..]));
    consumer.close().await.unwrap();
    broker.admin().delete(&topic).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_listed_with_members_and_lag() {
    let broker = connect("").await;
    let topic = declared(&broker, "groups", Some(2)).await;
    let publisher = publisher(&broker, &topic).await;
    publish(&publisher, numbers(0..10)).await;
    let consumer = broker.consumer(subscription(&topic)).await.unwrap();
    let groups = broker.admin().groups(&topic).await.unwrap();
    assert_eq!(groups.len(), 1);
    let found = &groups[0];
    assert_eq!((found.group.as_str(), found.members, found.backlog()), ("g", Some(1), 10));
    assert_eq!(found.partitions.len(), 2);
    let listed = broker.admin().topics().await.unwrap();
    let listed = listed.iter().find(|info| info.topic == topic.as_str()).unwrap();
    assert_eq!((listed.partitions, listed.groups.as_slice()), (Some(2), &["g".to_owned()][..]));
    consumer.close().await.unwrap();
    broker.admin().purge(&topic).await.unwrap();
    assert_eq!(broker.admin().backlog(&topic, &group("g")).await.unwrap(), 0);
    broker.admin().delete(&topic).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_message_is_taken_back_in_order() {
    let broker = connect("").await;
    let topic = declared(&broker, "torn", None).await;
    let publisher = publisher(&broker, &topic).await;
    let mut consumer = broker.consumer(subscription(&topic)).await.unwrap();
    publish(&publisher, numbers(0..3)).await;
    for delivery in receive(&mut consumer, 3).await {
        delivery.ack().await.unwrap();
    }
    // Somebody else pulls from our consumer and gets a message, as a member does whose request came too late.
    let native = broker.native().unwrap().downcast_ref::<NativeClient>().unwrap().client().unwrap();
    let inbox = native.new_inbox();
    let mut thief = native.subscribe(inbox.clone()).await.unwrap();
    let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.g@0", topic.as_str().replace('.', "="));
    let mut published = 3;
    let stolen = loop {
        let request = "{\"batch\":1,\"expires\":5000000000}";
        native.publish_with_reply(subject.clone(), inbox.clone(), request.into()).await.unwrap();
        native.flush().await.unwrap();
        publish(&publisher, numbers(published..published + 40)).await;
        published += 40;
        let message =
            tokio::time::timeout(LIMIT, futures::StreamExt::next(&mut thief)).await.unwrap().unwrap();
        if message.status.is_none() {
            break String::from_utf8_lossy(&message.payload).into_owned();
        }
    };
    publish(&publisher, numbers(published..published + 5)).await;
    let (mut came, mut last) = (Vec::new(), None);
    while came.len() < published + 5 - 3 {
        for delivery in receive(&mut consumer, 1).await {
            let text: usize = texts(std::slice::from_ref(&delivery))[0].parse().unwrap();
            // What was in our hands when the gap showed is void, and comes again.
            if delivery.ack().await.is_ok() && last.is_none_or(|last| text > last) {
                last = Some(text);
                came.push(text.to_string());
            }
        }
    }
    assert!(came.contains(&stolen));
    assert_eq!(came, numbers(3..published + 5));
    consumer.close().await.unwrap();
    broker.admin().delete(&topic).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_answer_tells_that_all_acknowledgements_of_a_partition_have_arrived() {
    let broker = connect("").await;
    let topic = declared(&broker, "answers", Some(2)).await;
    let publisher = publisher(&broker, &topic).await;
    let mut left = 6_000;
    publish(&publisher, numbers(0..left)).await;
    let mut consumer = broker.consumer(subscription(&topic)).await.unwrap();
    let settler = consumer.settler();
    while left > 0 {
        let batch = consumer.receive(500).await.unwrap();
        left -= batch.len();
        for settled in settler.settle(batch.into_iter().map(Settlement::ack).collect()).await {
            assert_eq!(settled.unwrap(), Settled::Recorded);
        }
        assert_eq!(broker.admin().backlog(&topic, &group("g")).await.unwrap(), left as u64);
    }
    consumer.close().await.unwrap();
    broker.admin().delete(&topic).await.unwrap();
}
