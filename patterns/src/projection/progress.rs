//! What a projector has done.

use std::sync::atomic::{AtomicU64, Ordering};

use anybroker_core::Error;

use crate::failures::Failures;

/// Counts of a projector, readable while it runs.
#[derive(Debug, Default)]
pub struct Progress {
    applied: AtomicU64,
    parked: AtomicU64,
    failures: Failures,
}

impl Progress {
    /// Events that were applied.
    pub fn applied(&self) -> u64 {
        self.applied.load(Ordering::Relaxed)
    }

    /// Events that were parked.
    pub fn parked(&self) -> u64 {
        self.parked.load(Ordering::Relaxed)
    }

    /// Batches that were rolled back, and are tried again.
    pub fn failures(&self) -> u64 {
        self.failures.count()
    }

    /// Why the last of these failed.
    pub fn last_failure(&self) -> Option<String> {
        self.failures.last()
    }

    pub(super) fn done(&self, applied: usize, parked: usize) {
        self.applied.fetch_add(applied as u64, Ordering::Relaxed);
        self.parked.fetch_add(parked as u64, Ordering::Relaxed);
    }

    pub(super) fn failed(&self, name: &str, error: &Error) {
        tracing::warn!(projection = name, %error, "projecting failed; trying again");
        self.failures.add(error.to_string());
    }
}
