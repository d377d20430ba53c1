//! Messages on the wire: AMQP 0-9-1 properties and headers.
//!
//! CloudEvents has a binding for AMQP 1.0 only; the same names are used here, as RabbitMQ's own conversion between
//! the two protocols gives them: attributes are headers `cloudEvents_<name>`, the payload is the body, `content_type`
//! is the property. Besides, `message_id` is the id, and `timestamp` the time in seconds.
//! The key is the header `cloudEvents_partitionkey`, byte for byte; the routing key is its slot.
//! Other programs' messages are read with the prefix `ce-` too, which the binding for AMQP 0-9-1 that Knative uses has
//! (<https://github.com/knative-extensions/eventing-rabbitmq/blob/main/cloudevents-protocol-spec/spec.md>).

use std::time::{Duration, UNIX_EPOCH};

use anybroker_core::{Attribute, Bytes, Headers, Message, Record, RecordBuffer, RecordWriter};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};

const PREFIX: &str = "cloudEvents_";
/// What headers with attributes begin with: the AMQP binding's two, and Knative's.
const PREFIXES: [&str; 3] = [PREFIX, "cloudEvents:", "ce-"];
const KEY: &str = "cloudEvents_partitionkey";
const KEYS: [&str; 3] = [KEY, "cloudEvents:partitionkey", "ce-partitionkey"];
const IDS: [&str; 3] = ["cloudEvents_id", "cloudEvents:id", "ce-id"];
/// The order of the application's headers, where the table (which is sorted by name) does not keep it.
const ORDER: &str = "anybroker-order";
/// Headers whose names the broker acts on are carried under this.
const ESCAPE: &str = "anybroker-header-";
/// Names that the broker reads or writes: it routes by the first two, and refuses values that it does not expect.
const BROKERS_OWN: [&str; 5] = ["CC", "BCC", "x-death", "x-delivery-count", "x-acquired-count"];
/// Headers that the broker adds when it dead-letters.
const DEATHS: [&str; 2] = ["x-first-death-", "x-last-death-"];
const PERSISTENT: u8 = 2;
const MOST: usize = 255;

/// Text that is short by construction; the contract checks names, ids and types before they come here.
fn short(text: impl Into<String>) -> ShortString {
    ShortString::try_new(text).unwrap_or_default()
}

/// Everything of a message but its payload and routing key.
pub(crate) fn properties(message: &Message) -> BasicProperties {
    let mut table = FieldTable::default();
    message.attributes(|attribute, value| {
        table.insert(short([PREFIX, attribute.name()].concat()), long(value.as_bytes()));
    });
    if let Some(key) = &message.key {
        table.insert(short(KEY), long(key.as_bytes()));
    }
    put_headers(&mut table, &message.headers);
    let mut properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_message_id(short(message.id.to_string()))
        .with_headers(table);
    if let Some(content_type) = &message.content_type {
        properties = properties.with_content_type(short(&**content_type));
    }
    if let Some(time) = message.time.and_then(|time| time.duration_since(UNIX_EPOCH).ok()) {
        properties = properties.with_timestamp(time.as_secs());
    }
    properties
}

fn long(bytes: &[u8]) -> AMQPValue {
    AMQPValue::LongString(LongString::from(bytes))
}

fn put_headers(table: &mut FieldTable, headers: &Headers) {
    // Sorted and distinct, as the table keeps them: the index of a header's name here is what `ORDER` holds.
    let mut names: Vec<&str> = headers.iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    names.dedup();
    for name in &names {
        let values: Vec<_> =
            headers.iter().filter(|(n, _)| n == name).map(|(_, value)| long(value)).collect();
        table.insert(short(escaped(name)), one_or_many(values));
    }
    let order: Vec<usize> =
        headers.iter().map(|(name, _)| names.partition_point(|other| *other < name)).collect();
    if !order.is_sorted() {
        let bytes: Vec<u8> = order.iter().flat_map(|at| (*at as u16).to_be_bytes()).collect();
        table.insert(short(ORDER), long(&bytes));
    }
}

