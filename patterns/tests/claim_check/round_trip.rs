//! What goes in comes out.

use anybroker_core::{Broker, Kind, Message, PublisherExt as _};
use anybroker_patterns::claim_check::ClaimCheck;

use super::{THRESHOLD, files, first, in_files, in_memory, memory, payload, publisher, received};

pub(crate) async fn through(claims: &ClaimCheck, broker: &Broker) {
    let message = Message::new(payload(50_000)).with_key("patient-7").with_header("ward", "3");
    let message = message.with_content_type("image/png").with_extension("subject", "knee");
    claims.publish(&*publisher(broker).await, message.clone()).await.unwrap();
    let delivery = first(broker).await;
    assert!(delivery.payload().is_empty(), "the broker carried the payload");
    assert_eq!(claims.check_out(&delivery).await.unwrap(), message.payload);
    let received = delivery.to_message();
    assert_eq!((received.id, received.key), (message.id, message.key));
    assert_eq!(received.content_type, message.content_type);
    assert_eq!(received.headers, message.headers);
    let names: Vec<_> = received.extensions.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["dataref", "datarefhash", "datarefsize", "subject"]);
    broker.close().await.unwrap();
}

#[tokio::test]
async fn over_memory_and_sqlite_through_memory_and_files() {
    let (files, directory) = in_files();
    for claims in [files, in_memory()] {
        through(&claims, &memory().await).await;
        let name = anybroker_core::MessageId::new();
        let url = format!("sqlite://{}/{name}.db?topology=create", directory.path().display());
        through(&claims, &anybroker_sqlite::connect(&url.parse().unwrap()).await.unwrap()).await;
    }
}

#[tokio::test]
async fn the_threshold_counts_the_whole_message() {
    let (claims, directory) = in_files();
    let sized = |bytes: usize| {
        let message = Message::new("").with_header("h", "v");
        let payload = payload(bytes - message.size());
        Message { payload: payload.into(), ..message }
    };
    let small = claims.check_in(sized(THRESHOLD)).await.unwrap();
    assert_eq!(small.size(), THRESHOLD);
    assert_eq!(files(directory.path()).len(), 0);
    assert_eq!(claims.check_out(received(small.clone()).await.record()).await.unwrap(), small.payload);
    let large = claims.check_in(sized(THRESHOLD + 1)).await.unwrap();
    assert!(large.payload.is_empty());
    assert_eq!(files(directory.path()).len(), 1);
}

#[tokio::test]
async fn the_same_payload_twice_is_two_blobs() {
    let (claims, directory) = in_files();
    for _ in 0..2 {
        claims.check_in(Message::new(payload(5_000))).await.unwrap();
    }
    assert_eq!(files(directory.path()).len(), 2);
}

#[tokio::test]
async fn a_message_that_is_checked_in_already_is_not_uploaded_again() {
    let (claims, directory) = in_files();
    let broker = memory().await;
    let closed = publisher(&broker).await;
    closed.close().await.unwrap();
    let failed = claims.publish(&*closed, Message::new(payload(5_000))).await.unwrap_err();
    let (error, message) = failed.into_parts();
    assert_eq!(error.kind(), Kind::Closed);
    claims.publish(&*publisher(&broker).await, message).await.unwrap();
    assert_eq!(claims.check_out(first(&broker).await.record()).await.unwrap(), payload(5_000));
    assert_eq!(files(directory.path()).len(), 1);
}

#[tokio::test]
async fn a_payload_beside_a_reference_is_the_payload() {
    let (claims, _directory) = in_files();
    // CloudEvents lets a message have both.
    let both = Message::new("small").with_extension("dataref", "https://example.org/large");
    assert_eq!(claims.check_out(received(both).await.record()).await.unwrap(), "small");
}

#[tokio::test]
async fn a_broker_that_carries_less_than_the_threshold_is_refused() {
    let given = memory().await.guarantees(None, None).await.unwrap();
    let most = given.limits.message_bytes.unwrap();
    in_memory().threshold(most).verify(&given).unwrap();
    let error = in_memory().threshold(most + 1).verify(&given).unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidConfiguration);
    assert!(error.to_string().contains(&format!("set the threshold to {most}")), "{error}");
}

#[tokio::test]
async fn what_a_large_message_may_not_have_is_refused_before_the_upload() {
    let (claims, directory) = in_files();
    let message = Message::new(payload(5_000)).with_extension("Not-Valid", "x");
    let failed = claims.check_in(message).await.unwrap_err();
    assert_eq!(failed.error().kind(), Kind::InvalidConfiguration);
    assert_eq!(files(directory.path()).len(), 0);
    let publisher = publisher(&memory().await).await;
    publisher.publish(Message::new("")).await.unwrap();
}
