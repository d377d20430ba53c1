//! P10, delivery limit and dead letter: a message is tried so often, and then put where it was promised to go.
//!
//! - A broker record is delivered to a group at most `limit` times; deliveries that ended in `release`, or in a
//!   transaction that is not known to be committed, don't count.
//! - A group gives m up when its count of deliveries, or an `attempt`, reached `limit` and the last delivery was nacked
//!   ok, or when a `dead_letter` settlement came back ok. With `at_least_once` m then reaches the dead letter topic: it
//!   is missing once every group of the file was drained since.
//! - With `at_most_once` there is one position of m in the dead letter topic for each group that may have put it there
//!   (without positions: no further delivery of it without a cause).
//! - Nothing else is in the dead letter topic: some group was asked to dead-letter m; or m reached the limit there and
//!   was not acknowledged; or a session end or fault after its last delivery there hides a last attempt; or, where the
//!   broker's count (`attempt`) is not known, there were as many of them since the publish as attempts are missing.
//!
//! An opportunity is a message that reached the limit or the dead letter topic. Inconclusive if a message is missing
//! from the dead letter topic and some group was not drained since. Source: guarantees §9, P10.

use super::causes::Causes;
use super::evidence::{Evidence, in_group, violation};
use super::fate::{Fate, reached};
use super::sources::Sources;
use crate::history::{
    At, DeadLetterPromise, Delivery, DeliveryId, DeliveryLimit, GroupId, History, MessageId, Outcome,
    SettleVerdict,
};

pub(crate) fn check(history: &History, promise: DeliveryLimit) -> Evidence {
    let drained = history.all_groups().map(|(_, group)| group.drained).min().flatten();
    let (causes, fate) = (Causes::new(history), Fate::new(history));
    let sources = Sources::new(history, promise.limit);
    let limits = Limits { history, promise, causes, fate, sources, drained };
    let mut evidence = Evidence::default();
    history.for_each_record(|message, group, record| limits.too_often(&mut evidence, message, group, record));
    for (id, ..) in history.published() {
        limits.message(&mut evidence, id);
    }
    evidence
}

struct Limits<'a> {
    history: &'a History,
    promise: DeliveryLimit,
    causes: Causes<'a>,
    fate: Fate<'a>,
    sources: Sources<'a>,
    /// Since when every group is drained.
    drained: Option<At>,
}

