//! What is counted of one subscription.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::histogram::Histogram;
use crate::failure::Class;
use crate::observe::{Happening, Outcome};
use crate::serve::is_gone;

/// The counts of one subscription. Relaxed throughout: each is read by itself.
#[derive(Debug, Default)]
pub(super) struct Series {
    pub(super) received: AtomicU64,
    pub(super) in_flight: AtomicU64,
    pub(super) void: AtomicU64,
    pub(super) delayed: AtomicU64,
    /// Handlers that ended: without a failure, then by [`Class::ALL`].
    attempts: [AtomicU64; 1 + Class::ALL.len()],
    /// Messages that were settled, by [`Outcome::ALL`].
    settled: [AtomicU64; Outcome::ALL.len()],
    /// Settlements that came too late, and those that failed.
    pub(super) taken_away: AtomicU64,
    pub(super) settle_failed: AtomicU64,
    pub(super) dead_letters_refused: AtomicU64,
    pub(super) handler: Histogram,
    /// One more than the lag; 0 if it is not known.
    lag: AtomicU64,
}

impl Series {
    pub(super) fn count(&self, happening: &Happening<'_>) {
        match happening {
            Happening::Received(messages) => add(&self.received, *messages as u64),
            Happening::Begins(_) => add(&self.in_flight, 1),
            Happening::Ended { result, took, .. } => {
                let _ = self.in_flight.fetch_update(Relaxed, Relaxed, |running| running.checked_sub(1));
                let class = result.err().map(|failure| failure.class());
                add(&self.attempts[class.map_or(0, |class| class as usize + 1)], 1);
                self.handler.record(*took);
            }
            Happening::Void => add(&self.void, 1),
            Happening::Waits(_) => add(&self.delayed, 1),
            Happening::Settled { outcome, result: Ok(_), .. } => add(&self.settled[*outcome as usize], 1),
            Happening::Settled { result: Err(error), .. } if is_gone(error) => add(&self.taken_away, 1),
            Happening::Settled { .. } => add(&self.settle_failed, 1),
            Happening::DeadLetterRefused(_) => add(&self.dead_letters_refused, 1),
            Happening::Lag(lag) => self.lag.store(lag.map_or(0, |lag| lag.saturating_add(1)), Relaxed),
            Happening::Closed(_) => {
                // Handlers that were dropped have not ended.
                self.in_flight.store(0, Relaxed);
                self.lag.store(0, Relaxed);
            }
            _ => {}
        }
    }

    /// How many attempts ended in which way.
    pub(super) fn attempts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let names = std::iter::once("ok").chain(Class::ALL.into_iter().map(Class::as_str));
        names.zip(&self.attempts).map(|(name, count)| (name, count.load(Relaxed)))
    }

    /// How many messages were settled as what.
    pub(super) fn settled(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let names = Outcome::ALL.into_iter().map(Outcome::as_str);
        names.zip(&self.settled).map(|(name, count)| (name, count.load(Relaxed)))
    }

    /// How many messages the group has not acknowledged, if that is known.
    pub(super) fn lag(&self) -> Option<u64> {
        self.lag.load(Relaxed).checked_sub(1)
    }
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Relaxed);
}
