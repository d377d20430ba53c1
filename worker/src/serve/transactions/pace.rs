//! How much the next transaction takes, and how long it waits.

use std::time::Duration;

/// How long to wait after a transaction that failed, at first.
const AGAIN: Duration = Duration::from_millis(10);

/// How much a transaction takes, and how long the next one waits.
pub(super) struct Pace {
    /// The most that it takes, after one of more has failed for what is in it, or taken too long.
    pub(super) most: usize,
    pub(super) pause: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Pace { most: usize::MAX, pause: Duration::ZERO }
    }
}

impl Pace {
    pub(super) fn went_well(&mut self) {
        *self = Pace { most: self.most.saturating_mul(2), pause: Duration::ZERO };
    }

    pub(super) fn take_less(&mut self, most: usize) {
        self.most = most.max(1);
    }

    pub(super) fn wait_longer(&mut self, at_most: Duration) {
        self.pause = (self.pause * 2).max(AGAIN).min(at_most);
    }
}
