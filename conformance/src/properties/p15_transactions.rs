//! P15, transactions are atomic: all of a transaction is visible, or nothing.
//!
//! For every transaction:
//! - none of its records is delivered before its `commit` was invoked, nor at all if it never was, or came back `failed`
//!   or was followed by an abort that came back ok;
//! - if it was committed, or any of its records was delivered, then all were by the drain of a group that they are owed
//!   to, also when its end is unknown; evicted and dead-lettered records, duplicates and those lost to a fault that they
//!   need not survive are exempt;
//! - a delivery that it acknowledged comes again (but to a session opened at the earliest since then) if and only if
//!   none of its records was delivered; checked at the drain, and only if it has records.
//!
//! An opportunity is a transaction with records. Inconclusive if a record, or a delivery that is to come again, is
//! missing and no group that should have got it was drained since. Applies where transactions are promised. Source:
//! guarantees §9, P15.

use super::evidence::{Evidence, violation};
use super::fate::Fate;
use crate::history::{
    At, Delivery, DeliveryId, History, MessageId, SettleVerdict, Start, Transaction, TransactionId,
};

pub(crate) fn check(history: &History) -> Evidence {
    let fate = Fate::new(history);
    let mut records: Vec<_> =
        history.published().filter_map(|(id, message, _)| Some((message.transaction?, id))).collect();
    records.sort_unstable();
    let mut inputs: Vec<_> = history.all_deliveries().filter_map(input).collect();
    inputs.sort_unstable();
    let mut evidence = Evidence::default();
    for run in records.chunk_by(|one, other| one.0 == other.0) {
        evidence.opportunity();
        let id = run[0].0;
        let inputs = of(&inputs, id);
        let atomic =
            Atomic::new(history, &fate, history.transaction(id), run.iter().map(|(_, id)| *id).collect());
        atomic.early(&mut evidence);
        atomic.partial(&mut evidence);
        for (_, input) in inputs {
            atomic.input(&mut evidence, *input);
        }
    }
    evidence
}

fn input((id, delivery): (DeliveryId, &Delivery)) -> Option<(TransactionId, DeliveryId)> {
    delivery.transaction.filter(|_| delivery.was(SettleVerdict::Ack)).map(|transaction| (transaction, id))
}

fn of(inputs: &[(TransactionId, DeliveryId)], id: TransactionId) -> &[(TransactionId, DeliveryId)] {
    let start = inputs.partition_point(|input| input.0 < id);
    let rest = &inputs[start..];
    &rest[..rest.partition_point(|input| input.0 == id)]
}

/// One transaction with its records.
struct Atomic<'a> {
    history: &'a History,
    fate: &'a Fate<'a>,
    transaction: &'a Transaction,
    records: Vec<MessageId>,
    /// The first delivery of any of its records.
    visible: Option<&'a Delivery>,
}

impl<'a> Atomic<'a> {
    fn new(
        history: &'a History,
        fate: &'a Fate<'a>,
        transaction: &'a Transaction,
        records: Vec<MessageId>,
    ) -> Self {
        let first = records.iter().filter_map(|id| history.deliveries_of(*id).iter().min()).min();
        Self { history, fate, transaction, records, visible: first.map(|id| history.delivery(*id)) }
    }

