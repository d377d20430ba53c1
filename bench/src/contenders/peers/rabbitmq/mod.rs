//! Other libraries on RabbitMQ, on anybroker's exchange and quorum queues. All of them go by `lapin`.

mod mq_bridge;
mod ruststream;

use crate::contender::{Contender, Kind};

/// Each library by its adapter for RabbitMQ, without what it has above: handlers, routes, middleware.
pub(in crate::contenders) const ALL: &[Contender] = &[
    Contender {
        name: "ruststream",
        kind: Kind::Peer,
        way: "ruststream 0.7.7, ruststream-lapin 0.7.2: publish with confirms, a future each, 2,000 on their way; a subscriber a queue, each message \
              acknowledged, those of a chunk at once. Not the same: not mandatory, what no queue takes counts as confirmed",
        publish: Some(|task| {
            Box::pin(async move { Ok(Box::new(ruststream::Publishing::open(&task).await?) as _) })
        }),
        consume: Some(|task| Box::pin(async move { Ok(Box::new(ruststream::consuming(&task).await?) as _) })),
    },
    Contender {
        name: "mq-bridge",
        kind: Kind::Peer,
        way: "mq-bridge 1.3.0: send_batch(500), a publisher for each partition, 16 batches under way. Not the same: a message says an id in its properties. \
              It does not consume here: its consumer declares its queue as a classic one",
        publish: Some(|task| Box::pin(async move { Ok(Box::new(mq_bridge::publishing(&task).await?) as _) })),
        consume: None,
    },
];
