//! What goes in comes out: content, attributes, sizes.

use anybroker_core::{Kind, Message, PublisherExt as _};

use super::flow::next;
use super::{CaseResult, Context, Finding, Stage, ensure, step};

/// Publishes one message and takes it back, as the application sees it.
async fn through(
    stage: &Stage,
    message: Message,
) -> Result<Message, Box<dyn std::error::Error + Send + Sync>> {
    let publisher = stage.publisher().await?;
    let mut consumer = stage.recorded.consumer(stage.subscription(0)).await?;
    step("publish", async { Ok(publisher.publish(message).await?) }).await?;
    let delivery = next(&mut consumer).await?;
    let received = delivery.to_message();
    step("acknowledge", async { Ok(delivery.ack().await?) }).await?;
    step("close", consumer.close()).await?;
    step("close", publisher.close()).await?;
    Ok(received)
}

pub(super) async fn round_trip(context: Context) -> CaseResult {
    let stage = context.stage("round-trip", 1).await?;
    let mut message = Message::new(&b"\x00\xff\xfe binary \x80"[..])
        .with_key(&b"\xffkey\x00"[..])
        .with_type("order.placed")
        .with_content_type("application/octet-stream")
        .with_extension("subject", "order 7 ☃")
        .with_extension("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .with_header("überschrift", "grüße ☃")
        .with_header("zebra", "before alpha")
        .with_header("alpha", &b"\x00\xff"[..])
        .with_header("twice", "1")
        .with_header("twice", "2")
        .with_header("empty", "");
    message.schema_version = Some(3);
    message.source = Some("/shop/eu".into());
    message.time = Some(std::time::UNIX_EPOCH + std::time::Duration::from_millis(1_700_000_000_123));
    let received = through(&stage, message.clone()).await?;
    ensure(received == message, || format!("published {message:#?}\nreceived {received:#?}"))?;
    stage.tidy().await?;
    Ok(Finding::Holds("key, payload, ordered and repeated headers, attributes byte for byte".into()))
}

pub(super) async fn empty_payload(context: Context) -> CaseResult {
    let stage = context.stage("empty-payload", 1).await?;
    let message = Message::new("").with_key("");
    let received = through(&stage, message.clone()).await?;
    ensure(received == message, || format!("published {message:#?}\nreceived {received:#?}"))?;
    stage.tidy().await?;
    Ok(Finding::Holds("empty payload and empty key".into()))
}

pub(super) async fn largest_and_one_byte_more(context: Context) -> CaseResult {
    let stage = context.stage("largest", 1).await?;
    let Some(most) = stage.guarantees.limits.message_bytes else {
        return Ok(Finding::NotPromised("limits.message_bytes is unknown".into()));
    };
    let sized = |size: usize| {
        let message = Message::new("").with_key("k").with_header("h", "v");
        let payload = vec![b'x'; size - message.size()];
        Message { payload: payload.into(), ..message }
    };
    let largest = sized(most);
    let received = through(&stage, largest.clone()).await?;
    ensure(received == largest, || "the largest message came back different".to_owned())?;
    let publisher = stage.publisher().await?;
    let refused = step("publish", async { Ok(publisher.publish(sized(most + 1)).await) }).await?;
    let kind = refused.map_err(|e| e.error().kind()).err();
    ensure(kind == Some(Kind::TooLarge), || format!("one byte more gave {kind:?} instead of `too large`"))?;
    stage.tidy().await?;
    Ok(Finding::Holds(format!("{most} bytes go through, {} are refused", most + 1)))
}
