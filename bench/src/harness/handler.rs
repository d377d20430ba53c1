//! The handler, the same for all: reads the payload's stamp, counts, and notes how late it was.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use crate::task::due;

/// Counts what it has handled.
pub struct Handler {
    count: AtomicU64,
    /// Whoever waits is woken at this count.
    target: AtomicU64,
    reached: Notify,
    late: Option<Late>,
}

struct Late {
    since: Instant,
    /// Messages that are due before are not noted.
    from: u64,
    nanoseconds: Mutex<Vec<u64>>,
}

impl Handler {
    /// Only counts.
    pub fn counting() -> Self {
        Handler {
            count: AtomicU64::new(0),
            target: AtomicU64::new(u64::MAX),
            reached: Notify::new(),
            late: None,
        }
    }

    /// Notes how long after its due time, in nanoseconds after `since`, each message is handled: those due at `from`
    /// or later.
    pub fn timing(since: Instant, from: u64, capacity: usize) -> Self {
        let nanoseconds = Mutex::new(Vec::with_capacity(capacity));
        Handler { late: Some(Late { since, from, nanoseconds }), ..Handler::counting() }
    }

    /// Handles a message.
    pub fn handle(&self, payload: &[u8]) {
        let due = due(payload);
        black_box((due, payload.len()));
        if let Some(late) = &self.late
            && due >= late.from
        {
            let nanoseconds = (late.since.elapsed().as_nanos() as u64).saturating_sub(due);
            late.nanoseconds.lock().unwrap_or_else(PoisonError::into_inner).push(nanoseconds);
        }
        if self.count.fetch_add(1, Ordering::AcqRel) + 1 >= self.target.load(Ordering::Acquire) {
            self.reached.notify_one();
        }
    }

    /// Waits until so many have been handled.
    pub async fn handled(&self, count: u64) {
        self.target.store(count, Ordering::Release);
        while self.count() < count {
            self.reached.notified().await;
        }
        self.target.store(u64::MAX, Ordering::Release);
    }

    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// How late the messages were, the least first.
    pub fn late(&self) -> Vec<u64> {
        let Some(late) = &self.late else { return Vec::new() };
        let mut all = std::mem::take(&mut *late.nanoseconds.lock().unwrap_or_else(PoisonError::into_inner));
        all.sort_unstable();
        all
    }
}
