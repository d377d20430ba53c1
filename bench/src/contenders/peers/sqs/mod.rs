//! Other libraries on SQS, on anybroker's FIFO queue. All of them go by `aws-sdk-sqs`.

mod ruststream;

use crate::contender::{Contender, Kind};

/// Each library by its adapter for SQS, without what it has above: handlers, routes, middleware.
pub(in crate::contenders) const ALL: &[Contender] = &[Contender {
    name: "ruststream",
    kind: Kind::Peer,
    way: "ruststream 0.7.7, ruststream-sqs-sns 0.7.1: SendMessage, one of each key under way; four subscribers of ten messages, each \
          message deleted by a request of its own, those of a chunk at once. It has no requests for several messages but for receiving",
    publish: Some(|task| Box::pin(async move { Ok(Box::new(ruststream::publishing(&task).await?) as _) })),
    consume: Some(|task| Box::pin(async move { Ok(Box::new(ruststream::consuming(&task).await?) as _) })),
}];
