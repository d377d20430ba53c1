//! NATS without JetStream by hand: `async-nats`.

pub(super) mod echo;
mod naive;
mod publishing;
mod subscribing;

use async_nats::HeaderName;

use super::nats::client;
use crate::contender::{Contender, Kind};

/// The same for all.
pub(super) const SETTINGS: &str = "one subject, a queue group; nothing is stored, so there is no backlog to consume: `through` measures consuming with \
     publishing, in portions of 1,000 that are handled before the next; confirmed means that the server has read it: a message to the \
     client's own inbox, sent behind it, has come back, and whether anybody got it nobody says; at most 10,000 messages unconfirmed; \
     hand-written publishers send no headers where they don't say so";

/// The client library in each of its ways.
pub(super) const RAW: &[Contender] = &[
    Contender {
        name: "naive loop",
        kind: Kind::Naive,
        way: "publish and flush, which returns when it is written to the socket: nothing confirmed",
        publish: Some(|task| {
            Box::pin(async move { Ok(Box::new(naive::Publishing::open(&task).await?) as _) })
        }),
        consume: None,
    },
    Contender {
        name: "echo each 1,000",
        kind: Kind::Raw,
        way: "publish, every 1,000 messages one to its own inbox, ten of these on their way; a queue subscription",
        publish: Some(|task| {
            Box::pin(async move { Ok(Box::new(publishing::Publishing::open(&task, false).await?) as _) })
        }),
        consume: Some(|task| {
            Box::pin(async move { Ok(Box::new(subscribing::Subscribing::open(&task, false).await?) as _) })
        }),
    },
    Contender {
        name: "echo each 1,000, ids",
        kind: Kind::Equal,
        way: "the same, and each message says its id and key in headers, as anybroker's do, which are looked at",
        publish: Some(|task| {
            Box::pin(async move { Ok(Box::new(publishing::Publishing::open(&task, true).await?) as _) })
        }),
        consume: Some(|task| {
            Box::pin(async move { Ok(Box::new(subscribing::Subscribing::open(&task, true).await?) as _) })
        }),
    },
];

/// What anybroker calls the headers.
const ID: HeaderName = HeaderName::from_static("ce-id");
const KEY: HeaderName = HeaderName::from_static("ce-partitionkey");
