//! What one of the concurrent handlers takes at once: where handlers neither wait nor take long, what surrounds each message costs
//! more than the handler, and is done for many of them together.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::coop::consume_budget;
use tokio::time::Instant;

use super::BATCH;
use super::desk::Desk;
use super::lanes::Task;
use super::settling::Acks;
use crate::observe::Outcome;

/// The most messages of a portion.
const MOST: usize = BATCH;

/// A handler that takes longer is worth waking another one for, which takes about as long.
const QUICK: Duration = Duration::from_micros(10);

/// After how many messages it is looked whether they were quick: the clock costs as much as a quick handler.
const LOOK: u32 = 8;

/// Messages that wait for one handler, and those that it has handled. Portions grow while it is quick.
pub(super) struct Portion {
    desk: Arc<Desk>,
    rest: VecDeque<Task>,
    acks: Acks,
    most: usize,
    /// When somebody looked last.
    looked: Instant,
    /// How many have been given out since.
    given: u32,
}

impl Portion {
    pub(super) fn new(desk: Arc<Desk>) -> Self {
        let (rest, acks) = (VecDeque::new(), Acks::default());
        Portion { desk, rest, acks, most: 1, looked: Instant::now(), given: 0 }
    }

    /// The next message; none when more are to be taken.
    pub(super) fn next(&mut self) -> Option<Task> {
        if self.was_slow() || self.desk.is_closed() {
            self.share();
        }
        self.given += 1;
        self.rest.pop_front()
    }

    fn was_slow(&mut self) -> bool {
        if self.given == 0 || (self.given < LOOK && !self.rest.is_empty()) {
            return false;
        }
        let (now, given) = (Instant::now(), std::mem::take(&mut self.given));
        now - std::mem::replace(&mut self.looked, now) > QUICK * given
    }

    /// Takes messages that are worth beginning with; says whether the desk is open.
    pub(super) async fn fill(&mut self) -> bool {
        self.settle();
        // Nobody was waited for, so other tasks get their turn now and then.
        consume_budget().await;
        let most = if self.desk.is_plain() { self.most } else { 1 };
        let open = self.desk.next_portion(most, &mut self.rest).await;
        self.acks.reserve(self.rest.len());
        self.most = (2 * self.most).min(MOST);
        (self.looked, self.given) = (Instant::now(), 0);
        open
    }

    /// This message is handled, and only to be acknowledged.
    pub(super) fn handled(&mut self, task: Task) {
        self.acks.push(task.delivery, Outcome::Acknowledged);
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
            self.desk.acknowledge_all(&mut self.acks);
        }
    }
}
