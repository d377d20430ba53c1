//! Payloads with their schemas' ids: ours for others, and theirs for us.

use anybroker_core::{
    Broker, ConsumerExt as _, Event as _, Group, Kind, Message, PublisherExt as _, PublisherOptions, Record,
    Subscription, Topic,
};
use anybroker_patterns::schema::{ConfluentConfig, Framing, Schema, frame};

use super::gate::Gate;
use super::server::{at, foreign, open, own, port};
use super::{OrderPlaced, closed};

pub(crate) async fn memory() -> Broker {
    let url = format!("memory://registry-{}", anybroker_core::MessageId::new());
    anybroker_memory::connect(&url.parse().unwrap()).await.unwrap()
}

/// What a broker hands over of a message.
async fn through(broker: &Broker, message: Message) -> Record {
    let topic = Topic::new("orders").unwrap();
    let publisher = broker.publisher(PublisherOptions::new(topic.clone())).await.unwrap();
    publisher.publish(message).await.unwrap();
    let group = Group::new("billing").unwrap();
    let mut consumer = broker.consumer(Subscription::new(topic, group)).await.unwrap();
    let delivery = consumer.next().await.unwrap();
    let record: Record = (*delivery).clone();
    delivery.ack().await.unwrap();
    record
}

#[tokio::test]
async fn what_is_published_here_names_its_schema_and_is_read_again() {
    let Some(config) = own() else { return };
    let registry = open(&config);
    let id = registry.register(&Schema::of::<OrderPlaced>()).await.unwrap().id;
    // Another program, which did not register it.
    let framing = Framing::new(open(&config));
    let message = framing.encode(Message::event(&OrderPlaced { cents: 250 }).unwrap()).await.unwrap();
    let record = through(&memory().await, message).await;
    let mut expected = vec![0];
    expected.extend(id.to_be_bytes());
    expected.extend(br#"{"cents":250}"#);
    assert_eq!(record.payload()[..], expected);
    let decoded = framing.decode(&record).await.unwrap();
    assert_eq!(decoded.event::<OrderPlaced>().unwrap(), OrderPlaced { cents: 250 });
}

#[tokio::test]
async fn what_others_publish_has_the_type_of_its_subject() {
    let Some(config) = own() else { return };
    let subject = format!("{}orders-value", config.prefix);
    let first = foreign(&config, &subject, "JSON", &closed(&[("euros", "integer")])).await;
    let id = foreign(&config, &subject, "JSON", &closed(&[("cents", "integer")])).await;
    assert_ne!(first, id);
    let bare = Message::new(frame(id, br#"{"cents":250}"#));
    let record = through(&memory().await, bare).await;
    assert_eq!(record.event_type(), None);
    let plain = Framing::new(open(&config));
    let decoded = plain.decode(&record).await.unwrap();
    assert_eq!((decoded.event_type(), decoded.schema_version()), (Some("orders-value"), Some(2)));
    // The server gives an equal schema of another subject the same id.
    let other = format!("another-{subject}");
    assert_eq!(foreign(&config, &other, "JSON", &closed(&[("cents", "integer")])).await, id);
    let named =
        Framing::new(open(&config)).subject(subject, OrderPlaced::TYPE).decode(&record).await.unwrap();
    assert_eq!(named.event::<OrderPlaced>().unwrap(), OrderPlaced { cents: 250 });
}

#[tokio::test]
async fn bad_frames_are_errors_that_say_what_is_wrong() {
    let Some(config) = own() else { return };
    let registry = open(&config);
    let id = registry.register(&Schema::of::<OrderPlaced>()).await.unwrap().id;
    let framing = Framing::new(registry);
    let framed = frame(id, br#"{"cents":250}"#);
    let bare = |payload: &[u8]| Message::new(payload.to_vec());
    let broker = memory().await;
    for (message, kind, said) in [
        (bare(b"{}"), Kind::Decode, "begins with the byte 0x7b"),
        (bare(b""), Kind::Decode, "has 0 bytes"),
        (bare(&framed[..4]), Kind::Decode, "has 4 bytes"),
        (bare(&frame(4_000_000_000, b"{}")), Kind::NotFound, "no schema has the id 4000000000"),
        (bare(&framed).with_type("order.cancelled"), Kind::Decode, "order.cancelled version 1"),
    ] {
        let record = through(&broker, message).await;
        let error = framing.decode(&record).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(said), "{error}");
    }
    // Cut behind the head: the frame is whole, and what it holds is not.
    let record = through(&broker, bare(&framed[..9])).await;
    let decoded = framing.decode(&record).await.unwrap();
    assert_eq!(decoded.event::<OrderPlaced>().unwrap_err().kind(), Kind::Decode);
}

#[tokio::test]
async fn what_has_no_schema_is_not_published_and_comes_back() {
    let Some(config) = own() else { return };
    let framing = Framing::new(open(&config));
    let message = Message::event(&OrderPlaced { cents: 250 }).unwrap();
    let error = framing.encode(message.clone()).await.unwrap_err();
    assert_eq!(error.error().kind(), Kind::NotFound);
    assert!(error.to_string().contains("register it first"), "{error}");
    assert_eq!(*error.message(), message);
    let error = framing.encode(Message::new("x")).await.unwrap_err();
    assert_eq!(error.error().kind(), Kind::InvalidConfiguration);
}

#[tokio::test]
async fn what_is_known_needs_no_server() {
    let Some(config) = own() else { return };
    open(&config).register(&Schema::of::<OrderPlaced>()).await.unwrap();
    let gate = Gate::open(port(&config), 0).await;
    let framing = Framing::new(open(&ConfluentConfig { attempts: 1, ..at(&config, gate.port) }));
    let message = Message::event(&OrderPlaced { cents: 250 }).unwrap();
    let broker = memory().await;
    let record = through(&broker, framing.encode(message.clone()).await.unwrap()).await;
    framing.decode(&record).await.unwrap();
    gate.close().await;
    framing.encode(message).await.unwrap();
    framing.decode(&record).await.unwrap();
    let unknown = through(&broker, Message::new(frame(4_000_000_000, b"{}"))).await;
    let error = framing.decode(&unknown).await.unwrap_err();
    assert!(error.kind() == Kind::Disconnected && error.is_retryable(), "{error}");
}
