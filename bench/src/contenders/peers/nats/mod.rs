//! Other libraries on JetStream, on anybroker's stream. All of them go by `async-nats`.

mod mq_bridge;
mod ruststream;

use crate::contender::{Contender, Kind};

/// Each library by its adapter for NATS, without what it has above: handlers, routes, middleware.
pub(in crate::contenders) const ALL: &[Contender] = &[
    Contender {
        name: "ruststream",
        kind: Kind::Peer,
        way: "ruststream 0.7.7, ruststream-nats 0.7.1: JetStreamPublish, a future each, 2,000 on their way; a pull consumer, each message acknowledged, \
              those of a chunk at once, none of it confirmed",
        publish: Some(|task| {
            Box::pin(async move { Ok(Box::new(ruststream::Publishing::open(&task).await?) as _) })
        }),
        consume: Some(|task| Box::pin(async move { Ok(Box::new(ruststream::consuming(&task).await?) as _) })),
    },
    Contender {
        name: "mq-bridge",
        kind: Kind::Peer,
        way: "mq-bridge 1.3.0: send_batch(500), a publisher for each partition, 16 batches under way. Not the same: a message says an id in its headers. \
              It does not consume here: its consumer has one name for each subject, and so would go on where the round before ended",
        publish: Some(|task| Box::pin(async move { Ok(Box::new(mq_bridge::publishing(&task).await?) as _) })),
        consume: None,
    },
];
