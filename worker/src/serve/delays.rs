//! Messages that wait aside for their next attempt, while the later ones of their key go on.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::lanes::Task;

/// Tasks by the time at which they are due.
#[derive(Debug, Default)]
pub(super) struct Delays {
    waiting: Mutex<BTreeMap<(Instant, u64), Task>>,
    changed: Notify,
}

impl Delays {
    fn waiting(&self) -> MutexGuard<'_, BTreeMap<(Instant, u64), Task>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, due: Instant, task: Task) {
        let mut waiting = self.waiting();
        let last = waiting.range((due, 0)..=(due, u64::MAX)).next_back();
        let number = last.map_or(0, |((_, number), _)| number + 1);
        waiting.insert((due, number), task);
        drop(waiting);
        self.changed.notify_one();
    }

    /// Waits until something is due and takes all of that.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn due(&self) -> Vec<Task> {
        loop {
            let next = self.waiting().first_key_value().map(|((due, _), _)| *due);
            match next {
                None => self.changed.notified().await,
                Some(due) if due <= Instant::now() => return self.take_due(),
                Some(due) => {
                    let _ = tokio::time::timeout_at(due, self.changed.notified()).await;
                }
            }
        }
    }

    fn take_due(&self) -> Vec<Task> {
        let mut waiting = self.waiting();
        let later = waiting.split_off(&(Instant::now(), u64::MAX));
        std::mem::replace(&mut *waiting, later).into_values().collect()
    }

    /// Hands everything back; says how many they were.
    pub(super) fn clear(&self) -> usize {
        let waiting = std::mem::take(&mut *self.waiting());
        waiting.len()
    }
}
