//! Which partitions are ours: taking them over where the group left off, and letting them go when their deliveries
//! have been settled and committed.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anybroker_core::Result;
use rdkafka::consumer::Consumer;
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};

use crate::attempts::{Mark, Owner};
use crate::error;
use crate::fetch::Loop;
use crate::past::Past;
use crate::raw::Queue;
use crate::rebalance;
use crate::slot::Slot;

/// How long one request for committed offsets may hold up the loop.
const SLICE: Duration = Duration::from_secs(3);
/// After so long a failed take-over is tried again.
const RETRY: Duration = Duration::from_millis(200);
/// How long the last commit of a partition may take before it is let go without.
const LAST_COMMIT: Duration = Duration::from_secs(5);

/// Where the consumer's first assignment starts.
pub(crate) enum Start {
    /// Where the group left off.
    Resume,
    /// With the first record that is kept.
    Earliest,
    /// At these offsets, which were the ends when the consumer was opened.
    Latest(HashMap<u32, u64>),
}

/// The partitions, and the rebalances that have not been answered.
pub(crate) struct Assignment {
    pub(crate) slots: Vec<Slot>,
    pub(crate) pending: VecDeque<Pending>,
    /// What was done of partitions that are not ours at the moment.
    pasts: HashMap<u32, Past>,
    start: Start,
    retry: Option<Instant>,
    owner: Owner,
}

/// A rebalance that waits for an answer.
pub(crate) enum Pending {
    /// To be taken over.
    Assign(TopicPartitionList),
    /// To be let go.
    Revoke(TopicPartitionList, Stage),
}

/// How far letting go has come.
#[derive(Clone, Copy)]
pub(crate) enum Stage {
    /// Nothing has been done.
    New,
    /// The application settles what it holds, until then.
    Draining(Instant),
    /// The last commit is under way, until then.
    Committing(Instant),
}

impl Assignment {
    pub(crate) fn new(start: Start) -> Self {
        Assignment {
            slots: Vec::new(),
            pending: VecDeque::new(),
            pasts: HashMap::new(),
            start,
            retry: None,
            owner: Owner::new(),
        }
    }

    /// The slots of these partitions.
    fn of<'a>(&'a mut self, partitions: &'a [u32]) -> impl Iterator<Item = &'a mut Slot> {
        self.slots.iter_mut().filter(|slot| partitions.contains(&slot.number))
    }

    /// Where a partition begins that becomes ours, and what of it this session has done already.
    fn go_on(&mut self, number: u32, committed: Mark) -> (Mark, Past) {
        let past = self.pasts.remove(&number);
        let ours = past.and_then(|past| past.resume(committed, self.owner).map(|mark| (mark, past)));
        ours.unwrap_or((committed, Past::default()))
    }
}

fn numbers(partitions: &TopicPartitionList) -> Vec<u32> {
    partitions.elements().iter().map(|e| e.partition().max(0) as u32).collect()
}

impl Loop {
    /// Moves the oldest rebalance on; the next one waits for its answer.
    pub(crate) fn rebalance(&mut self) {
        while let Some(pending) = self.assignment.pending.pop_front() {
            let left = match pending {
                Pending::Assign(partitions) => self.take_over(partitions),
                Pending::Revoke(partitions, stage) => self.let_go(partitions, stage),
            };
            if let Some(left) = left {
                self.assignment.pending.push_front(left);
                return;
            }
        }
    }

    /// When a rebalance moves on by itself.
    pub(crate) fn rebalance_due(&self) -> Option<Instant> {
        match self.assignment.pending.front()? {
            Pending::Assign(_) => self.assignment.retry,
            Pending::Revoke(_, Stage::New) => None,
            Pending::Revoke(partitions, _) if self.is_frozen(&numbers(partitions)) => None,
            Pending::Revoke(_, Stage::Draining(until) | Stage::Committing(until)) => Some(*until),
        }
    }

    fn is_frozen(&self, partitions: &[u32]) -> bool {
        self.assignment.slots.iter().any(|slot| slot.is_frozen() && partitions.contains(&slot.number))
    }

    /// Whether a rebalance waits for the application to settle.
    pub(crate) fn is_draining(&self) -> bool {
        matches!(self.assignment.pending.front(), Some(Pending::Revoke(_, Stage::Draining(_))))
    }

    fn take_over(&mut self, partitions: TopicPartitionList) -> Option<Pending> {
        if self.assignment.retry.is_some_and(|retry| Instant::now() < retry) {
            return Some(Pending::Assign(partitions));
        }
        self.assignment.retry = None;
        match self.try_take_over(&partitions) {
            Ok(()) => None,
            Err(error) => {
                tracing::debug!(%error, "partitions could not be taken over yet");
                self.assignment.retry = Some(Instant::now() + RETRY);
                Some(Pending::Assign(partitions))
            }
        }
    }

