//! Commits: one at a time, each a whole picture of what is done, confirmed by the broker's answer.

use std::time::{Duration, Instant};

use anybroker_core::{Error, Kind, Result, Topic};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::oneshot;

use crate::attempts::Mark;
use crate::committer::Committer;
use crate::enlist::Enlist;
use crate::fetch::Loop;

/// How long to wait after a commit that failed.
const PAUSE: Duration = Duration::from_millis(100);

/// How long to rest where a commit is awaited.
const SOON: Duration = Duration::from_millis(1);

/// The commit under way, and who waits for one.
pub(crate) struct Commits {
    committer: Committer,
    flying: Option<Vec<(u32, Mark)>>,
    last: Option<Instant>,
    /// After a failure the next one is not sent before this.
    pause: Option<Instant>,
    hurry: bool,
    flushes: Vec<Flush>,
    /// The last one failed: it may still reach the broker.
    doubtful: bool,
    /// Transactions that wait for the commit under way.
    pub(crate) enlisting: Vec<Enlist>,
}

/// Somebody waits for these offsets to be committed.
struct Flush {
    targets: Vec<(u32, u64)>,
    answer: oneshot::Sender<Result<()>>,
}

impl Commits {
    pub(crate) fn new(committer: Committer) -> Self {
        Commits {
            committer,
            flying: None,
            last: None,
            pause: None,
            hurry: false,
            flushes: Vec::new(),
            doubtful: false,
            enlisting: Vec::new(),
        }
    }

    /// Ends the thread that commits.
    pub(crate) fn stop(self, deadline: Duration) {
        self.committer.stop(deadline);
    }

    /// Whether a commit is under way, or has failed in a way that it may still reach the broker.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.flying.is_some() || self.doubtful
    }

    /// Commits at the next opportunity.
    pub(crate) fn hurry(&mut self) {
        self.hurry = true;
    }
}

/// The marks as librdkafka takes them.
pub(crate) fn list(topic: &Topic, marks: &[(u32, Mark)]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(marks.len());
    for (number, mark) in marks {
        let mut element = list.add_partition(topic.as_str(), *number as i32);
        element.set_metadata(mark.to_string());
        if let Err(error) = element.set_offset(Offset::Offset(mark.offset as i64)) {
            tracing::debug!(%error, "an offset cannot be expressed");
        }
    }
    list
}

/// When to look for something to commit: an interval after the last commit, and where there was nothing by then, an
/// interval from now on. Soon where somebody waits for it.
fn due(now: Instant, last: Instant, interval: Duration, urgent: bool) -> Instant {
    let due = last + interval;
    match (urgent, due > now) {
        (true, _) => now + SOON,
        (false, true) => due.max(now + SOON),
        (false, false) => now + interval.max(SOON),
    }
}

impl Loop {
    fn dirty(&self) -> Vec<(u32, Mark)> {
        let slots = self.assignment.slots.iter().filter(|slot| !slot.is_frozen());
        let wanted = slots.map(|slot| (slot, slot.wanted(&self.session)));
        let dirty = wanted.filter(|(slot, mark)| slot.confirmed != Some(*mark));
        dirty.map(|(slot, mark)| (slot.number, mark)).collect()
    }

    /// Whether everything that is done is committed; what a transaction has is its own affair.
    pub(crate) fn is_committed(&self) -> bool {
        let mut slots = self.assignment.slots.iter().filter(|slot| !slot.is_frozen());
        slots.all(|slot| slot.confirmed.is_some_and(|c| c.offset == slot.wanted(&self.session).offset))
    }

    fn is_urgent(&self) -> bool {
        let urgent = self.assignment.slots.iter().any(|slot| slot.is_urgent());
        let awaited = self.commits.doubtful && !self.commits.enlisting.is_empty();
        urgent || awaited || self.commits.hurry || !self.commits.flushes.is_empty()
    }

    /// When to look next whether there is something to commit.
    pub(crate) fn commit_due(&self, now: Instant) -> Option<Instant> {
        if self.commits.flying.is_some() {
            return None;
        }
        let due = due(now, self.commits.last?, self.config.commit_interval, self.is_urgent());
        Some(self.commits.pause.map_or(due, |pause| due.max(pause)))
    }

