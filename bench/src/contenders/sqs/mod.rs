//! SQS FIFO by hand: `aws-sdk-sqs`.

mod batches;
mod consuming;
pub(super) mod lanes;
mod naive;
pub(super) mod queue;

use crate::contender::{Contender, Kind};
use queue::Queue;

/// The same for all.
pub(super) const SETTINGS: &str = "one FIFO queue, as anybroker declares it, without partitions; the payload is text; each message names its key as \
     its group, and an id for deduplication; a key has one request under way, so that its order holds; deletions are confirmed; \
     hand-written code uses the client of anybroker's handle; mq-bridge and omniqueue know no FIFO queues";

/// The client library in each of its ways.
pub(super) const RAW: &[Contender] = &[
    Contender {
        name: "naive loop",
        kind: Kind::Naive,
        way: "SendMessage, its answer awaited; ReceiveMessage of one, DeleteMessage, its answer awaited",
        publish: Some(|task| {
            Box::pin(async move { Ok(Box::new(naive::Publishing::open(&task).await?) as _) })
        }),
        consume: Some(|task| {
            Box::pin(async move { Ok(Box::new(naive::Consuming::open(&task).await?) as _) })
        }),
    },
    Contender {
        name: "batches of ten",
        kind: Kind::Raw,
        way: "SendMessageBatch, eight at once, each with keys of its own; ReceiveMessage and then DeleteMessageBatch, eight at once",
        publish: Some(|task| {
            Box::pin(async move { Ok(Box::new(batches::publishing(&task, false).await?) as _) })
        }),
        consume: Some(|task| {
            Box::pin(async move { Ok(Box::new(consuming::Consuming::open(&task, false).await?) as _) })
        }),
    },
    Contender {
        name: "batches of ten, ids",
        kind: Kind::Equal,
        way: "the same, and each message says its id in an attribute, as anybroker's do, which is asked for and looked at",
        publish: Some(|task| {
            Box::pin(async move { Ok(Box::new(batches::publishing(&task, true).await?) as _) })
        }),
        consume: Some(|task| {
            Box::pin(async move { Ok(Box::new(consuming::Consuming::open(&task, true).await?) as _) })
        }),
    },
];

/// The most messages of a request.
const BATCH: usize = 10;
/// Requests at once.
const REQUESTS: usize = 8;
/// The attribute in which anybroker's messages say their id.
const ID: &str = "ce_id";
