//! What waits for a handler: taken in, given out in the order of its key, put back.

use std::collections::VecDeque;
use std::sync::MutexGuard;

use anybroker_core::Key;

use super::Desk;
use crate::observe::Happening;
use crate::serve::lanes::{Lanes, Task};

impl Desk {
    /// Takes messages in.
    pub(in crate::serve) fn push(&self, tasks: impl IntoIterator<Item = Task>) {
        let mut lanes = self.lanes();
        lanes.push(tasks);
        self.wake(lanes);
    }

    /// Wakes somebody up if a message is ready, unless somebody is on the way: a run of quick handlers wakes few.
    pub(super) fn wake(&self, mut lanes: MutexGuard<'_, Lanes>) {
        let wakes = lanes.wakes();
        drop(lanes);
        if wakes {
            self.work.notify_one();
        }
    }

    async fn woken(&self) {
        self.work.notified().await;
        self.lanes().looks();
    }

    /// The next message that is worth beginning with; none once the desk is closed.
    ///
    /// # Cancel safety
    /// Cancel safe: a message leaves only when it is returned.
    pub(in crate::serve) async fn next(&self) -> Option<Task> {
        loop {
            if self.is_closed() {
                // The wake-up is passed on: others wait for it too.
                self.work.notify_one();
                return None;
            }
            match self.try_next() {
                Some(task) => return Some(task),
                None => self.woken().await,
            }
        }
    }

    /// The next messages that are worth beginning with, up to `most` of them for one handler; says whether the desk is open.
    ///
    /// # Cancel safety
    /// Cancel safe: messages leave only when it returns.
    pub(in crate::serve) async fn next_portion(&self, most: usize, into: &mut VecDeque<Task>) -> bool {
        while !self.is_closed() {
            self.take_portion(most, into);
            if !into.is_empty() {
                return true;
            }
            self.woken().await;
        }
        // The wake-up is passed on, as in `next`.
        self.work.notify_one();
        false
    }

    fn take_portion(&self, most: usize, into: &mut VecDeque<Task>) {
        let mut lanes = self.lanes();
        lanes.take_portion(most, into);
        self.wake(lanes);
        self.keep_current(into);
    }

    /// Takes back what one handler has not begun with, for the others.
    pub(in crate::serve) fn put_back(&self, rest: &mut VecDeque<Task>) {
        let mut lanes = self.lanes();
        if self.is_closed() {
            drop(lanes);
            return rest.clear();
        }
        rest.drain(..).rev().for_each(|task| lanes.put_back(task));
        self.wake(lanes);
    }

    /// Waits until something may have come in; others who wait may hear of it instead. Says whether the desk is open.
    pub(in crate::serve) async fn changed(&self) -> bool {
        self.woken().await;
        let open = !self.is_closed();
        if !open {
            // The wake-up is passed on, as in `next`.
            self.work.notify_one();
        }
        open
    }

    /// Wakes somebody up if a message is ready.
    pub(in crate::serve) fn pass_on(&self) {
        self.wake(self.lanes());
    }

    /// The next message that is worth beginning with, if there is one now.
    pub(in crate::serve) fn try_next(&self) -> Option<Task> {
        loop {
            let mut lanes = self.lanes();
            let task = lanes.take()?;
            self.wake(lanes);
            match self.current(task) {
                Some(task) => return Some(task),
                None => continue,
            }
        }
    }

    /// What waits directly behind a message of this key that is in work, if it is worth beginning with.
    pub(in crate::serve) fn try_behind(&self, key: &[u8]) -> Option<Task> {
        let task = self.lanes().take_behind(key)?;
        self.current(task)
    }

    fn current(&self, task: Task) -> Option<Task> {
        if self.settler.is_current(task.delivery.token()) {
            return Some(task);
        }
        self.void(task);
        None
    }

    fn keep_current(&self, tasks: &mut VecDeque<Task>) {
        let tokens: Vec<_> = tasks.iter().map(|task| task.delivery.token()).collect();
        let current = self.settler.are_current(&tokens);
        if current.iter().all(|current| *current) {
            return;
        }
        for (task, current) in std::mem::take(tasks).into_iter().zip(current) {
            match current {
                true => tasks.push_back(task),
                false => self.void(task),
            }
        }
    }

    fn void(&self, task: Task) {
        let key = task.delivery.to_key();
        // Released before the next one of its key begins.
        drop(task.delivery);
        self.release(key.as_ref().map(Key::as_bytes));
        self.observe(&Happening::Void);
    }

    /// The work on a message of this key has ended.
    pub(in crate::serve) fn release(&self, key: Option<&[u8]>) {
        let Some(key) = key else { return };
        let mut lanes = self.lanes();
        lanes.done(key);
        self.wake(lanes);
    }
}
