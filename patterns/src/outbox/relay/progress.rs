//! What a relay has done.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::failures::Failures;

/// Counts of a relay, readable while it runs.
#[derive(Debug, Default)]
pub struct Progress {
    published: AtomicU64,
    duplicates: AtomicU64,
    quarantined: AtomicU64,
    failures: Failures,
}

impl Progress {
    /// Messages that the broker confirmed.
    pub fn published(&self) -> u64 {
        self.published.load(Ordering::Relaxed)
    }

    /// Of these, those that the broker had already.
    pub fn duplicates(&self) -> u64 {
        self.duplicates.load(Ordering::Relaxed)
    }

    /// Messages that were set aside.
    pub fn quarantined(&self) -> u64 {
        self.quarantined.load(Ordering::Relaxed)
    }

    /// Batches that were not published or not removed completely, and are tried again.
    pub fn failures(&self) -> u64 {
        self.failures.count()
    }

    /// Why the last of these failed.
    pub fn last_failure(&self) -> Option<String> {
        self.failures.last()
    }

    pub(super) fn done(&self, published: usize, duplicates: usize, quarantined: usize) {
        self.published.fetch_add(published as u64, Ordering::Relaxed);
        self.duplicates.fetch_add(duplicates as u64, Ordering::Relaxed);
        self.quarantined.fetch_add(quarantined as u64, Ordering::Relaxed);
    }

    pub(super) fn failed(&self, why: String) {
        self.failures.add(why);
    }
}
