//! How many messages have not come to their end yet.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Counts them, and tells when there are none.
#[derive(Debug, Default)]
pub(super) struct Open {
    count: AtomicUsize,
    ended: Notify,
}

impl Open {
    pub(super) fn begin(&self, messages: usize) {
        self.count.fetch_add(messages, Ordering::AcqRel);
    }

    pub(super) fn end(&self, messages: usize) {
        self.count.fetch_sub(messages, Ordering::AcqRel);
        self.ended.notify_waiters();
    }

    /// Waits until all have come to their end.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn none(&self) {
        loop {
            let mut ended = std::pin::pin!(self.ended.notified());
            ended.as_mut().enable();
            if self.count.load(Ordering::Acquire) == 0 {
                return;
            }
            ended.await;
        }
    }
}
