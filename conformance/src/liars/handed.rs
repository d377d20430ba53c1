//! A message as a liar hands it out, with what stands behind it.

use anybroker_core::{Delivery, Position, Provenance, Record, RecordBuffer};
use futures::FutureExt as _;

/// A message on its way to the application, or in its hands.
#[derive(Debug)]
pub(super) struct Handed {
    pub(super) record: Record,
    /// The member that it was taken from the broker for.
    pub(super) member: u64,
    pub(super) partition: u32,
    pub(super) generation: u32,
    pub(super) offset: u64,
    pub(super) stored: i64,
    pub(super) attempt: u32,
    pub(super) redelivered: bool,
    pub(super) behind: Behind,
}

/// What a settlement reaches.
#[derive(Debug)]
pub(super) enum Behind {
    /// The broker's own delivery.
    Broker(Delivery),
    /// The liar, which has taken the message from the broker and delivers it itself until it is acknowledged.
    Liar,
    /// Nothing: it is void.
    Nothing,
}

impl Handed {
    /// What the broker delivered.
    pub(super) fn of(delivery: Delivery, member: u64) -> Self {
        let token = delivery.token();
        Handed {
            record: delivery.record().clone(),
            member,
            partition: token.partition,
            generation: token.generation,
            offset: delivery.position().map_or(0, |position| position.offset),
            stored: 0,
            attempt: token.attempt,
            redelivered: delivery.redelivered(),
            behind: Behind::Broker(delivery),
        }
    }

    /// Where it says that the message is, if it says so.
    pub(super) fn provenance(&self, positions: bool) -> Provenance {
        let position = Position { partition: self.partition, offset: self.offset };
        Provenance {
            position: positions.then_some(position),
            stored: self.stored,
            failures: self.attempt.saturating_sub(1),
            redelivered: self.redelivered,
        }
    }

    /// The message's id.
    pub(super) fn id(&self) -> String {
        self.record.id().map(|id| id.to_string()).unwrap_or_default()
    }

    /// Whether nobody has had it before.
    pub(super) fn is_fresh(&self) -> bool {
        !self.redelivered && self.attempt <= 1
    }

    /// Whether it is a dead letter.
    pub(super) fn is_dead_letter(&self) -> bool {
        self.record.header(anybroker_core::dead_letter::HEADERS[0]).is_some()
    }

    /// The same message once more, marked as a redelivery; with nothing behind it.
    pub(super) fn again(&self) -> Self {
        Handed {
            record: self.record.clone(),
            attempt: self.attempt + 1,
            redelivered: true,
            behind: Behind::Nothing,
            ..*self
        }
    }

    /// Changes the message.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut anybroker_core::Message)) {
        let mut message = self.record.to_message();
        change(&mut message);
        self.record = RecordBuffer::new().encode(&message);
    }

    /// Acknowledges it at the broker, which forgets it; the in-memory one does so at once. Says whether it was still ours:
    /// a void one comes again.
    pub(super) fn forget(&mut self) -> bool {
        match std::mem::replace(&mut self.behind, Behind::Nothing) {
            Behind::Broker(delivery) => at_once(delivery.ack()).is_some_and(|settled| settled.is_ok()),
            Behind::Liar => true,
            Behind::Nothing => false,
        }
    }

    /// Takes it from the broker: the liar delivers it from now on. Says whether it was still ours.
    pub(super) fn take_over(&mut self) -> bool {
        let ours = self.forget();
        self.behind = if ours { Behind::Liar } else { Behind::Nothing };
        ours
    }
}

/// What the in-memory broker does at once, whatever else the task has done before it last waited.
pub(super) fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    tokio::task::unconstrained(future).now_or_never()
}
