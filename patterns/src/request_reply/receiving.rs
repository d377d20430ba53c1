//! The task that receives replies.

use std::sync::Arc;

use anybroker_core::{Consumer, Error, Kind, Result, Settlement};
use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::oneshot;

use super::waiting::Waiting;

/// Replies taken at once.
const BATCH: usize = 256;
/// Batches whose acknowledgement is under way: replies do not wait for it.
const SETTLING: usize = 16;

/// Hands out replies until `closing` says so, or is dropped with its requester.
pub(super) async fn receive(
    mut consumer: Box<dyn Consumer>,
    waiting: Arc<Waiting>,
    mut closing: oneshot::Receiver<()>,
) -> Result<()> {
    let settler = consumer.settler();
    let mut settling = FuturesUnordered::new();
    let ended = loop {
        let batch = tokio::select! {
            biased;
            _ = &mut closing => break Error::new(Kind::Closed, "request", "the requester is closed"),
            Some(()) = settling.next() => continue,
            batch = consumer.receive(BATCH), if settling.len() < SETTLING => batch,
        };
        match batch {
            Ok(batch) => {
                batch.iter().for_each(|delivery| waiting.arrived(delivery));
                let settler = settler.clone();
                settling.push(async move {
                    let acks = batch.into_iter().map(Settlement::ack).collect();
                    for refused in settler.settle(acks).await.into_iter().filter_map(Result::err) {
                        tracing::debug!(error = %refused, "a reply was not acknowledged; if it comes again, it is discarded");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "no more replies can be received");
                break error;
            }
        }
    };
    waiting.end(ended);
    while settling.next().await.is_some() {}
    consumer.close().await
}