fn one_or_many(mut values: Vec<AMQPValue>) -> AMQPValue {
    match values.len() {
        1 => values.pop().unwrap_or(AMQPValue::Void),
        _ => AMQPValue::FieldArray(values.into()),
    }
}

fn escaped(name: &str) -> String {
    let brokers_own = BROKERS_OWN.contains(&name) || DEATHS.iter().any(|prefix| name.starts_with(prefix));
    // A name that is too long for that is too long to be one of the broker's.
    if brokers_own && name.len() + ESCAPE.len() <= MOST { format!("{ESCAPE}{name}") } else { name.to_owned() }
}

/// What the broker says of earlier deliveries: `x-delivery-count`, on quorum queues.
pub(crate) fn delivery_count(properties: &BasicProperties) -> Option<u32> {
    let count = properties.headers().as_ref()?.inner().get("x-delivery-count")?;
    number(count).map(|count| count.clamp(0, u32::MAX.into()) as u32)
}

fn number(value: &AMQPValue) -> Option<i64> {
    match value {
        AMQPValue::ShortShortInt(n) => Some((*n).into()),
        AMQPValue::ShortShortUInt(n) => Some((*n).into()),
        AMQPValue::ShortInt(n) => Some((*n).into()),
        AMQPValue::ShortUInt(n) => Some((*n).into()),
        AMQPValue::LongInt(n) => Some((*n).into()),
        AMQPValue::LongUInt(n) => Some((*n).into()),
        AMQPValue::LongLongInt(n) => Some(*n),
        AMQPValue::Timestamp(n) => i64::try_from(*n).ok(),
        _ => None,
    }
}

/// Reads a delivery.
pub(crate) fn record(
    buffer: &mut RecordBuffer,
    properties: &BasicProperties,
    routing_key: &str,
    payload: Vec<u8>,
) -> Record {
    let empty = FieldTable::default();
    let table = properties.headers().as_ref().unwrap_or(&empty);
    let event = IDS.iter().any(|name| table.contains_key(name));
    let mut writer = buffer.record();
    match key(table) {
        Some(key) => writer.key(key),
        // Another program's message: its routing key is the nearest thing to a key.
        None if !event && !routing_key.is_empty() => writer.key(routing_key.as_bytes()),
        None => {}
    }
    for (name, value) in table {
        if let Some(attribute) = attribute_name(name.as_str()).filter(|name| *name != "partitionkey") {
            match time(value).filter(|_| attribute == Attribute::Time.name()) {
                Some(time) => writer.attribute(attribute, time.as_bytes()),
                None => with_bytes(value, |bytes| writer.attribute(attribute, bytes)),
            }
        }
    }
    if let (false, Some(id)) = (event, properties.message_id()) {
        writer.attribute(Attribute::Id.name(), id.as_str().as_bytes());
    }
    if let Some(content_type) = properties.content_type() {
        writer.content_type(content_type.as_str().as_bytes());
    }
    read_headers(table, &mut writer);
    writer.finish(Bytes::from(payload))
}

fn attribute_name(header: &str) -> Option<&str> {
    PREFIXES.iter().find_map(|prefix| header.strip_prefix(prefix))
}

fn key(table: &FieldTable) -> Option<&[u8]> {
    match KEYS.iter().find_map(|name| table.inner().get(*name))? {
        AMQPValue::LongString(text) => Some(text.as_bytes()),
        AMQPValue::ByteArray(bytes) => Some(bytes.as_slice()),
        _ => None,
    }
}

/// The binding's own type of a time: milliseconds, which become seconds where AMQP 0-9-1 has a timestamp.
fn time(value: &AMQPValue) -> Option<String> {
    let unit = if matches!(value, AMQPValue::Timestamp(_)) { 1_000 } else { 1 };
    let millis = u64::try_from(number(value)?).ok()?.checked_mul(unit)?;
    // RFC 3339 ends with the year 9999.
    let time = (millis < 253_402_300_800_000).then(|| UNIX_EPOCH + Duration::from_millis(millis))?;
    Some(humantime::format_rfc3339_millis(time).to_string())
}

