//! Getting back what the server counts as held: by the member before us, or by us on a connection that broke.
//!
//! A consumer hands out new messages while earlier ones are unacknowledged. So before the first pull everything
//! unacknowledged is negatively acknowledged, in order: the server then delivers it first, in that order.

use anybroker_core::Result;
use async_nats::jetstream::consumer::Info;
use bytes::Bytes;

use crate::groups::{self, Layout};
use crate::link::Link;

/// Negative acknowledgement: <https://docs.nats.io/reference/reference-protocols/nats_api_reference>.
const NAK: Bytes = Bytes::from_static(b"-NAK");

/// Makes the server deliver again what it counts as held, except what `keep` says. Returns how the consumer stood.
pub(crate) async fn take_back(
    link: &Link,
    layout: &Layout,
    partition: u32,
    keep: impl Fn(u64) -> bool,
) -> Result<Info> {
    let name = layout.consumer(partition);
    let found = groups::info(link, "receive", &layout.stream, &name).await?;
    let info = found.ok_or_else(|| gone(&name))?;
    if info.num_ack_pending == 0 {
        return Ok(info);
    }
    let (floor, delivered) = (info.ack_floor.stream_sequence, info.delivered.stream_sequence);
    let subjects = (floor + 1..=delivered).filter(|sequence| !keep(*sequence)).map(|sequence| {
        // What is not unacknowledged is ignored by the server: other partitions' messages among them.
        let delivery = info.delivered.consumer_sequence;
        format!("$JS.ACK.{}.{name}.1.{sequence}.{delivery}.0.0", layout.stream)
    });
    refuse(link, subjects).await?;
    Ok(info)
}

/// Negatively acknowledges in order, and waits until the server has the last one.
pub(crate) async fn refuse(link: &Link, subjects: impl Iterator<Item = String>) -> Result<()> {
    let client = link.client("receive")?;
    let mut last = None;
    for subject in subjects {
        if let Some(before) = last.replace(subject) {
            // Fails only with the connection, and then the request below does too.
            let _ = client.publish(before, NAK).await;
        }
    }
    match last {
        Some(last) => link.request("receive", last, None, NAK).await.map(|_| ()),
        None => Ok(()),
    }
}

fn gone(consumer: &str) -> anybroker_core::Error {
    let text = format!("the consumer `{consumer}` does not exist any more");
    anybroker_core::Error::new(anybroker_core::Kind::NotFound, "receive", text)
        .advice("declare the group again: anybroker topics create URL TOPIC --groups GROUP")
}