impl Limits<'_> {
    fn too_often(&self, evidence: &mut Evidence, message: MessageId, group: GroupId, record: &[DeliveryId]) {
        let counted = |id: &&DeliveryId| !self.history.was_released(self.history.delivery(**id));
        let count = record.iter().filter(counted).count();
        if count as u64 > self.promise.limit {
            evidence.violation(|| {
                let (name, place) = (self.history.message_id(message), in_group(self.history, group));
                let explanation =
                    format!("{name} was delivered {count} times{place}, more than {}", self.promise.limit);
                let last = record[record.len() - 2..].iter().map(|id| Some(self.history.delivery(*id).at));
                violation(self.history, &[message], &last.collect::<Vec<_>>(), explanation)
            });
        }
    }

    fn message(&self, evidence: &mut Evidence, id: MessageId) {
        let (dead, tried): (Vec<_>, Vec<_>) =
            self.history.deliveries_of(id).iter().partition(|id| self.history.delivery(**id).dead_letter);
        let group = |id: &DeliveryId| self.history.group_of(self.history.delivery(*id));
        let groups: Vec<_> = tried.chunk_by(|one, other| group(one) == group(other)).collect();
        let at_limit = groups.iter().any(|run| reached(self.history, run) >= self.promise.limit);
        if at_limit || !dead.is_empty() {
            evidence.opportunity();
        }
        let given_up = groups.iter().filter_map(|run| self.given_up(run)).min();
        match (dead.iter().min(), given_up) {
            (Some(first), _) => self.dead_letters(evidence, (id, *first), &dead, &groups),
            (None, Some(since)) if self.promise.dead_letter == DeadLetterPromise::AtLeastOnce => {
                self.missing(evidence, id, since);
            }
            _ => {}
        }
    }

    /// Since when a group has given a message up, by its deliveries to it.
    fn given_up(&self, run: &[DeliveryId]) -> Option<At> {
        let mut deliveries = run.iter().map(|id| self.history.delivery(*id));
        let ended = |delivery: &Delivery, verdict| {
            delivery.verdict == Some(verdict) && delivery.outcome == Some(Outcome::Ok)
        };
        let dead_lettered = deliveries.clone().find(|it| ended(it, SettleVerdict::DeadLetter));
        let at_limit = reached(self.history, run) >= self.promise.limit;
        let exhausted = deliveries.next_back().filter(|last| at_limit && ended(last, SettleVerdict::Nack));
        dead_lettered.or(exhausted).and_then(|delivery| delivery.settled)
    }

    fn missing(&self, evidence: &mut Evidence, id: MessageId, since: At) {
        if self.history.message(id).evicted {
            return;
        }
        let name = self.history.message_id(id);
        match self.drained.filter(|drained| *drained > since) {
            None => evidence.inconclusive(|| {
                format!("{name} was given up but not dead-lettered, and not every group was drained since")
            }),
            Some(drained) => evidence.violation(|| {
                let explanation = format!("{name} was given up but never reached the dead letter topic");
                let publish = self.history.message(id).publish;
                violation(self.history, &[id], &[publish, Some(since), Some(drained)], explanation)
            }),
        }
    }

    /// Checks the dead letters of a message, the first of which is `first`.
    fn dead_letters(
        &self,
        evidence: &mut Evidence,
        (id, first): (MessageId, DeliveryId),
        dead: &[DeliveryId],
        groups: &[&[DeliveryId]],
    ) {
        let at = self.history.delivery(first).at;
        if self.sources(id, at) == 0 {
            return evidence.violation(|| self.early(id, at, groups));
        }
        let twice = self.promise.dead_letter == DeadLetterPromise::AtMostOnce;
        if let Some(second) = self.extra(id, dead).filter(|_| twice) {
            evidence.violation(|| {
                let explanation = format!("{} was dead-lettered twice", self.history.message_id(id));
                let events = [Some(at), Some(self.history.delivery(second).at)];
                violation(self.history, &[id], &events, explanation)
            });
        }
    }

    /// From how many groups a dead letter may have come by then.
    fn sources(&self, id: MessageId, dead: At) -> usize {
        self.sources.count(id, self.fate.groups(self.history.message(id).topic), dead)
    }

    fn early(&self, id: MessageId, dead: At, groups: &[&[DeliveryId]]) -> super::report::Violation {
        let seen = groups.iter().flat_map(|run| run.iter().map(|id| self.history.delivery(*id)));
        let seen: Vec<_> = seen.filter(|delivery| delivery.at < dead).collect();
        let name = self.history.message_id(id);
        let explanation = match seen.last() {
            None => format!("{name} was dead-lettered without having been delivered"),
            Some(last) if last.was(SettleVerdict::Ack) => {
                format!("{name} was acknowledged and yet dead-lettered")
            }
            Some(_) => {
                format!("{name} was dead-lettered after {} of {} deliveries", seen.len(), self.promise.limit)
            }
        };
        let last = seen.last().map_or([None; 3], |last| [Some(last.at), last.settle, last.settled]);
        let last = last.map(|at| at.filter(|at| *at < dead));
        let events = [self.history.message(id).publish, last[0], last[1], last[2], Some(dead)];
        violation(self.history, &[id], &events, explanation)
    }

    /// The first dead letter beyond one for each of the groups that it may come from.
    fn extra(&self, message: MessageId, dead: &[DeliveryId]) -> Option<DeliveryId> {
        let mut records: Vec<DeliveryId> = Vec::new();
        let mut sources = 0;
        for (i, id) in dead.iter().enumerate() {
            let before = i.checked_sub(1).map(|before| dead[before]);
            if self.is_new(&records, before, *id) {
                records.push(*id);
                sources = self.sources(message, self.history.delivery(*id).at).max(sources);
            }
            if records.len() > sources {
                return Some(*id);
            }
        }
        None
    }

    /// Whether a dead letter is none of these records, given the one before it: at another position, or, without
    /// positions, in the same group without a cause.
    fn is_new(&self, records: &[DeliveryId], before: Option<DeliveryId>, id: DeliveryId) -> bool {
        let delivery = self.history.delivery(id);
        let group = self.history.group_of(delivery);
        if let Some(position) = delivery.position() {
            return records.iter().all(|other| self.history.delivery(*other).position() != Some(position));
        }
        let before = before.map(|before| self.history.delivery(before));
        match before.filter(|before| self.history.group_of(before) == group) {
            Some(before) => !self.causes.between(before, delivery),
            None => records.is_empty(),
        }
    }
}
