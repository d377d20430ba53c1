//! Receives, prints and settles, in this order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use anybroker::{Consumer, Delivery, Error, Settlement, Settler};
use tokio::time::Instant;

use super::Args;
use super::render::render;
use crate::args::Format;
use crate::failure::Failure;
use crate::output::{Lines, Printed};
use anybroker::worker::Signals;

/// Messages that are printed with one write.
const CHUNK: usize = 100;
/// After this long without a message, what was printed is acknowledged.
const QUIET: Duration = Duration::from_secs(1);

/// Why a reception ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// As it was asked to: the count, a signal, or nobody reads any more.
    Asked,
    /// Nothing came for as long as it was to wait.
    Idle,
    /// It holds as many messages as it may.
    Full,
}

/// The state of one `sub`.
pub(super) struct Reception {
    format: Format,
    lines: Lines,
    settler: Arc<dyn Settler>,
    acknowledge: bool,
    idle: Option<Duration>,
    /// Messages still to be printed, and what may be held of them.
    left: u64,
    hold: usize,
    /// How many may be acknowledged before the end. The last ones wait for it, so that the broker does not send
    /// messages in their place that nobody will print.
    early: u64,
    printed: VecDeque<Delivery>,
    refused: Option<(usize, Error)>,
    last: Instant,
    fresh: bool,
}

impl Reception {
    pub(super) fn new(args: &Args, settler: Arc<dyn Settler>, lines: Lines) -> Self {
        let left = args.max.unwrap_or(u64::MAX);
        Reception {
            format: args.format,
            lines,
            settler,
            acknowledge: !args.no_ack,
            idle: args.idle,
            left,
            hold: args.prefetch(),
            early: left - (args.prefetch() as u64).min(left),
            printed: VecDeque::new(),
            refused: None,
            last: Instant::now(),
            fresh: true,
        }
    }

    /// Prints what comes until there is a reason to stop.
    pub(super) async fn run(
        &mut self,
        consumer: &mut dyn Consumer,
        signals: &mut Signals,
    ) -> Result<Ended, Failure> {
        while self.left > 0 {
            if !self.acknowledge && self.printed.len() >= self.hold {
                return Ok(Ended::Full);
            }
            let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(CHUNK);
            tokio::select! {
                biased;
                () = signals.next() => break,
                received = consumer.receive(most) => {
                    if !self.print(received?, signals).await? {
                        break;
                    }
                }
                () = until(self.quiet()) => self.settle(usize::MAX).await,
                () = until(self.idle.map(|idle| self.last + idle)) => return Ok(Ended::Idle),
            }
        }
        Ok(Ended::Asked)
    }

    /// Whether nothing has come yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Lets the time to wait begin again.
    pub(super) fn wait_again(&mut self) {
        self.last = Instant::now();
    }

    /// Acknowledges what was printed, or gives it back. Says how many could not be acknowledged, and why.
    pub(super) async fn finish(&mut self) -> Option<(usize, Error)> {
        if self.acknowledge {
            self.settle(usize::MAX).await;
        }
        self.printed.clear();
        self.refused.take()
    }

    /// When to acknowledge what waits for the end, because nothing more comes.
    fn quiet(&self) -> Option<Instant> {
        (self.acknowledge && !self.printed.is_empty()).then_some(self.last + QUIET)
    }

    /// Prints a batch; says whether to go on. What was not written is dropped, and so comes again.
    async fn print(&mut self, batch: Vec<Delivery>, signals: &mut Signals) -> Result<bool, Failure> {
        for delivery in &batch {
            render(&mut self.lines, self.format, delivery, self.settler.topic())?;
        }
        let (printed, interrupted) = self.lines.flush_or_stop(signals).await?;
        if printed == Printed::ReaderGone {
            return Ok(false);
        }
        self.left -= (batch.len() as u64).min(self.left);
        self.printed.extend(batch);
        self.last = Instant::now();
        self.fresh = false;
        if self.acknowledge {
            let early = usize::try_from(self.early).unwrap_or(usize::MAX);
            self.settle(early).await;
        }
        Ok(!interrupted)
    }

    /// Acknowledges up to `most` of what was printed, in order.
    async fn settle(&mut self, most: usize) {
        let count = most.min(self.printed.len());
        if count == 0 {
            return;
        }
        self.early = self.early.saturating_sub(count as u64);
        let batch = self.printed.drain(..count).map(Settlement::ack).collect();
        for result in self.settler.settle(batch).await {
            let Err(refused) = result else { continue };
            let (error, _) = refused.into_parts();
            self.refused = Some((self.refused.take().map_or(1, |(count, _)| count + 1), error));
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
