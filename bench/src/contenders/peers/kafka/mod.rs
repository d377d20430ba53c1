//! Other libraries on Kafka. All of them go by librdkafka and the `rdkafka` crate, whose settings they take.

mod mq_bridge;
mod ruststream;
mod sea_streamer;

use crate::contender::{Contender, Kind};

/// Each library by its adapter for Kafka, without what it has above: handlers, routes, middleware.
pub(in crate::contenders) const ALL: &[Contender] = &[
    Contender {
        name: "ruststream",
        kind: Kind::Peer,
        way: "ruststream 0.7.7, ruststream-rdkafka 0.7.1: publish, a future each, 2,000 on their way (faster than 10,000); batches(1,000), Commit::Tracked, \
              each message acknowledged. Not the same: what is acknowledged is committed in the background and on closing, not at \
              the end of what is measured; librdkafka's queue has room for 100,000, since a publish that finds it full sleeps",
        publish: Some(|task| {
            Box::pin(async move { Ok(Box::new(ruststream::Publishing::open(&task).await?) as _) })
        }),
        consume: Some(|task| {
            Box::pin(async move { Ok(Box::new(ruststream::Consuming::open(&task).await?) as _) })
        }),
    },
    Contender {
        name: "mq-bridge",
        kind: Kind::Peer,
        way: "mq-bridge 1.3.0: send_batch(1,000), 10 batches on their way; receive_batch(1,000), each batch committed. Not the same: \
              an id and the key are sent as headers too; each batch is committed at once, without waiting for the answer; \
              up to 64 MiB are held besides what librdkafka has; its queue has room for 100,000, since a batch that finds it full fails",
        publish: Some(|task| {
            Box::pin(async move { Ok(Box::new(mq_bridge::Publishing::open(&task).await?) as _) })
        }),
        consume: Some(|task| {
            Box::pin(async move { Ok(Box::new(mq_bridge::Consuming::open(&task).await?) as _) })
        }),
    },
    Contender {
        name: "sea-streamer",
        kind: Kind::Peer,
        way: "sea-streamer 1.0.0-rc.2: KafkaProducer::send_record, since its common interface has no keys, 10,000 on their way; stream(), \
              offsets stored every 1,000. Not the same: what is stored is committed in the background and on closing, not at the end \
              of what is measured; librdkafka's queue has room for 100,000, since a record that finds it full fails",
        publish: Some(|task| {
            Box::pin(async move { Ok(Box::new(sea_streamer::Publishing::open(&task).await?) as _) })
        }),
        consume: Some(|task| {
            Box::pin(async move { Ok(Box::new(sea_streamer::Consuming::open(&task).await?) as _) })
        }),
    },
];
