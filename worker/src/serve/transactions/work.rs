//! What waits to be committed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anybroker_core::{Reason, Token};
use tokio::sync::Notify;

use super::super::lanes::Task;
use super::super::open::Open;
use crate::observe::Outcome;
use crate::outputs::Output;

/// Messages that are done together, with what was published for them.
#[derive(Debug)]
pub(in crate::serve) struct Work {
    pub(super) tasks: Vec<Task>,
    pub(super) outcome: Outcome,
    pub(super) outputs: Vec<Output>,
    /// Why it is a dead letter, if it is one.
    pub(super) letter: Option<Reason>,
    /// Rises with the order in which the handlers have ended, in which things are published.
    pub(super) number: u64,
}

impl Work {
    /// A message whose handler has ended well, or which is to be forgotten.
    pub(in crate::serve) fn done(mut task: Task, outcome: Outcome) -> Self {
        let outputs = std::mem::take(&mut task.outputs);
        Work { tasks: vec![task], outcome, outputs, letter: None, number: 0 }
    }

    /// A batch whose handler has ended well.
    pub(in crate::serve) fn together(tasks: Vec<Task>, outputs: Vec<Output>) -> Self {
        Work { tasks, outcome: Outcome::Acknowledged, outputs, letter: None, number: 0 }
    }

    /// A message that is given up.
    pub(in crate::serve) fn dead_letter(task: Task, reason: Reason, outcome: Outcome) -> Self {
        Work { tasks: vec![task], outcome, outputs: Vec::new(), letter: Some(reason), number: 0 }
    }

    pub(super) fn tokens(&self) -> impl Iterator<Item = Token> {
        self.tasks.iter().map(|task| task.delivery.token())
    }

    /// Whether the task's key waits until somebody has looked after it.
    pub(super) fn holds_key(&self, task: &Task) -> bool {
        self.letter.is_some() || task.parked
    }
}

/// What the handlers have left to be committed.
#[derive(Debug)]
pub(in crate::serve) struct Done {
    /// None once nobody commits any more.
    queue: Mutex<Option<Vec<Work>>>,
    pushed: AtomicU64,
    /// Messages that are neither committed nor handed back.
    open: Open,
    is_last: AtomicBool,
    pub(super) arrived: Notify,
}

impl Default for Done {
    fn default() -> Self {
        Done {
            queue: Mutex::new(Some(Vec::new())),
            pushed: AtomicU64::new(0),
            open: Open::default(),
            is_last: AtomicBool::new(false),
            arrived: Notify::new(),
        }
    }
}

impl Done {
    fn queue(&self) -> MutexGuard<'_, Option<Vec<Work>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Once nobody commits any more, it is handed back.
    pub(in crate::serve) fn push(&self, mut work: Work) {
        if let Some(queue) = &mut *self.queue() {
            self.open.begin(work.tasks.len());
            work.number = self.pushed.fetch_add(1, Ordering::Relaxed);
            queue.push(work);
        }
        self.arrived.notify_one();
    }

    pub(super) fn take(&self) -> Vec<Work> {
        self.queue().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Nobody commits any more; what is left.
    pub(super) fn close(&self) -> Vec<Work> {
        self.queue().take().unwrap_or_default()
    }

    /// So many messages are committed or handed back.
    pub(super) fn settled(&self, messages: usize) {
        self.open.end(messages);
    }

    /// Whether nothing more comes: what cannot be committed is to be handed back.
    pub(super) fn is_last(&self) -> bool {
        self.is_last.load(Ordering::Acquire)
    }

    /// Nothing more comes; waits until everything is committed or handed back.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(in crate::serve) async fn finish(&self) {
        self.is_last.store(true, Ordering::Release);
        self.arrived.notify_one();
        self.open.none().await;
    }
}
