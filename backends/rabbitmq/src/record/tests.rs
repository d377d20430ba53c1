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