fn read_headers(table: &FieldTable, writer: &mut RecordWriter<'_>) {
    let mut sorted: Vec<(&str, &[AMQPValue])> = table
        .into_iter()
        .filter_map(|(name, value)| Some((users_name(name.as_str())?, values(value))))
        .collect();
    // By the application's names, as the sender sorted them; the table has the escaped ones elsewhere.
    sorted.sort_unstable_by_key(|(name, _)| *name);
    let order = order(table).filter(|order| order.iter().all(|at| *at < sorted.len()));
    let Some(order) = order else {
        for (name, values) in sorted {
            values.iter().for_each(|value| with_bytes(value, |bytes| writer.header(name, bytes)));
        }
        return;
    };
    let mut taken = vec![0; sorted.len()];
    for at in order {
        let (name, values) = sorted[at];
        if let Some(value) = values.get(taken[at]) {
            with_bytes(value, |bytes| writer.header(name, bytes));
        }
        taken[at] += 1;
    }
}

/// The application's name of a header; none for the broker's, ours and CloudEvents'.
fn users_name(name: &str) -> Option<&str> {
    if let Some(name) = name.strip_prefix(ESCAPE) {
        return Some(name);
    }
    let others = attribute_name(name).is_some()
        || name == ORDER
        || BROKERS_OWN.contains(&name)
        || DEATHS.iter().any(|prefix| name.starts_with(prefix));
    (!others).then_some(name)
}

fn values(value: &AMQPValue) -> &[AMQPValue] {
    match value {
        AMQPValue::FieldArray(values) => values.as_slice(),
        value => std::slice::from_ref(value),
    }
}

fn order(table: &FieldTable) -> Option<Vec<usize>> {
    let AMQPValue::LongString(bytes) = table.inner().get(ORDER)? else { return None };
    let (pairs, _) = bytes.as_bytes().as_chunks::<2>();
    Some(pairs.iter().map(|pair| u16::from_be_bytes(*pair).into()).collect())
}

/// A value of another program as bytes: texts as they are, numbers and truth values written out.
fn with_bytes(value: &AMQPValue, write: impl FnOnce(&[u8])) {
    match value {
        AMQPValue::LongString(text) => write(text.as_bytes()),
        AMQPValue::ByteArray(bytes) => write(bytes.as_slice()),
        AMQPValue::ShortString(text) => write(text.as_str().as_bytes()),
        AMQPValue::Boolean(truth) => write(truth.to_string().as_bytes()),
        AMQPValue::Float(number) => write(number.to_string().as_bytes()),
        AMQPValue::Double(number) => write(number.to_string().as_bytes()),
        AMQPValue::Void => write(b""),
        value => match number(value) {
            Some(number) => write(number.to_string().as_bytes()),
            None => write(format!("{value:?}").as_bytes()),
        },
    }
}

/// How long the properties are on the wire: they must fit into one frame.
pub(crate) fn header_bytes(properties: &BasicProperties) -> usize {
    /// Frame, class, size, flags, and the short properties.
    const FIXED: usize = 64 + 2 * (MOST + 1);
    FIXED + properties.headers().as_ref().map_or(0, table_bytes)
}

fn table_bytes(table: &FieldTable) -> usize {
    4 + table.into_iter().map(|(name, value)| 1 + name.as_str().len() + value_bytes(value)).sum::<usize>()
}

fn value_bytes(value: &AMQPValue) -> usize {
    match value {
        AMQPValue::LongString(text) => 5 + text.len(),
        AMQPValue::FieldArray(values) => 5 + values.as_slice().iter().map(value_bytes).sum::<usize>(),
        _ => 9,
    }
}

#[cfg(test)]
mod tests;
