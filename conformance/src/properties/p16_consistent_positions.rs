//! P16, consistent positions: a position is one message, and reading goes forward.
//!
//! - All reads of one position of a topic are of one message. A receipt of outcome ok without `duplicate` is a read.
//! - Within a session and partition, the position goes back (or stays) only to a message that was delivered to the
//!   group before, with one of P6's causes in between; or to one that is marked as a redelivery; or after an assignment,
//!   a revocation, a nack or release, or a fault since the session was last there or before.
//!
//! The dead letter topic is a topic of its own. An opportunity is a further read of a position, or a further delivery
//! to a session from a partition. Applies to logs; never inconclusive. Source: guarantees §9, P16.

use super::causes::Causes;
use super::evidence::{Evidence, violation};
use crate::history::{
    At, Delivery, DeliveryId, History, MessageId, Name, Outcome, Position, SessionId, SettleVerdict,
};

pub(crate) fn check(history: &History) -> Evidence {
    let mut evidence = Evidence::default();
    one_message_a_position(history, &mut evidence);
    forward(history, &mut evidence);
    evidence
}

/// A read: topic, dead letter or not, position, event and message.
type Read = (Name, bool, Position, At, MessageId);

fn one_message_a_position(history: &History, evidence: &mut Evidence) {
    let mut reads = reads(history);
    reads.sort_unstable();
    for run in reads.chunk_by(|one, other| (one.0, one.1, one.2) == (other.0, other.1, other.2)) {
        evidence.opportunities(run.len() as u64 - 1);
        let (_, _, position, at, message) = run[0];
        let mut others: Vec<_> = run.iter().filter(|read| read.4 != message).collect();
        others.sort_unstable_by_key(|read| (read.4, read.3));
        others.dedup_by_key(|read| read.4);
        for other in others {
            evidence.violation(|| {
                let (one, two) = (history.message_id(message), history.message_id(other.4));
                let explanation =
                    format!("{one} and {two} are both at {}:{}", position.partition, position.offset);
                violation(history, &[message, other.4], &[Some(at), Some(other.3)], explanation)
            });
        }
    }
}

fn reads(history: &History) -> Vec<Read> {
    let receipts = history.published().filter_map(|(id, message, _)| {
        let stored = message.outcome == Some(Outcome::Ok) && !message.duplicate;
        let (position, at) = message.position().zip(message.published).filter(|_| stored)?;
        Some((message.topic, false, position, at, id))
    });
    let deliveries = history.all_deliveries().filter_map(|(_, delivery)| {
        let topic = history.group(history.group_of(delivery)).topic;
        Some((topic, delivery.dead_letter, delivery.position()?, delivery.at, delivery.message))
    });
    receipts.chain(deliveries).collect()
}

fn forward(history: &History, evidence: &mut Evidence) {
    let deliveries = history.all_deliveries().filter_map(|(id, delivery)| {
        Some((delivery.session, delivery.dead_letter, delivery.position()?.partition, id))
    });
    let mut deliveries: Vec<_> = deliveries.collect();
    deliveries.sort_unstable();
    let excuses = Excuses::new(history);
    for run in deliveries.chunk_by(|one, other| (one.0, one.1, one.2) == (other.0, other.1, other.2)) {
        let run: Vec<_> = run.iter().map(|(.., id)| *id).collect();
        evidence.opportunities(run.len() as u64 - 1);
        one_way(history, evidence, &excuses, &run);
    }
}

/// Deliveries to one session from one partition.
fn one_way(history: &History, evidence: &mut Evidence, excuses: &Excuses<'_>, run: &[DeliveryId]) {
    let offset = |delivery: &Delivery| delivery.position().map_or(0, |position| position.offset);
    let mut rising: Vec<(u64, At)> = Vec::new();
    let mut before: Option<&Delivery> = None;
    for id in run {
        let delivery = history.delivery(*id);
        let here = offset(delivery);
        while rising.pop_if(|(offset, _)| *offset > here).is_some() {}
        let passed = rising.last().map_or(history.delivery(run[0]).at, |(_, at)| *at);
        rising.push((here, delivery.at));
        if let Some(before) = before.filter(|before| goes_back(before, delivery))
            && !excuses.any(*id, passed)
        {
            evidence.violation(|| {
                let (name, other) =
                    (history.message_id(delivery.message), history.message_id(before.message));
                let explanation =
                    format!("{name} at offset {here} was delivered after {other} at {}", offset(before));
                let events = [Some(before.at), Some(delivery.at)];
                violation(history, &[before.message, delivery.message], &events, explanation)
            });
        }
        before = Some(delivery);
    }
}

/// Whether a delivery's position is not past that of the delivery before. Two messages at one position are told
/// elsewhere.
fn goes_back(before: &Delivery, delivery: &Delivery) -> bool {
    let same = before.position() == delivery.position();
    before.position() > delivery.position() || same && before.message == delivery.message
}

/// What lets a session go back.
struct Excuses<'a> {
    history: &'a History,
    causes: Causes<'a>,
    /// Nacks and releases in each session.
    returns: Vec<(SessionId, At)>,
}

impl<'a> Excuses<'a> {
    fn new(history: &'a History) -> Self {
        let returned =
            |delivery: &Delivery| delivery.was(SettleVerdict::Nack) || delivery.was(SettleVerdict::Release);
        let returns = history.all_deliveries().filter(|(_, delivery)| returned(delivery));
        let returns = returns.filter_map(|(_, delivery)| Some((delivery.session, delivery.settle?)));
        let mut returns: Vec<_> = returns.collect();
        returns.sort_unstable();
        Self { history, causes: Causes::new(history), returns }
    }

    /// Whether a session that passed a position after the event `passed` may go back for this delivery.
    fn any(&self, id: DeliveryId, passed: At) -> bool {
        let delivery = self.history.delivery(id);
        let (session, at) = (delivery.session, delivery.at);
        delivery.marked()
            || self.history.rebalanced_between(session, passed, at)
            || self.history.fault_between(passed, at)
            || self.returned_between(session, passed, at)
            || self.history.delivered_before(id).is_some_and(|before| self.causes.between(before, delivery))
    }

    fn returned_between(&self, session: SessionId, after: At, before: At) -> bool {
        let next = self.returns.partition_point(|each| *each <= (session, after));
        self.returns.get(next).is_some_and(|each| *each < (session, before))
    }
}
