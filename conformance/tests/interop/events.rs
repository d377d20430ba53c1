//! CloudEvents: every attribute, written by one side and read by the other, where Python's side is the CloudEvents SDK.

use anybroker::{Message, PublisherExt as _};
use serde_json::{Value, json};

use crate::letter::{Letter, same};
use crate::messages::take_dead_letter_headers;
use crate::stage::{Stage, next};
use crate::{Failure, Outcome};

const STRUCTURED: &str = "application/cloudevents+json";
const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// An event in CloudEvents' JSON format, with everything that an event can have.
fn full(id: &str) -> Value {
    json!({
        "specversion": "1.0",
        "id": id,
        "source": "https://example.com/shop?a=b",
        "type": "order.placed",
        "time": "2026-01-31T12:00:00.123Z",
        "subject": "order 7 ☃",
        "dataschema": "https://example.com/order.json",
        "schemaversion": "3",
        "traceparent": TRACE,
        "partitionkey": "order-7",
        "datacontenttype": "application/json",
        "data": { "cents": 250, "note": "grüße" },
    })
}

fn with(mut event: Value, name: &str, value: Value) -> Value {
    event[name] = value;
    event
}

/// What Python publishes.
fn events() -> Vec<(&'static str, Value)> {
    let binary = json!({
        "specversion": "1.0", "id": "b", "source": "/s", "type": "t", "time": "2026-01-31T12:00:00Z",
        "datacontenttype": "application/octet-stream", "data_base64": "/wCA",
    });
    let mut keyless = full("keyless");
    keyless.as_object_mut().unwrap().remove("partitionkey");
    vec![
        ("all attributes", full("0190b5f0-0000-7000-8000-000000000001")),
        ("an id that is no UUID", full("order 7/placed")),
        ("a number as schema version", with(full("n"), "schemaversion", json!(3))),
        ("a time in another zone", with(full("z"), "time", json!("2026-01-31T14:00:00.123456+02:00"))),
        ("no key", keyless),
        ("binary data", binary),
    ]
}

/// What anybroker makes of an event in binary mode.
fn expected(stage: &Stage, event: &Value) -> Letter {
    let mut letter = Letter::plain("");
    for (name, value) in event.as_object().unwrap() {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        match name.as_str() {
            "data" => letter.payload.0 = value.to_string().into_bytes(),
            "data_base64" => letter.payload = serde_json::from_value(value.clone()).unwrap(),
            "datacontenttype" => letter.content_type = Some(text),
            // The same moment in UTC, to the millisecond.
            "time" if text.ends_with("+02:00") => letter = letter.attribute(name, "2026-01-31T12:00:00.123Z"),
            "time" if !text.contains('.') => letter = letter.attribute(name, &text.replace('Z', ".000Z")),
            "partitionkey" => {
                letter = letter.key(text.as_str());
                if stage.target.keeps_partition_key {
                    letter = letter.attribute(name, &text);
                }
            }
            _ => letter = letter.attribute(name, &text),
        }
    }
    letter
}

/// The order of JSON's fields and its spaces are the writer's.
fn normal(mut letter: Letter) -> Letter {
    if let Ok(json) = serde_json::from_slice::<Value>(&letter.payload.0) {
        letter.payload.0 = json.to_string().into_bytes();
    }
    letter
}

fn line(event: &Value, mode: &str) -> Value {
    json!({ "event": event, "mode": mode, "headers": [["tenant", "YWNtZQ=="]] })
}

/// Python publishes events in every mode, anybroker consumes.
pub(crate) async fn from_python(stage: &Stage) -> Outcome {
    let mut consumer = stage.consumer().await?;
    let mut python = stage.python_publisher()?;
    for mode in stage.target.modes {
        for (what, event) in events() {
            let what = format!("{what}, {mode}");
            python.ask(&line(&event, mode)).await?;
            let delivery = next(&mut consumer).await.map_err(|e| format!("{what}: {e}"))?;
            let expected = match *mode {
                "structured" => structured(&event, delivery.payload())?,
                _ => expected(stage, &event),
            };
            let mut found = Letter::of_record(delivery.record());
            if *mode == "structured" && stage.target.gives_an_id {
                found.attributes.remove("id").ok_or("it has the broker's id")?;
            }
            stage.same(&what, normal(expected.header("tenant", "acme")), normal(found))?;
            delivery.ack().await?;
        }
    }
    python.end().await?;
    consumer.close().await?;
    Ok(format!("{} events of the SDK in the modes {}", events().len(), stage.target.modes.join(", ")))
}

