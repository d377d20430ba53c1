//! Other libraries on NATS without JetStream. All of them go by `async-nats`.

mod echo;
mod mq_bridge;
mod ruststream;

use crate::contender::{Contender, Kind};
use crate::contenders::peers::plain;
use crate::task::Task;

/// Each library by its adapter for NATS, without what it has above: handlers, routes, middleware.
pub(in crate::contenders) const ALL: &[Contender] = &[
    Contender {
        name: "ruststream",
        kind: Kind::Peer,
        way: "ruststream 0.7.7, ruststream-nats 0.7.1: NatsPublish, every 1,000 messages one to an inbox by its client, ten of these on their way, as by \
              hand; a subscriber in a queue group",
        publish: Some(|task| {
            Box::pin(async move { Ok(Box::new(ruststream::Publishing::open(&task).await?) as _) })
        }),
        consume: Some(|task| Box::pin(async move { Ok(Box::new(ruststream::consuming(&task).await?) as _) })),
    },
    Contender {
        name: "mq-bridge",
        kind: Kind::Peer,
        way: "mq-bridge 1.3.0: send_batch(500), 16 batches under way, and flush. Not the same: nothing is confirmed but that it is written to the socket. \
              It does not consume here: it does not say when the server knows of its subscription",
        publish: Some(|task| Box::pin(async move { Ok(Box::new(mq_bridge::publishing(&task).await?) as _) })),
        consume: None,
    },
];

/// The URL as these libraries read it.
fn server(task: &Task) -> String {
    plain(task).replacen("nats+core://", "nats://", 1)
}
