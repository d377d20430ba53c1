//! More publishers than producers: what one of them meets, the others do not.

use std::sync::Arc;

use anybroker_core::{Broker, Kind, Message, Publisher, PublisherExt, Topic, Topology};
use futures::future::join_all;

use crate::support::*;

/// Twice as many publishers as producers, and some.
const MANY: usize = 10;

async fn many(broker: &Broker) -> Vec<Arc<dyn Publisher>> {
    let open = (0..MANY).map(async |_| publisher(broker, &topic(broker, 1).await).await);
    join_all(open).await
}

fn batch(messages: u32) -> Vec<Message> {
    (0..messages).map(|number| Message::new(number.to_string()).with_key("k")).collect()
}

async fn numbers(broker: &Broker, topic: &Topic, count: u32) -> Vec<u32> {
    let mut consumer = consumer(broker, topic, &group()).await;
    let mut numbers = Vec::new();
    while numbers.len() < count as usize {
        numbers.push(ack(next(&mut consumer).await).await);
    }
    consumer.close().await.unwrap();
    numbers
}

#[tokio::test]
async fn closing_half_of_them_leaves_the_others_their_messages() {
    let broker = connect("").await;
    let publishers = many(&broker).await;
    let mut confirmations = Vec::new();
    for publisher in &publishers {
        let permit = publisher.ready(500, 10_000).await.unwrap();
        confirmations.push(publisher.enqueue(permit, batch(500)));
    }
    for closed in publishers.iter().step_by(2) {
        closed.close().await.unwrap();
        assert_eq!(closed.publish(Message::new("late")).await.unwrap_err().error().kind(), Kind::Closed);
    }
    for outcomes in join_all(confirmations).await {
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    }
    for open in publishers.iter().skip(1).step_by(2) {
        open.publish(Message::new("500").with_key("k")).await.unwrap();
    }
    assert_eq!(numbers(&broker, publishers[0].topic(), 500).await, Vec::from_iter(0..500));
    assert_eq!(numbers(&broker, publishers[1].topic(), 501).await, Vec::from_iter(0..501));
    broker.close().await.unwrap();
}

#[tokio::test]
async fn a_topic_that_is_made_anew_is_published_to_while_the_others_go_on() {
    let broker = connect("").await;
    let publishers = many(&broker).await;
    for publisher in &publishers {
        let outcomes = publisher.publish_batch(batch(100)).await;
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    }
    let anew = publishers[0].topic().clone();
    broker.admin().delete(&anew).await.unwrap();
    publishers[0].close().await.unwrap();
    broker.admin().declare(&Topology::new(anew.clone()).partitions(1)).await.unwrap();

    let reopened = publisher(&broker, &anew).await;
    reopened.publish(Message::new("0")).await.unwrap();
    for other in &publishers[1..] {
        other.publish(Message::new("100").with_key("k")).await.unwrap();
    }
    assert_eq!(numbers(&broker, publishers[1].topic(), 101).await, Vec::from_iter(0..101));
    broker.close().await.unwrap();
}
