//! The heartbeat of a loop.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

/// Beats as often as somebody wants to hear it; never if nobody does.
#[derive(Debug)]
pub(crate) struct Heart(Option<Interval>);

impl Heart {
    pub(crate) fn new(every: Option<Duration>) -> Self {
        Heart(every.map(|every| {
            let mut interval = interval(every);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        }))
    }

    /// Waits for the next beat; the first comes at once.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn beat(&mut self) {
        match &mut self.0 {
            Some(interval) => _ = interval.tick().await,
            None => std::future::pending().await,
        }
    }
}
