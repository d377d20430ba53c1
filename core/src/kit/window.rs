//! The bounded window of unconfirmed messages.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, Kind, Result};

/// Room in a publisher's window; given back when every message of its batch has an outcome, or on drop.
#[derive(Debug)]
pub struct Permit {
    _messages: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

#[derive(Debug)]
pub(super) struct Window {
    messages: Arc<Semaphore>,
    kibibytes: Arc<Semaphore>,
    most: (u32, u32),
}

impl Window {
    pub(super) fn new(messages: usize, bytes: usize) -> Self {
        let bound = |n: usize| n.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize)) as u32;
        let most = (bound(messages), bound(bytes.div_ceil(1024)));
        Window {
            messages: Arc::new(Semaphore::new(most.0 as usize)),
            kibibytes: Arc::new(Semaphore::new(most.1 as usize)),
            most,
        }
    }

    /// Always messages first, then bytes: two waiters cannot block each other.
    pub(super) async fn ready(&self, messages: usize, bytes: usize) -> Result<Permit> {
        let messages = (messages as u64).min(self.most.0 as u64) as u32;
        let kibibytes = (bytes.div_ceil(1024) as u64).min(self.most.1 as u64) as u32;
        let closed = |_| Error::new(Kind::Closed, "publish", "the publisher is closed");
        Ok(Permit {
            _messages: self.messages.clone().acquire_many_owned(messages).await.map_err(closed)?,
            _bytes: self.kibibytes.clone().acquire_many_owned(kibibytes).await.map_err(closed)?,
        })
    }

    pub(super) fn close(&self) {
        self.messages.close();
        self.kibibytes.close();
    }
}
