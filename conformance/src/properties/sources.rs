//! From which groups a dead letter may have come.

use super::fate::reached;
use super::holds;
use crate::history::{At, Delivery, GroupId, History, MessageId, Outcome, SettleVerdict};

/// Says which groups may have dead-lettered a message.
#[derive(Debug)]
pub(crate) struct Sources<'a> {
    history: &'a History,
    limit: u64,
    /// When the sessions of each group ended.
    ends: Vec<(GroupId, At)>,
}

impl<'a> Sources<'a> {
    pub(crate) fn new(history: &'a History, limit: u64) -> Self {
        let ends = history.all_sessions().iter().filter_map(|it| Some((it.group, it.closed?.0)));
        let mut ends: Vec<_> = ends.collect();
        ends.sort_unstable();
        Self { history, limit, ends }
    }

    /// Of these groups, how many may have dead-lettered a message before an event.
    pub(crate) fn count(&self, message: MessageId, groups: &[GroupId], dead: At) -> usize {
        groups.iter().filter(|group| self.explains(message, **group, dead)).count()
    }

    /// Whether a group was asked to dead-letter a message, or tried it often enough without acknowledging it: attempts
    /// that nobody saw included, which the end of a session or a fault may hide.
    fn explains(&self, message: MessageId, group: GroupId, dead: At) -> bool {
        let all = self.history.deliveries_to(message, group);
        let seen = &all[..all.partition_point(|id| self.history.delivery(*id).at < dead)];
        let published = self.history.message(message).publish.unwrap_or(dead);
        let Some(last) = seen.last().map(|id| self.history.delivery(*id)) else {
            return self.hidden(group, published, dead) >= self.limit;
        };
        if seen.iter().any(|id| asked(self.history.delivery(*id), dead)) {
            return true;
        }
        let counted = last.attempt > 0;
        let missing = self.limit.saturating_sub(reached(self.history, seen));
        !self.acknowledged(last, dead)
            && (missing == 0
                || self.hidden(group, last.at, dead) > 0
                || !counted && self.hidden(group, published, dead) >= missing)
    }

    /// Whether a delivery was acknowledged in time, and that was confirmed.
    fn acknowledged(&self, delivery: &Delivery, dead: At) -> bool {
        let lapsed = self.history.lease().map(|lease| holds::lapse(self.history, delivery, lease));
        delivery.verdict == Some(SettleVerdict::Ack)
            && delivery.outcome == Some(Outcome::Ok)
            && delivery.settled < Some(dead)
            && lapsed.is_none_or(|lapsed| delivery.settle < Some(lapsed))
    }

    /// How many attempts may be hidden between two events, each by the end of a session of the group or by a fault.
    fn hidden(&self, group: GroupId, after: At, before: At) -> u64 {
        let until = self.ends.partition_point(|end| *end < (group, before));
        let from = self.ends.partition_point(|end| *end <= (group, after));
        let faults = self.history.faults();
        let faults = faults
            .partition_point(|fault| fault.at < before)
            .saturating_sub(faults.partition_point(|fault| fault.at <= after));
        (until.saturating_sub(from) + faults) as u64
    }
}

/// Whether a delivery's settlement asked to dead-letter it.
fn asked(delivery: &Delivery, dead: At) -> bool {
    delivery.was(SettleVerdict::DeadLetter) && delivery.settle < Some(dead)
}
