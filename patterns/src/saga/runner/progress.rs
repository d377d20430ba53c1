//! What a runner has done.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::failures::Failures;

/// Counts of a runner, readable while it runs.
#[derive(Debug, Default)]
pub struct Progress {
    ended: AtomicU64,
    parked: AtomicU64,
    failures: Failures,
}

impl Progress {
    /// Instances that came to their end.
    pub fn ended(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }

    /// Instances that were parked.
    pub fn parked(&self) -> u64 {
        self.parked.load(Ordering::Relaxed)
    }

    /// How often the database failed, or another runner took an instance over.
    pub fn failures(&self) -> u64 {
        self.failures.count()
    }

    /// Why, the last time.
    pub fn last_failure(&self) -> Option<String> {
        self.failures.last()
    }

    pub(super) fn count_ended(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_parked(&self) {
        self.parked.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failed(&self, why: String) {
        self.failures.add(why);
    }
}
