//! Plain messages: key, headers, payload and content type, byte for byte.

use anybroker::{Message, PublisherExt as _, dead_letter};

use crate::letter::{Letter, same};
use crate::stage::{Stage, next};
use crate::{Failure, Outcome};

/// What goes through, and what it is called in a failure: all that this client can carry.
fn letters(stage: &Stage) -> Vec<(&'static str, Letter)> {
    let mut letters = all();
    letters.retain(|(what, _)| !stage.target.cannot.contains(what));
    letters
}

fn all() -> Vec<(&'static str, Letter)> {
    let plain = || Letter::plain("payload").key("k");
    let binary: Vec<u8> = (0..100 * 1024).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    vec![
        ("a text key", Letter::plain("x").key("order-7 ☃")),
        ("a binary key", Letter::plain("x").key(b"\xff\x00\xfe")),
        ("an empty key", Letter::plain("x").key("")),
        ("no key", Letter::plain("x")),
        ("several headers", plain().header("zebra", "1").header("alpha", "2").header("Middle", "3")),
        ("a repeated header", plain().header("twice", "1").header("once", "x").header("twice", "2")),
        ("unicode in headers", plain().header("grüße", "☃ schöne Grüße")),
        ("a binary header", plain().header("signature", b"\xff\x00\x80\n")),
        ("an empty header", plain().header("empty", "")),
        ("capitals in header names", plain().header("X-Request-ID", "7").header("x-request-id", "8")),
        ("an empty payload", Letter::plain("").key("k")),
        ("JSON", Letter::plain(r#"{"cents":250}"#).key("k").content_type("application/json")),
        ("100 KiB", Letter::plain(binary).key("k").content_type("application/octet-stream")),
        ("a content type with a parameter", plain().content_type("text/plain; charset=utf-8")),
    ]
}

fn message(letter: &Letter) -> Message {
    let mut message = Message::new(letter.payload.0.clone());
    message.key = letter.key.clone().map(|key| key.0.into());
    letter.headers.iter().for_each(|(name, value)| message.headers.append(name.as_str(), value.0.clone()));
    message.content_type = letter.content_type.as_deref().map(Into::into);
    message
}

/// anybroker publishes, Python consumes.
pub(crate) async fn to_python(stage: &Stage) -> Outcome {
    let letters = letters(stage);
    let publisher = stage.publisher().await?;
    let mut python = stage.python_consumer(&stage.topic, letters.len())?;
    for (what, letter) in &letters {
        let message = message(letter);
        let expected = letter.clone().attribute("id", &message.id.to_string());
        publisher.publish(message).await?;
        let line = python.hear().await.map_err(|e| format!("{what}: {e}"))?;
        stage.same(what, expected, serde_json::from_value(line)?)?;
    }
    python.end().await?;
    publisher.close().await?;
    Ok(format!("{} messages of anybroker, read by Python{}", letters.len(), stage.target.without()))
}

/// Python publishes, anybroker consumes: nothing is made up that the message has not.
pub(crate) async fn from_python(stage: &Stage) -> Outcome {
    let letters = letters(stage);
    let mut consumer = stage.consumer().await?;
    let mut python = stage.python_publisher()?;
    for (what, letter) in &letters {
        python.ask(&serde_json::to_value(letter)?).await?;
        let delivery = next(&mut consumer).await.map_err(|e| format!("{what}: {e}"))?;
        let mut found = Letter::of_record(delivery.record());
        if stage.target.gives_an_id {
            found.attributes.remove("id").ok_or("it has the broker's id")?;
        }
        stage.same(what, letter.clone(), found)?;
        delivery.ack().await?;
    }
    python.end().await?;
    consumer.close().await?;
    let without = stage.target.without();
    Ok(format!("{} messages of Python, read by anybroker, none with an id of ours{without}", letters.len()))
}

/// Python publishes, anybroker gives up, Python reads the dead letters.
pub(crate) async fn to_dead_letters(stage: &Stage) -> Outcome {
    let letters = letters(stage);
    let mut consumer = stage.consumer().await?;
    let mut python = stage.python_publisher()?;
    let mut reader = stage.python_consumer(&stage.dead, letters.len())?;
    for (what, letter) in &letters {
        python.ask(&serde_json::to_value(letter)?).await?;
        next(&mut consumer).await?.dead_letter("it cannot be read").await?;
        let line = reader.hear().await.map_err(|e| format!("{what}: {e}"))?;
        let mut found: Letter = serde_json::from_value(line)?;
        take_dead_letter_headers(&mut found)?;
        found.attributes.remove("id").ok_or("a dead letter has an id")?;
        stage.same(what, letter.clone(), found)?;
    }
    python.end().await?;
    reader.end().await?;
    consumer.close().await?;
    Ok(format!("{} messages of Python, given up by anybroker, read by Python", letters.len()))
}

/// Takes out what dead lettering adds.
pub(crate) fn take_dead_letter_headers(letter: &mut Letter) -> Result<(), Failure> {
    let before = letter.headers.len();
    letter.headers.retain(|(name, _)| !name.starts_with("dead-letter-"));
    same("headers that dead lettering adds", dead_letter::HEADERS.len(), before - letter.headers.len())
}
