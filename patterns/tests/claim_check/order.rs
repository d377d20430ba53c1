//! Batches and streams keep the order of each key, also around an upload that fails.

use anybroker_core::{ConsumerExt as _, Group, Kind, Message, Subscription};
use futures::stream;

use super::{in_memory, memory, payload, publisher, topic};

/// Large and small ones in turn.
fn messages(count: usize) -> Vec<Message> {
    let sized = |at: usize| if at.is_multiple_of(3) { payload(5_000 + at) } else { payload(at) };
    (0..count).map(|at| Message::new(sized(at)).with_id(format!("m-{at}")).with_key("k")).collect()
}

#[tokio::test]
async fn a_batch_and_a_stream_arrive_in_order() {
    let (claims, broker) = (in_memory(), memory().await);
    let publisher = publisher(&broker).await;
    for outcome in claims.publish_batch(&*publisher, messages(50)).await {
        outcome.unwrap();
    }
    assert_eq!(claims.publish_all(&*publisher, stream::iter(messages(50))).await.unwrap(), 50);
    let subscription = Subscription::new(topic(), Group::new("archive").unwrap());
    let mut consumer = broker.consumer(subscription).await.unwrap();
    for expected in messages(50).iter().chain(&messages(50)) {
        let delivery = consumer.next().await.unwrap();
        assert_eq!(delivery.id().unwrap(), expected.id);
        assert_eq!(claims.check_out(&delivery).await.unwrap(), expected.payload);
        delivery.ack().await.unwrap();
    }
}

/// The third message of key `k` is too large to be uploaded.
fn one_too_large() -> Vec<Message> {
    let mut messages = messages(6);
    messages[2].payload = payload(9_000).into();
    messages[4].key = Some("other".into());
    messages
}

#[tokio::test]
async fn a_key_gets_no_gap() {
    let (claims, broker) = (in_memory().maximum(8_000), memory().await);
    let publisher = publisher(&broker).await;
    let outcomes = claims.publish_batch(&*publisher, one_too_large()).await;
    let ended: Vec<_> = outcomes.iter().map(|o| o.as_ref().map(drop).map_err(|e| e.error().kind())).collect();
    let held = Err(Kind::KeyHeld);
    assert_eq!(ended, [Ok(()), Ok(()), Err(Kind::TooLarge), held, Ok(()), held]);
    let returned: Vec<_> =
        outcomes.iter().filter_map(|o| o.as_ref().err()).map(|e| e.message().id.to_string()).collect();
    assert_eq!(returned, ["m-2", "m-3", "m-5"]);
}

#[tokio::test]
async fn a_stream_ends_at_the_first_failure() {
    let (claims, broker) = (in_memory().maximum(8_000), memory().await);
    let publisher = publisher(&broker).await;
    let failed = claims.publish_all(&*publisher, stream::iter(one_too_large())).await.unwrap_err();
    assert_eq!((failed.error().kind(), failed.message().id.to_string()), (Kind::TooLarge, "m-2".to_owned()));
    let group = Group::new("archive").unwrap();
    let mut consumer = broker.consumer(Subscription::new(topic(), group.clone())).await.unwrap();
    for expected in ["m-0", "m-1"] {
        let delivery = consumer.next().await.unwrap();
        assert_eq!(delivery.id().unwrap().to_string(), expected);
        delivery.ack().await.unwrap();
    }
    assert_eq!(broker.admin().backlog(&topic(), &group).await.unwrap(), 0);
}