    /// Sends a commit if one is due and there is something to commit.
    pub(crate) fn commit(&mut self) {
        if let Some(outcome) = self.commits.committer.outcome() {
            self.committed(outcome);
        }
        self.enlist();
        let now = Instant::now();
        if self.commits.flying.is_some() {
            return;
        }
        let due = self.commits.last.is_none_or(|last| now >= last + self.config.commit_interval);
        let paused = self.commits.pause.is_some_and(|pause| now < pause);
        if paused || (!due && !self.is_urgent()) {
            return;
        }
        let marks = self.dirty();
        if marks.is_empty() {
            // What failed has gone with its partitions.
            self.commits.doubtful = false;
            return;
        }
        self.commits.last = Some(now);
        self.commits.hurry = false;
        let list = list(&self.session.subscription().topic, &marks);
        if self.commits.committer.commit(list) {
            self.commits.flying = Some(marks);
        }
    }

    /// The answer to the commit under way.
    fn committed(&mut self, outcome: KafkaResult<()>) {
        let marks = self.commits.flying.take().unwrap_or_default();
        self.commits.doubtful = outcome.is_err();
        if let Err(error) = outcome {
            tracing::debug!(%error, "a commit failed; it is tried again");
            self.commits.pause = Some(Instant::now() + PAUSE);
            return;
        }
        let mut begun = false;
        for (number, mark) in marks {
            if let Some(slot) = self.assignment.slots.iter_mut().find(|slot| slot.number == number) {
                begun |= slot.confirmed.is_none();
                slot.confirmed = Some(mark);
            }
        }
        if begun {
            // What came before is taken in the next turn, at once: of it no callback tells.
            self.wake.wake();
        }
        self.answer_flushes();
    }

    /// Somebody waits for what is done by now to be committed.
    pub(crate) fn flush(&mut self, answer: oneshot::Sender<Result<()>>) {
        let slots = self.assignment.slots.iter();
        let targets = slots.map(|slot| (slot.number, slot.wanted(&self.session).offset)).collect();
        self.commits.flushes.push(Flush { targets, answer });
        self.answer_flushes();
    }

    fn answer_flushes(&mut self) {
        let slots = &self.assignment.slots;
        let confirmed = |(number, target): &(u32, u64)| {
            let slot = slots.iter().find(|slot| slot.number == *number);
            slot.is_none_or(|slot| slot.confirmed.is_some_and(|mark| mark.offset >= *target))
        };
        let done = self.commits.flushes.extract_if(.., |flush| flush.targets.iter().all(confirmed));
        done.for_each(|flush| drop(flush.answer.send(Ok(()))));
    }

    /// The partitions go. Who waits for a commit of theirs learns whether there was one.
    pub(crate) fn end_flushes(&mut self, partitions: &[u32]) {
        self.answer_flushes();
        let gone = |flush: &mut Flush| flush.targets.iter().any(|(number, _)| partitions.contains(number));
        for flush in self.commits.flushes.extract_if(.., gone) {
            let text =
                "a partition was taken away before its acknowledgements were committed; they may come again";
            let _ = flush.answer.send(Err(Error::new(Kind::Fenced, "settle: flush", text)));
        }
    }

    /// The consumer goes.
    pub(crate) fn end_all_flushes(&mut self) {
        self.answer_flushes();
        for flush in std::mem::take(&mut self.commits.flushes) {
            let text = "the consumer was closed before its acknowledgements were committed";
            let _ = flush.answer.send(Err(Error::new(Kind::Closed, "settle: flush", text)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_with_nothing_to_commit_rests_for_an_interval() {
        let (last, millis) = (Instant::now(), Duration::from_millis);
        let rest =
            |after, urgent| due(last + millis(after), last, millis(100), urgent) - (last + millis(after));
        assert_eq!([rest(30, false), rest(100, false), rest(5_000, false)], [70, 100, 100].map(millis));
        assert_eq!([rest(30, true), rest(5_000, true)], [SOON; 2]);
        assert_eq!(due(last, last, Duration::ZERO, false) - last, SOON, "it never spins");
    }
}
