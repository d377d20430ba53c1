use anybroker_core::{Kind, Message, PublisherExt};

use crate::support::*;

#[tokio::test]
async fn everything_of_a_message_comes_back() {
    let broker = connect("").await;
    let topic = topic(&broker, 1).await;
    let mut message = Message::new(&b"\x00\xffbinary"[..])
        .with_key(&b"\xfe\x00"[..])
        .with_header("überschrift", "☃")
        .with_header("twice", "1")
        .with_header("twice", &b"\x00\xff"[..])
        .with_header("empty", "")
        .with_type("order.placed")
        .with_content_type("application/json");
    message.schema_version = Some(2);
    message.source = Some("/shop".into());
    message.time = Some(std::time::UNIX_EPOCH + std::time::Duration::from_millis(1_700_000_000_123));
    let plain = Message::new("");

    let publisher = publisher(&broker, &topic).await;
    let outcomes = publisher.publish_batch(vec![message.clone(), plain.clone()]).await;
    let positions: Vec<_> = outcomes.into_iter().map(|o| o.unwrap().position.unwrap()).collect();

    let mut consumer = consumer(&broker, &topic, &group()).await;
    for (message, position) in [message, plain].into_iter().zip(positions) {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.to_message(), message);
        assert_eq!(delivery.position(), Some(position));
        assert_eq!((delivery.attempt(), delivery.redelivered()), (1, false));
        delivery.ack().await.unwrap();
    }
    consumer.close().await.unwrap();
    broker.close().await.unwrap();
}

#[tokio::test]
async fn the_largest_message_goes_through_and_one_byte_more_does_not() {
    let broker = connect("").await;
    let topic = topic(&broker, 1).await;
    let limit = broker.guarantees(Some(&topic), None).await.unwrap().limits.message_bytes.unwrap();
    let publisher = publisher(&broker, &topic).await;
    let mut message = Message::new("").with_key("k").with_header("h", "v");
    let longest = "x".repeat(255);
    message.id = longest.as_str().into();
    message.event_type = Some(longest.as_str().into());
    message.source = Some(longest.as_str().into());
    message.content_type = Some(longest.as_str().into());
    message.payload = vec![b'x'; limit - message.size()].into();
    publisher.publish(message.clone()).await.unwrap();

    message.payload = vec![b'x'; message.payload.len() + 1].into();
    let error = publisher.publish(message).await.unwrap_err();
    assert_eq!(error.error().kind(), Kind::TooLarge, "{error}");

    let mut consumer = consumer(&broker, &topic, &group()).await;
    assert!(next(&mut consumer).await.payload().len() > limit - 1024);
    consumer.close().await.unwrap();
}

#[tokio::test]
async fn many_large_messages_in_one_batch_go_through() {
    let broker = connect("").await;
    let topic = topic(&broker, 1).await;
    let publisher = publisher(&broker, &topic).await;
    let batch = (0..20).map(|_| Message::new(vec![7; 400_000]).with_key("k")).collect();
    for outcome in publisher.publish_batch(batch).await {
        outcome.unwrap();
    }
    publisher.close().await.unwrap();
}

#[tokio::test]
async fn a_reserved_header_is_refused_with_what_to_do() {
    let broker = connect("").await;
    let topic = topic(&broker, 1).await;
    let publisher = publisher(&broker, &topic).await;
    let error =
        publisher.publish(Message::new("x").with_header("content-type", "text/plain")).await.unwrap_err();
    assert_eq!(error.error().kind(), Kind::InvalidConfiguration);
    assert!(error.to_string().contains("content type"), "{error}");
}
