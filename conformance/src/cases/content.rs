//! Payloads that some encoding, limit or escape on the way might change.

use std::collections::BTreeMap;
use std::time::Duration;

use anybroker_core::Message;

use super::flow::next;
use super::steps::{self, ack, hold, id, open, publish};
use super::{CaseResult, Context, ensure, step};
use crate::properties::Property;

fn payloads() -> Vec<(&'static str, Vec<u8>)> {
    let long = |length: usize| (0..length).map(|at| (at * 31 % 251) as u8).collect();
    vec![
        ("json", br#"{"order":7,"text":"\"gr\u00fc\u00dfe\" \u2603","nothing":null}"#.to_vec()),
        ("not-utf8", b"\xc3\x28\xa0\xa1\xe2\x28\xa1\xf0\x28\x8c\xbc\xed\xa0\x80".to_vec()),
        ("unicode", "grüße ☃ 𝄞 \u{202e}\u{0}\u{feff}".into()),
        ("every-byte", (0..=255).collect()),
        ("lines", b"\r\n\t \n\n".to_vec()),
        ("markup", b"<a>&amp;%20+=\"'</a>".to_vec()),
        ("base64", b"AAECAw==".to_vec()),
        ("sixteen", long(16)),
        ("seventeen", long(17)),
        ("past-4-kib", long(4_097)),
        ("past-64-kib", long(65_537)),
        ("zeros", vec![0; 1_000]),
    ]
}

/// Each payload arrives byte for byte, also when its handler failed and it comes again.
pub(super) async fn payloads_of_many_kinds(context: Context) -> CaseResult {
    let stage = context.stage("payloads", 1).await?;
    let mut consumer = open(&stage).await?;
    let message = |(name, payload): &(&'static str, Vec<u8>)| {
        let message = Message::new(payload.clone()).with_id(*name).with_key(*name);
        (0..30)
            .fold(message, |message, at| message.with_header(format!("h{}", at % 15), format!("{name}-{at}")))
    };
    let all: Vec<Message> = payloads().iter().map(message).collect();
    let expected: BTreeMap<_, _> =
        all.iter().map(|message| (message.id.to_string(), message.clone())).collect();
    publish(&stage, all).await?;
    let (mut seen, mut done) = (BTreeMap::new(), 0);
    while done < expected.len() {
        let delivery = next(&mut consumer).await?;
        let (id, received) = (id(&delivery), delivery.to_message());
        ensure(Some(&received) == expected.get(&id), || {
            format!("{id}: published {:#?}\nreceived {received:#?}", expected.get(&id))
        })?;
        if seen.insert(id, ()).is_none() {
            step("nack", async { Ok(delivery.nack(Duration::ZERO).await?) }).await?;
        } else {
            ack(delivery).await?;
            done += 1;
        }
    }
    steps::nothing_comes(&mut consumer, Duration::from_millis(100)).await?;
    step("close", consumer.close()).await?;
    let text = format!("{done} payloads with 30 headers, byte for byte, and again after a nack");
    hold(&stage, &[Property::P1], text).await
}
