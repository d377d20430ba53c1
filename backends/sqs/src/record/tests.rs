use std::time::{Duration, UNIX_EPOCH};

use super::*;

/// What SQS hands out of a message that was sent.
fn through(message: &Message) -> Message {
    let group = ids::group(message);
    let (entry, _) = entry(message, &group, 0).unwrap();
    assert!(entry.message_attributes().map_or(0, HashMap::len) <= 10);
    let received = Received::builder()
        .message_id("sqs-1")
        .body(entry.message_body())
        .set_message_attributes(entry.message_attributes().cloned())
        .attributes(System::MessageGroupId, entry.message_group_id().unwrap())
        .build();
    record(&mut RecordBuffer::new(), &received).to_message()
}

fn full() -> Message {
    let mut message = Message::new("grüße").with_key("order-7").with_type("order.placed");
    message.schema_version = Some(3);
    message.source = Some("/shop".into());
    message.content_type = Some("application/json".into());
    message.time = Some(UNIX_EPOCH + Duration::from_millis(1_700_000_000_123));
    message
}

#[test]
fn plain_things_are_plain_on_the_wire() {
    let message = full().with_header("alpha", "1").with_header("tenant", "acme");
    let (entry, bytes) = entry(&message, "order-7", 4).unwrap();
    let attributes = entry.message_attributes().unwrap();
    let text = |name: &str| attributes.get(name).and_then(|value| value.string_value().map(str::to_owned));
    assert_eq!((entry.id(), entry.message_body()), ("4", "grüße"));
    assert_eq!(text("ce_type").as_deref(), Some("order.placed"));
    assert_eq!(text("content-type").as_deref(), Some("application/json"));
    assert_eq!((text("tenant").as_deref(), text("anybroker-headers")), (Some("acme"), None));
    let counted = |(name, value): (&String, &MessageAttributeValue)| {
        name.len() + value.data_type().len() + value.string_value().map_or(0, str::len)
    };
    assert_eq!(bytes, "grüße".len() + attributes.iter().map(counted).sum::<usize>());
    assert_eq!(through(&message), message);
}

#[test]
fn whatever_is_published_comes_back() {
    let mut many = full();
    for at in (0..20).rev() {
        many.headers.append(format!("h{at}"), at.to_string());
    }
    let strange = Message::new(&b"\x00\xff"[..])
        .with_key(&b"\xffkey\x00"[..])
        .with_id("two words")
        .with_header("überschrift", "grüße ☃")
        .with_header("zebra", "before alpha")
        .with_header("alpha", &b"\x00\xff"[..])
        .with_header("twice", "1")
        .with_header("twice", &b"\xfe"[..])
        .with_header("empty", "")
        .with_header("content-type", "mine")
        .with_header("AWS.x", "\u{ffff}")
        .with_header("\u{fffe}", "name");
    let mut extended = full().with_header("b", "1").with_header("a", "2");
    for (name, value) in
        [("traceparent", "00-1"), ("subject", "s"), ("empty", ""), ("subject", "twice"), ("b", "\u{ffff}")]
    {
        extended.extensions.push((name.into(), value.into()));
    }
    extended.extensions.sort_unstable();
    let long_key = Message::new("").with_key(vec![b'k'; 300]);
    for message in
        [full(), many, strange, extended, long_key, Message::new("\u{1}"), Message::new("x").with_key("")]
    {
        assert_eq!(through(&message), message);
    }
}

#[test]
fn another_programs_message_comes_through() {
    let number = MessageAttributeValue::builder().data_type("Number").string_value("7").build().unwrap();
    let received = Received::builder()
        .message_id("sqs-1")
        .body("{}")
        .message_attributes("attempts", number)
        .message_attributes("ce_subject", text("s").unwrap())
        .attributes(System::MessageGroupId, "g")
        .build();
    let record = record(&mut RecordBuffer::new(), &received);
    assert_eq!((record.id().unwrap().to_string().as_str(), record.key()), ("sqs-1", Some(&b"g"[..])));
    assert_eq!(record.headers().collect::<Vec<_>>(), [("attempts", &b"7"[..])]);
    assert_eq!(record.extensions().collect::<Vec<_>>(), [("subject", &b"s"[..])]);
    assert_eq!(record.payload(), "{}");
}

#[test]
fn a_character_that_sqs_does_not_carry_is_refused_where_it_cannot_be_encoded() {
    let message = Message::new("x").with_type("a\u{fffe}");
    let error = entry(&message, "g", 0).unwrap_err();
    assert!(error.to_string().contains("ce_type"), "{error}");
}
