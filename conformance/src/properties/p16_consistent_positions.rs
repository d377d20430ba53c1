//! P16, consistent positions: a position is one message, and reading goes forward.
//!
//! - All reads of one position of a topic are of one message. A receipt of outcome ok without `duplicate` is a read.
//! - Within a session and partition, the position goes back (or stays) only to a message that was delivered to the
//!   group before, with one of P6's causes in between; or to one that is marked as a redelivery; or after an assignment,
//!   a revocation, a nack or release, or a fault since the session was last there or before. Not where several consumers
//!   share a partition, whose messages are dealt out.
//!
//! The dead letter topic is a topic of its own. An opportunity is a further read of a position, or a further delivery
//! to a session from a partition. Applies to logs; never inconclusive. Source: guarantees §9, P16.

use super::causes::Causes;
use super::evidence::{Evidence, violation};
use crate::history::{
    At, Delivery, DeliveryId, History, MessageId, Name, Outcome, Position, Positions, SessionId,
    SettleVerdict,
};

pub(crate) fn check(history: &History, given: Positions) -> Evidence {
    let mut evidence = Evidence::default();
    one_message_a_position(history, &mut evidence);
    if !given.shared {
        forward(history, &mut evidence);
    }
    evidence
}

/// What says that a message is at a position: its receipt or a delivery.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Read {
    Receipt(MessageId),
    Delivery(DeliveryId),
}

/// A read in full: topic, dead letter or not, position, message and event.
type Place = (Name, bool, Position, MessageId, At);

fn one_message_a_position(history: &History, evidence: &mut Evidence) {
    let mut reads: Vec<_> = reads(history).collect();
    reads.sort_unstable_by_key(|read| place(history, *read));
    let position = |read: &Read| place(history, *read).map(|place| (place.0, place.1, place.2));
    for run in reads.chunk_by(|one, other| position(one) == position(other)) {
        evidence.opportunities(run.len() as u64 - 1);
        let mut places = run.iter().filter_map(|read| place(history, *read));
        let Some((_, _, position, first, at)) = places.next() else { continue };
        let mut before = first;
        for (_, _, _, message, other_at) in places {
            if message != before {
                evidence.violation(|| {
                    let (one, two) = (history.message_id(first), history.message_id(message));
                    let explanation =
                        format!("{one} and {two} are both at {}:{}", position.partition, position.offset);
                    violation(history, &[first, message], &[Some(at), Some(other_at)], explanation)
                });
            }
            before = message;
        }
    }
}

fn reads(history: &History) -> impl Iterator<Item = Read> {
    let receipts = history.published().map(|(id, ..)| Read::Receipt(id));
    let deliveries = history.all_deliveries().map(|(id, _)| Read::Delivery(id));
    receipts.chain(deliveries).filter(|read| place(history, *read).is_some())
}

/// The place that a read is of, unless it has no position or is the receipt of a duplicate.
fn place(history: &History, read: Read) -> Option<Place> {
    match read {
        Read::Receipt(id) => {
            let message = history.message(id);
            let stored = message.outcome == Some(Outcome::Ok) && !message.duplicate;
            let (position, at) = message.position().zip(message.published).filter(|_| stored)?;
            Some((message.topic, false, position, id, at))
        }
        Read::Delivery(id) => {
            let delivery = history.delivery(id);
            let topic = history.group(history.group_of(delivery)).topic;
            Some((topic, delivery.dead_letter, delivery.position()?, delivery.message, delivery.at))
        }
    }
}

fn forward(history: &History, evidence: &mut Evidence) {
    let placed = |(id, delivery): (DeliveryId, &Delivery)| delivery.position().map(|_| id);
    let mut deliveries: Vec<_> = history.all_deliveries().filter_map(placed).collect();
    let line = |id: &DeliveryId| {
        let delivery = history.delivery(*id);
        (delivery.session, delivery.dead_letter, delivery.position().map(|position| position.partition))
    };
    deliveries.sort_unstable_by_key(|id| (line(id), *id));
    let excuses = Excuses::new(history);
    for run in deliveries.chunk_by(|one, other| line(one) == line(other)) {
        evidence.opportunities(run.len() as u64 - 1);
        one_way(history, evidence, &excuses, run);
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