/// A structured event arrives as it was written: the whole event is the payload, and its attributes are not taken out.
fn structured(event: &Value, payload: &[u8]) -> Result<Letter, Failure> {
    let mut found: Value = serde_json::from_slice(payload)?;
    found["time"] = event["time"].clone();
    same("the structured event", event, &found)?;
    let letter = Letter::plain(payload).content_type(STRUCTURED);
    Ok(match event["partitionkey"].as_str() {
        Some(key) => letter.key(key),
        None => letter,
    })
}

/// anybroker publishes events, the SDK reads them.
pub(crate) async fn to_python(stage: &Stage) -> Outcome {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_millis(1_769_860_800_123);
    let message = |data: &'static [u8], content_type: &'static str| {
        let message =
            Message::new(data).with_type("order.placed").with_source("https://example.com/shop?a=b");
        let message = message.with_key("order-7").with_time(time).with_content_type(content_type);
        Message { schema_version: Some(3), ..message }
            .with_header("tenant", "acme")
            .with_extension("dataschema", "https://example.com/order.json")
            .with_extension("subject", "order 7 ☃")
            .with_extension("traceparent", TRACE)
    };
    let messages = [
        (
            "JSON",
            message(br#"{"cents":250,"note":"x"}"#, "application/json"),
            json!({"cents": 250, "note": "x"}),
        ),
        ("text", message("grüße".as_bytes(), "text/plain"), json!("grüße")),
        ("binary data", message(b"\xff\x00\x80", "application/octet-stream"), json!("/wCA")),
    ];
    let publisher = stage.publisher().await?;
    let mut python = stage.python_consumer(&stage.topic, messages.len() + 1)?;
    for (what, message, data) in &messages {
        let event = json!({
            "specversion": "1.0",
            "id": message.id.to_string(),
            "source": "https://example.com/shop?a=b",
            "type": "order.placed",
            "time": "2026-01-31T12:00:00.123000Z",
            "subject": "order 7 ☃",
            "dataschema": "https://example.com/order.json",
            "schemaversion": "3",
            "traceparent": TRACE,
            "partitionkey": "order-7",
            "datacontenttype": message.content_type.as_deref(),
            (if *what == "binary data" { "data_base64" } else { "data" }): data,
        });
        publisher.publish(message.clone()).await?;
        let line = python.hear().await.map_err(|e| format!("{what}: {e}"))?;
        same(what, &event, &line["event"])?;
        stage.same(what, Letter::of_message(message), serde_json::from_value(line)?)?;
    }
    // A structured event is a payload like any other.
    let event = full("structured");
    let message = Message::new(event.to_string()).with_key("order-7").with_content_type(STRUCTURED);
    publisher.publish(message).await?;
    let mut line = python.hear().await?;
    line["event"]["time"] = event["time"].clone();
    same("structured", &event, &line["event"])?;
    python.end().await?;
    publisher.close().await?;
    Ok(format!("{} events with every attribute, and a structured one, read by the SDK", messages.len()))
}

/// Python publishes events, anybroker gives up, Python reads the dead letters: still events.
pub(crate) async fn to_dead_letters(stage: &Stage) -> Outcome {
    let mut consumer = stage.consumer().await?;
    let mut python = stage.python_publisher()?;
    let mut reader = stage.python_consumer(&stage.dead, events().len())?;
    for (what, event) in events() {
        python.ask(&line(&event, stage.target.modes[0])).await?;
        next(&mut consumer).await?.dead_letter("it cannot be read").await?;
        let line = reader.hear().await.map_err(|e| format!("{what}: {e}"))?;
        same(what, &event["id"], &line["event"]["id"])?;
        let mut found: Letter = serde_json::from_value(line)?;
        take_dead_letter_headers(&mut found)?;
        stage.same(what, normal(expected(stage, &event).header("tenant", "acme")), normal(found))?;
    }
    python.end().await?;
    reader.end().await?;
    consumer.close().await?;
    Ok(format!("{} events of the SDK, given up by anybroker, read by the SDK", events().len()))
}
