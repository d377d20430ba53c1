use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;

use super::*;

/// As it comes from the wire: headers are read with the blanks around them cut off.
fn wire(headers: HeaderMap, payload: &'static [u8]) -> async_nats::Message {
    let mut map = HeaderMap::new();
    for (name, values) in headers.iter() {
        values.iter().for_each(|value| map.append(name.clone(), value.as_str().trim()));
    }
    async_nats::Message {
        subject: "t.0".into(),
        reply: None,
        payload: Bytes::from_static(payload),
        headers: (!map.is_empty()).then_some(map),
        status: None,
        description: None,
        length: 0,
    }
}

fn through(message: &Message) -> Message {
    let mut wire = wire(headers(message), b"");
    wire.payload = message.payload.clone();
    record(&mut RecordBuffer::new(), wire).to_message()
}

#[test]
fn everything_comes_back() {
    let message = Message::new(&b"\x00\xff"[..])
        .with_key(&b"\xffkey\x00"[..])
        .with_type("order placed")
        .with_content_type("text/plain; charset=\"utf-8\"")
        .with_header("zebra", "before alpha")
        .with_header("alpha", &b"\x00\xff"[..])
        .with_header("über: schrift", " blanks ")
        .with_header("Nats-Msg-Id", "the application's")
        .with_header("content-type", "x")
        .with_header("twice", "1")
        .with_header("alpha", "second")
        .with_header("twice", "100 %")
        .with_header("empty", "");
    let mut message = message.with_extension("partitionkey", "other").with_extension("subject", "order ☃");
    message.schema_version = Some(3);
    message.source = Some("/shop/ü".into());
    message.time = Some(UNIX_EPOCH + Duration::from_millis(1_700_000_000_123));
    assert_eq!(through(&message), message);
    let bare = Message::new("").with_key("").with_id("ein Text");
    assert_eq!(through(&bare), bare);
}

#[test]
fn other_programs_read_text_as_text() {
    let message =
        Message::new("x").with_key("order-7").with_type("placed").with_header("tenant", "grün acme");
    let map = headers(&message);
    let get = |name: &str| map.get(name).map(|value| value.as_str());
    assert_eq!(get("ce-partitionkey"), Some("order-7"));
    assert_eq!(get("ce-type"), Some("placed"));
    assert_eq!(get("tenant"), Some("grün acme"));
    assert_eq!(get("Nats-Msg-Id"), get("ce-id"));
    assert_eq!(get("anybroker-order"), None);
}

#[test]
fn what_is_no_event_has_its_id_once() {
    let message = Message::new("x").with_key("order-7").with_id("m-1").with_header("tenant", "acme");
    let map = headers(&message);
    assert_eq!(map.get("Nats-Msg-Id").map(|value| value.as_str()), Some("m-1"));
    assert_eq!(map.get("ce-id"), None);
    assert_eq!(through(&message), message);
}

#[test]
fn what_other_programs_write_is_understood() {
    let mut map = HeaderMap::new();
    map.insert("Ce-Partitionkey", "k");
    map.insert("Content-Type", "text/plain");
    map.insert("Nats-Msg-Id", "a-1");
    map.insert("ce-type", "\"quoted \\\" text\"");
    map.insert("Trace", "1");
    let record = record(&mut RecordBuffer::new(), wire(map, b"x"));
    assert_eq!(record.content_type(), Some("text/plain"));
    assert_eq!(record.id().map(|id| id.to_string()), Some("a-1".to_owned()));
    assert_eq!(record.event_type(), Some("quoted \" text"));
    assert_eq!(record.headers().collect::<Vec<_>>(), [("Trace", &b"1"[..])]);
    let mut lower = HeaderMap::new();
    lower.insert("content-type", "application/cloudevents+json");
    let structured = super::record(&mut RecordBuffer::new(), wire(lower, b"{}"));
    assert_eq!(structured.content_type(), Some("application/cloudevents+json"));
    assert_eq!(structured.headers().count(), 0);
    let bare = super::record(&mut RecordBuffer::new(), wire(HeaderMap::new(), b"x"));
    assert_eq!((bare.key(), bare.payload().as_ref()), (None, &b"x"[..]));
}
