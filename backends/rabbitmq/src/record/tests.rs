use std::time::Duration;

use super::*;

fn there_and_back(message: &Message) -> Message {
    let mut buffer = RecordBuffer::new();
    record(&mut buffer, &properties(message), "17", message.payload.to_vec()).to_message()
}

#[test]
fn a_message_comes_back_as_it_was() {
    let mut message = Message::new(&b"\x00\xff"[..]).with_key(&b"\xfe\x00"[..]).with_type("order.placed");
    for (name, value) in [("z", "1"), ("a", "2"), ("z", "3"), ("CC", "4"), ("x-death", "5"), ("ü", "☃")] {
        message.headers.append(name, value);
    }
    message.headers.append("a", &b"\xff\x00"[..]);
    message.source = Some("/shop".into());
    message.schema_version = Some(3);
    message.content_type = Some("application/json".into());
    message.time = Some(UNIX_EPOCH + Duration::from_millis(1_700_000_000_123));
    let message = message.with_extension("subject", "order ☃").with_extension("traceparent", "00-1-2-01");
    assert_eq!(there_and_back(&message), message);
    assert_eq!(there_and_back(&Message::new("").with_id("x")), Message::new("").with_id("x"));
}

#[test]
fn the_order_is_written_only_where_the_table_loses_it() {
    let orders = |names: &[&str]| {
        let mut message = Message::new("");
        names.iter().for_each(|name| message.headers.append(*name, "v"));
        assert_eq!(there_and_back(&message), message);
        properties(&message).headers().as_ref().unwrap().contains_key(ORDER)
    };
    assert!(!orders(&["a", "b", "b", "c"]));
    assert!(orders(&["b", "a"]));
    assert!(orders(&["CC", "B"]));
}

#[test]
fn other_programs_messages_are_read() {
    let mut table = FieldTable::default();
    table.insert("n".into(), AMQPValue::LongInt(-7));
    table.insert("yes".into(), AMQPValue::Boolean(true));
    table.insert("x-delivery-count".into(), AMQPValue::LongLongInt(2));
    let properties = BasicProperties::default().with_message_id("m".into()).with_headers(table);
    assert_eq!(delivery_count(&properties), Some(2));
    let record = record(&mut RecordBuffer::new(), &properties, "k", b"p".to_vec());
    assert_eq!((record.key(), record.id().unwrap().to_string()), (Some(&b"k"[..]), "m".to_owned()));
    assert_eq!(record.headers().collect::<Vec<_>>(), [("n", &b"-7"[..]), ("yes", b"true")]);
}

#[test]
fn a_table_is_measured_as_it_is_written() {
    let mut table = FieldTable::default();
    table.insert("ab".into(), long(b"cde"));
    // Length 4; then 1 + 2 for the name, 1 for the type, 4 + 3 for the value.
    assert_eq!(table_bytes(&table), 15);
}

#[test]
fn events_of_every_binding_are_read() {
    for prefix in PREFIXES {
        let mut table = FieldTable::default();
        let mut put = |name: &str, value| {
            table.insert(short(format!("{prefix}{name}")), value);
        };
        put("id", long(b"m-1"));
        put("type", long(b"order.placed"));
        put("subject", long(b"order-7"));
        put("schemaversion", AMQPValue::LongInt(3));
        put("time", AMQPValue::LongLongInt(1_700_000_000_123));
        put("partitionkey", AMQPValue::ByteArray(b"k\xff".to_vec().into()));
        let properties = BasicProperties::default().with_headers(table);
        let record = record(&mut RecordBuffer::new(), &properties, "17", b"p".to_vec());
        assert_eq!(
            (record.event_type(), record.key()),
            (Some("order.placed"), Some(&b"k\xff"[..])),
            "{prefix}"
        );
        assert_eq!(record.schema_version(), Some(3));
        assert_eq!(record.time(), Some(UNIX_EPOCH + Duration::from_millis(1_700_000_000_123)));
        assert_eq!(record.extensions().collect::<Vec<_>>(), [("subject", &b"order-7"[..])]);
        assert_eq!(record.headers().count(), 0);
    }
}

#[test]
fn a_timestamp_counts_seconds() {
    let time = |value| super::time(&value).unwrap();
    assert_eq!(time(AMQPValue::Timestamp(1_700_000_000)), "2023-11-14T22:13:20.000Z");
    assert_eq!(super::time(&AMQPValue::LongLongInt(i64::MAX)), None);
    assert_eq!(super::time(&long(b"2023-11-14T22:13:20Z")), None);
}
