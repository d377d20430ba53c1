//! What one of the concurrent handlers takes at once: where handlers neither wait nor take long, what surrounds each message costs
//! more than the handler, and is done for many of them together.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use anybroker_core::Key;
use tokio::task::coop::consume_budget;
use tokio::time::Instant;

use super::desk::Desk;
use super::lanes::Task;
use super::settling::Acks;
use crate::observe::Outcome;

/// The most messages of a portion.
const MOST: usize = 64;

/// A handler that takes longer is worth waking another one for, which takes about as long.
const QUICK: Duration = Duration::from_micros(10);

/// Messages that wait for one handler, and those that it has handled. Portions grow while it is quick.
pub(super) struct Portion {
    desk: Arc<Desk>,
    rest: VecDeque<Task>,
    acks: Acks,
    /// Of those.
    keys: Vec<Key>,
    most: usize,
    /// When the last message was given out.
    began: Instant,
}

impl Portion {
    pub(super) fn new(desk: Arc<Desk>) -> Self {
        let (rest, acks, keys) = (VecDeque::new(), Acks::default(), Vec::new());
        Portion { desk, rest, acks, keys, most: 1, began: Instant::now() }
    }

    /// The next message that is worth beginning with, and the time; none once the desk is closed.
    pub(super) async fn next(&mut self) -> Option<(Task, Instant)> {
        loop {
            let now = Instant::now();
            if now - self.began > QUICK || self.desk.is_closed() {
                self.share();
            }
            self.began = now;
            if let Some(task) = self.rest.pop_front() {
                return Some((task, now));
            }
            self.fill().await.then_some(())?;
        }
    }

    async fn fill(&mut self) -> bool {
        self.settle();
        // Nobody was waited for, so other tasks get their turn now and then.
        consume_budget().await;
        let most = if self.desk.is_plain() { self.most } else { 1 };
        let open = self.desk.next_portion(most, &mut self.rest).await;
        self.most = (2 * self.most).min(MOST);
        self.began = Instant::now();
        open
    }

    /// This message is handled, and only to be acknowledged.
    pub(super) fn handled(&mut self, task: Task) {
        self.acks.push(task.delivery, Outcome::Acknowledged);
        self.keys.extend(task.key);
    }

    /// Leaves the rest to the other handlers, since this one is to wait or has taken long. After a failure too: what comes
    /// after it in its key waits for what becomes of it.
    pub(super) fn share(&mut self) {
        self.settle();
        self.most = 1;
        if !self.rest.is_empty() {
            self.desk.put_back(&mut self.rest);
        }
    }

    fn settle(&mut self) {
        if !self.acks.is_empty() {
            self.desk.acknowledge_all(&mut self.acks, self.keys.drain(..));
        }
    }
}