    fn try_take_over(&mut self, partitions: &TopicPartitionList) -> Result<()> {
        let mut marks = Vec::new();
        if partitions.count() > 0 {
            let of = |e| error::of("consume", e);
            let committed = self.consumer.committed_offsets(partitions.clone(), SLICE).map_err(of)?;
            for element in committed.elements() {
                element.error().map_err(of)?;
                marks.push(self.begin(&element)?);
            }
        }
        let topic = self.session.subscription().topic.clone();
        let mut assigned = TopicPartitionList::with_capacity(marks.len());
        for (number, committed) in marks {
            let (mark, past) = self.assignment.go_on(number, committed);
            let offset = Offset::Offset(mark.offset as i64);
            let listed = assigned.add_partition_offset(topic.as_str(), number as i32, offset);
            listed.map_err(|e| error::of("consume", e))?;
            // An old one of the number takes its callback back.
            self.assignment.slots.retain(|slot| slot.number != number);
            let Some(queue) = Queue::split(&self.consumer, topic.as_str(), number) else { continue };
            let mut slot = Slot::new(number, queue, mark, past, self.assignment.owner, &self.session);
            let session = Arc::downgrade(&self.session);
            slot.wake_by(move || {
                // Who begins to wait after this looks by itself; who waits takes the records out, without the loop.
                if let Some(session) = session.upgrade().filter(|session| session.is_awaited()) {
                    session.announce();
                }
            });
            self.assignment.slots.push(slot);
        }
        if partitions.count() > 0 {
            self.assignment.start = Start::Resume;
        }
        if let Err(error) = rebalance::assign(&self.consumer, &assigned) {
            // The assignment is being lost; what follows is its revocation.
            tracing::debug!(%error, "an assignment could not be taken");
        }
        Ok(())
    }

    /// Where a partition begins.
    fn begin(&self, committed: &TopicPartitionListElem<'_>) -> Result<(u32, Mark)> {
        let number = committed.partition().max(0) as u32;
        let subscription = self.session.subscription();
        let watermarks = || {
            let timeout = self.config.request_timeout.min(SLICE);
            let topic = subscription.topic.as_str();
            self.consumer
                .fetch_watermarks(topic, number as i32, timeout)
                .map(|(low, high)| (low.max(0) as u64, high.max(0) as u64))
                .map_err(|e| error::of("consume", e))
        };
        let at = |offset| Mark { offset, attempts: 0, seen: 0, open: None };
        let group = match committed.offset() {
            Offset::Offset(offset) => Some(offset.max(0) as u64),
            _ => None,
        };
        match (&self.assignment.start, group) {
            (Start::Resume, Some(offset)) => {
                // The client library panics at metadata that is not UTF-8; that is somebody else's.
                let read = AssertUnwindSafe(|| Mark::read(committed.metadata(), offset));
                let mark = catch_unwind(read).ok().flatten();
                Ok((number, mark.unwrap_or(at(offset))))
            }
            (Start::Resume, None) | (Start::Earliest, _) => Ok((number, at(watermarks()?.0))),
            (Start::Latest(ends), _) => match ends.get(&number) {
                Some(end) => Ok((number, at(*end))),
                // A partition that was added since the consumer was opened is new altogether.
                None => Ok((number, at(watermarks()?.0))),
            },
        }
    }

    fn let_go(&mut self, partitions: TopicPartitionList, stage: Stage) -> Option<Pending> {
        let numbers = numbers(&partitions);
        let now = Instant::now();
        if self.consumer.assignment_lost() {
            self.forget(&partitions, &numbers);
            return None;
        }
        let session = self.session.clone();
        match stage {
            Stage::New => {
                self.assignment.of(&numbers).for_each(|slot| slot.drain(&session));
                let until = now + self.session.subscription().drain;
                self.let_go(partitions, Stage::Draining(until))
            }
            Stage::Draining(until) => {
                let drained = numbers.iter().all(|number| self.session.is_drained(*number));
                // What a transaction is committing is let go when the outcome is known.
                if self.is_frozen(&numbers) || (!drained && now < until) {
                    return Some(Pending::Revoke(partitions, stage));
                }
                self.assignment.of(&numbers).for_each(|slot| slot.end(&session));
                self.let_go(partitions, Stage::Committing(now + LAST_COMMIT))
            }
            Stage::Committing(until) => {
                let committed = self.assignment.of(&numbers).all(|slot| slot.has_ended());
                if !committed && now < until {
                    return Some(Pending::Revoke(partitions, stage));
                }
                self.forget(&partitions, &numbers);
                None
            }
        }
    }

    fn forget(&mut self, partitions: &TopicPartitionList, numbers: &[u32]) {
        self.end_flushes(numbers);
        let gone = self.assignment.slots.extract_if(.., |slot| numbers.contains(&slot.number));
        let pasts = gone.map(|slot| (slot.number, slot.into_past(&self.session)));
        self.assignment.pasts.extend(pasts);
        if let Err(error) = rebalance::unassign(&self.consumer, partitions) {
            tracing::debug!(%error, "a revocation could not be answered");
        }
    }

    /// Answers what waits, when nobody acts on it any more.
    pub(crate) fn answer_pending(&mut self) {
        for pending in std::mem::take(&mut self.assignment.pending) {
            let answered = match &pending {
                Pending::Assign(partitions) => rebalance::assign(&self.consumer, partitions),
                Pending::Revoke(partitions, _) => rebalance::unassign(&self.consumer, partitions),
            };
            if let Err(error) = answered {
                tracing::debug!(%error, "a rebalance could not be answered while leaving");
            }
        }
    }
}