    fn name(&self) -> &'a str {
        self.history.name(self.transaction.id)
    }

    /// Records that were delivered although they were not, or not yet, committed.
    fn early(&self, evidence: &mut Evidence) {
        for id in &self.records {
            let Some(first) = self.history.deliveries_of(*id).iter().min() else { continue };
            let first = self.history.delivery(*first);
            let before = self.transaction.commit.is_some_and(|commit| first.at < commit);
            if before || self.transaction.not_committed() {
                evidence.violation(|| {
                    let word = if before { "before its commit" } else { "although it was not committed" };
                    let name = self.history.message_id(*id);
                    let explanation = format!("{name} of transaction {} was delivered {word}", self.name());
                    let Transaction { commit, abort, end, .. } = *self.transaction;
                    let publish = self.history.message(*id).publish;
                    let events = [publish, commit, abort, end, Some(first.at)];
                    violation(self.history, &[*id], &events, explanation)
                });
            }
        }
    }

    /// Records that are missing from a transaction of which others are visible.
    fn partial(&self, evidence: &mut Evidence) {
        let Some(commit) = self.transaction.commit.filter(|_| !self.transaction.not_committed()) else {
            return;
        };
        let committed = self.transaction.committed();
        if committed.is_none() && self.visible.is_none() {
            return;
        }
        let since =
            committed.unwrap_or(commit).max(self.visible.map_or(commit, |first| first.at).min(commit));
        for id in self.records.iter().filter(|id| self.missing(**id, committed.unwrap_or(commit))) {
            match self.drained_since(*id, since) {
                Drain::NoGroup => {}
                Drain::Not => evidence.inconclusive(|| {
                    let name = self.history.message_id(*id);
                    format!(
                        "{name} of transaction {} is missing, and no group was drained since",
                        self.name()
                    )
                }),
                Drain::At(drained) => evidence.violation(|| self.torn(*id, commit, drained)),
            }
        }
    }

    fn missing(&self, id: MessageId, since: At) -> bool {
        let message = self.history.message(id);
        let excused = message.evicted
            || message.duplicate
            || message.outcome == Some(crate::history::Outcome::Failed)
            || self.fate.died(id, since);
        !excused && self.history.deliveries_of(id).is_empty()
    }

    fn torn(&self, id: MessageId, commit: At, drained: At) -> super::report::Violation {
        let name = self.history.message_id(id);
        let other = self.visible.map(|delivery| delivery.message);
        let explanation = match other {
            Some(other) => {
                let other = self.history.message_id(other);
                format!("{name} of transaction {} was delivered to nobody, although {other} was", self.name())
            }
            None => format!("{name} of the committed transaction {} was delivered to nobody", self.name()),
        };
        let publish = self.history.message(id).publish;
        let visible = self.visible.map(|delivery| delivery.at);
        let events = [publish, Some(commit), self.transaction.end, visible, Some(drained)];
        let messages: Vec<_> = [Some(id), other].into_iter().flatten().collect();
        violation(self.history, &messages, &events, explanation)
    }

    /// Checks a delivery that was acknowledged in the transaction.
    fn input(&self, evidence: &mut Evidence, id: DeliveryId) {
        let input = self.history.delivery(id);
        let Some(settle) = input.settle else { return };
        let group = self.history.group_of(input);
        let deliveries = self.history.deliveries_to(input.message, group);
        let later = deliveries[deliveries.partition_point(|other| *other <= id)..].iter();
        let later = later.map(|id| self.history.delivery(*id));
        let mut later = later.filter(|it| it.position() == input.position());
        match self.visible {
            Some(output) => {
                let replayed = |it: &Delivery| {
                    let session = self.history.session(it.session);
                    session.start == Start::Earliest && session.opened > settle
                };
                if let Some(again) = later.find(|it| it.at > settle && !replayed(it)) {
                    evidence.violation(|| self.came_again(input, output, again));
                }
            }
            None if later.next().is_none() => self.to_come_again(evidence, input, settle),
            None => {}
        }
    }

    fn came_again(&self, input: &Delivery, output: &Delivery, again: &Delivery) -> super::report::Violation {
        let (name, output_name) =
            (self.history.message_id(input.message), self.history.message_id(output.message));
        let transaction = self.name();
        let explanation = format!(
            "{name}, settled in transaction {transaction}, came again although {output_name} is visible"
        );
        let events = [Some(input.at), input.settle, Some(output.at), Some(again.at)];
        violation(self.history, &[input.message, output.message], &events, explanation)
    }

    /// A delivery was acknowledged in a transaction of which nothing is visible, and has not come again.
    fn to_come_again(&self, evidence: &mut Evidence, input: &Delivery, settle: At) {
        if self.transaction.committed().is_some() || self.fate.removed(input.message) {
            return;
        }
        let closed = self.history.session(input.session).closed.map(|(at, _)| at);
        let ended = self.transaction.end.or(closed).map(|at| at.max(settle));
        let drained = self.history.group(self.history.group_of(input)).drained;
        let drained =
            drained.zip(ended).filter(|(drained, ended)| drained > ended).map(|(drained, _)| drained);
        let name = self.history.message_id(input.message);
        match drained.filter(|_| self.nothing_visible(settle)) {
            None => evidence.inconclusive(|| {
                format!("{name}, settled in transaction {}, has not come again, nor was it drained", self.name())
            }),
            Some(drained) => evidence.violation(|| {
                let transaction = self.name();
                let explanation =
                    format!("{name}, settled in transaction {transaction}, of which nothing is visible, never came again");
                let events = [Some(input.at), Some(settle), self.transaction.end, Some(drained)];
                violation(self.history, &[input.message], &events, explanation)
            }),
        }
    }

    /// Whether it is certain that none of the records will be delivered.
    fn nothing_visible(&self, settle: At) -> bool {
        let since = self.transaction.end.or(self.transaction.commit).unwrap_or(settle);
        let unseen = |id: &MessageId| matches!(self.drained_since(*id, since), Drain::At(_));
        self.transaction.not_committed() || self.records.iter().any(unseen)
    }

    /// Whether a group that a record is owed to was drained since an event.
    fn drained_since(&self, id: MessageId, since: At) -> Drain {
        let message = self.history.message(id);
        let owed = self.fate.groups(message.topic).iter().filter(|group| self.fate.owed(message, **group));
        let mut result = Drain::NoGroup;
        for group in owed {
            match self.history.group(*group).drained {
                Some(drained) if drained > since => return Drain::At(drained),
                _ => result = Drain::Not,
            }
        }
        result
    }
}

/// Whether a group was drained.
enum Drain {
    NoGroup,
    Not,
    At(At),
}
