//! Wakes every partition when events were appended.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::event_store::{EventStore, Store};

/// Listens once for all, with one connection; owns the task that does.
#[derive(Debug)]
pub(super) struct Wakes {
    announced: Arc<Notify>,
    partitions: Vec<Arc<Notify>>,
    task: Option<JoinHandle<()>>,
}

impl Wakes {
    pub(super) fn new<D: Store>(store: &EventStore<D>, partitions: u32) -> Self {
        let announced = Arc::new(Notify::new());
        let task = if store.notify { store.database().listen(announced.clone()) } else { None };
        Wakes { announced, partitions: (0..partitions).map(|_| Arc::default()).collect(), task }
    }

    pub(super) fn of(&self, partition: u32) -> Arc<Notify> {
        self.partitions.get(partition as usize).cloned().unwrap_or_default()
    }

    /// Hands on what is announced, for ever.
    pub(super) async fn hand_on(&self) {
        loop {
            self.announced.notified().await;
            self.partitions.iter().for_each(|partition| partition.notify_one());
        }
    }
}

impl Drop for Wakes {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
