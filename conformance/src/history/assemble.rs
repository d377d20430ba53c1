//! Builds a [`History`] from one event after the other, refusing what does not fit together.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU64;

use super::error::Reason;
use super::event::{
    Assign, Close, Deliver, Drained, Evicted, Fault, Open, Outcome, Publish, Published, Settle,
    SettleVerdict, Settled, Start, TransactionEnd, TransactionStep,
};
use super::header::Header;
use super::ids::{At, DeliveryId, GroupId, MessageId, Name, Partition, SessionId, TransactionId};
use super::intern::{Full, Interner};
use super::model::{self, Delivery, Difference, Group, History, Message, Session, Transaction};
use super::wire::{Position, Text};

type Fitted = Result<(), Reason>;

impl From<Full> for Reason {
    fn from(_: Full) -> Self {
        Self::TooLarge
    }
}

/// A history in the making, with the ids that only reading needs.
#[derive(Debug)]
pub(crate) struct Assembler {
    history: History,
    delivery_ids: Interner,
    session_ids: Interner,
    transaction_ids: Interner,
    group_ids: HashMap<(Name, Name), GroupId>,
    digest: RandomState,
}

impl Assembler {
    pub(crate) fn new(header: Header) -> Self {
        Self {
            history: History {
                header,
                times: Vec::new(),
                skipped: Vec::new(),
                message_ids: Interner::default(),
                names: Interner::default(),
                messages: Vec::new(),
                deliveries: Vec::new(),
                sessions: Vec::new(),
                groups: Vec::new(),
                transactions: Vec::new(),
                faults: Vec::new(),
                disturbances: Vec::new(),
                revocations: Vec::new(),
                rebalances: Vec::new(),
                publish_delays: HashMap::new(),
                settle_delays: HashMap::new(),
                given_up: Vec::new(),
                by_message: Vec::new(),
            },
            delivery_ids: Interner::default(),
            session_ids: Interner::default(),
            transaction_ids: Interner::default(),
            group_ids: HashMap::new(),
            digest: RandomState::new(),
        }
    }

    /// Takes the time of the event on `line`, and gives the event its place.
    pub(crate) fn tick(&mut self, time: u64, line: u64) -> Result<At, Reason> {
        let history = &mut self.history;
        if let Some(&before) = history.times.last()
            && time < before
        {
            return Err(Reason::TimeBackwards { before, now: time });
        }
        let at = At::new(history.times.len());
        let line = u32::try_from(line).map_err(|_| Reason::TooLarge)?;
        history.times.push(time);
        let skipped = line.saturating_sub(at.index() as u32 + 1);
        if history.skipped.last().map_or(0, |(_, skipped)| *skipped) != skipped {
            history.skipped.push((at, skipped));
        }
        Ok(at)
    }

    pub(crate) fn publish(&mut self, at: At, event: &Publish<'_>) -> Fitted {
        let id = self.message(&event.m)?;
        if self.history.message(id).publish.is_some() {
            return Err(repeated("message", &event.m));
        }
        let transaction = self.optional_transaction(event.transaction.as_ref())?;
        let message = Message {
            publisher: self.name(&event.publisher)?,
            topic: self.name(&event.topic)?,
            key: event.key.as_ref().map(|key| self.name(key)).transpose()?,
            dedup: event.dedup.as_ref().filter(|id| **id != event.m).map(|id| self.name(id)).transpose()?,
            transaction,
            publish: Some(at),
            published: None,
            partition: None,
            offset: 0,
            hash: self.digest(&event.hash),
            meta: event.meta.as_ref().map(|meta| self.non_zero_digest(meta)),
            outcome: None,
            duplicate: false,
            sentinel: event.sentinel == Some(true),
            evicted: false,
        };
        self.history.messages[id.index()] = message;
        if let Some(delay) = event.delay_ms {
            self.history.publish_delays.insert(id, delay);
        }
        Ok(())
    }

    pub(crate) fn published(&mut self, at: At, event: &Published<'_>) -> Fitted {
        let id = self.published_message(&event.m)?;
        let message = &mut self.history.messages[id.index()];
        if message.outcome.is_some() {
            return Err(Reason::SecondOutcome { what: "message", id: event.m.to_string() });
        }
        message.published = Some(at);
        message.outcome = Some(event.outcome);
        message.duplicate = event.duplicate == Some(true);
        (message.partition, message.offset) = parts(event.position);
        Ok(())
    }

    pub(crate) fn evicted(&mut self, event: &Evicted<'_>) -> Fitted {
        let id = self.published_message(&event.m)?;
        self.history.messages[id.index()].evicted = true;
        Ok(())
    }

    pub(crate) fn begin(&mut self, at: At, event: &TransactionStep<'_>) -> Fitted {
        let (_, new) = self.transaction_ids.intern(&event.transaction)?;
        if !new {
            return Err(repeated("transaction", &event.transaction));
        }
        let id = self.name(&event.transaction)?;
        let transaction = Transaction { id, begin: at, commit: None, abort: None, end: None, outcome: None };
        self.history.transactions.push(transaction);
        Ok(())
    }

    pub(crate) fn commit(&mut self, at: At, event: &TransactionStep<'_>) -> Fitted {
        let transaction = self.begun(&event.transaction)?;
        transaction.commit.get_or_insert(at);
        Ok(())
    }

    pub(crate) fn abort(&mut self, at: At, event: &TransactionStep<'_>) -> Fitted {
        let transaction = self.begun(&event.transaction)?;
        transaction.abort.get_or_insert(at);
        Ok(())
    }

    pub(crate) fn transaction_end(&mut self, at: At, event: &TransactionEnd<'_>) -> Fitted {
        let transaction = self.begun(&event.transaction)?;
        if transaction.outcome.is_some() {
            return Err(Reason::SecondOutcome { what: "transaction", id: event.transaction.to_string() });
        }
        transaction.end = Some(at);
        transaction.outcome = Some(event.outcome);
        Ok(())
    }

    pub(crate) fn open(&mut self, at: At, event: &Open<'_>) -> Fitted {
        let (_, new) = self.session_ids.intern(&event.session)?;
        if !new {
            return Err(repeated("session", &event.session));
        }
        let consumer = self.name(&event.consumer)?;
        let key = (self.name(&event.group)?, self.name(&event.topic)?);
        let groups = &mut self.history.groups;
        let group = *self.group_ids.entry(key).or_insert_with(|| {
            groups.push(Group { name: key.0, topic: key.1, start: event.start, opened: at, drained: None });
            GroupId::new(groups.len() - 1)
        });
        self.history.sessions.push(Session { consumer, group, start: event.start, opened: at, closed: None });
        if event.start == Start::Earliest {
            self.history.disturbances.push((group, at));
        }
        Ok(())
    }

    pub(crate) fn close(&mut self, at: At, event: &Close<'_>) -> Fitted {
        let id = self.session(&event.session)?;
        let session = &mut self.history.sessions[id.index()];
        session.closed.get_or_insert((at, event.cause));
        self.history.disturbances.push((session.group, at));
        Ok(())
    }

    pub(crate) fn assign(&mut self, at: At, event: &Assign<'_>) -> Fitted {
        let id = self.session(&event.session)?;
        self.history.disturbances.push((self.history.session(id).group, at));
        self.history.rebalances.push((id, at));
        Ok(())
    }

    pub(crate) fn revoke(&mut self, at: At, event: &Assign<'_>) -> Fitted {
        self.assign(at, event)?;
        let id = self.session(&event.session)?;
        self.history.revocations.extend(event.partitions.iter().map(|partition| (id, *partition, at)));
        Ok(())
    }

    pub(crate) fn deliver(&mut self, at: At, event: &Deliver<'_>) -> Fitted {
        let (_, new) = self.delivery_ids.intern(&event.d)?;
        if !new {
            return Err(repeated("delivery", &event.d));
        }
        let session = self.session(&event.session)?;
        if self.history.session(session).closed.is_some() {
            return Err(Reason::SessionClosed(event.session.to_string()));
        }
        let message = self.message(&event.m)?;
        let (partition, offset) = parts(event.position);
        self.history.deliveries.push(Delivery {
            message,
            session,
            at,
            settle: None,
            settled: None,
            transaction: None,
            partition,
            attempt: u32::try_from(event.attempt.unwrap_or(0)).unwrap_or(u32::MAX),
            offset,
            verdict: None,
            outcome: None,
            given_back: false,
            redelivered: event.redelivered == Some(true),
            dead_letter: event.dead_letter == Some(true),
            difference: self.difference(message, session, event),
        });
        Ok(())
    }

    pub(crate) fn settle(&mut self, at: At, event: &Settle<'_>) -> Fitted {
        let transaction = self.optional_transaction(event.transaction.as_ref())?;
        let id = self.delivery(&event.d)?;
        let delivery = &mut self.history.deliveries[id.index()];
        if delivery.settle.is_some() {
            let open = delivery.outcome == Some(Outcome::Unknown);
            if open && matches!(event.verdict, SettleVerdict::Nack | SettleVerdict::Release) {
                delivery.given_back |= event.verdict == SettleVerdict::Release;
                self.history.given_up.push((id, at));
            }
            return Ok(());
        }
        delivery.settle = Some(at);
        delivery.verdict = Some(event.verdict);
        delivery.transaction = transaction;
        if let Some(delay) = event.delay_ms {
            self.history.settle_delays.insert(id, delay);
        }
        Ok(())
    }

    pub(crate) fn settled(&mut self, at: At, event: &Settled<'_>) -> Fitted {
        let id = self.delivery(&event.d)?;
        let delivery = &mut self.history.deliveries[id.index()];
        if delivery.settle.is_none() {
            return Err(Reason::NotSettling(event.d.to_string()));
        }
        if delivery.outcome.is_some() {
            return Err(Reason::SecondOutcome { what: "delivery", id: event.d.to_string() });
        }
        delivery.settled = Some(at);
        delivery.outcome = Some(event.outcome);
        Ok(())
    }

    pub(crate) fn fault(&mut self, at: At, event: &Fault<'_>) -> Fitted {
        let fault = model::Fault { at, kind: self.name(&event.kind)?, target: self.name(&event.target)? };
        self.history.faults.push(fault);
        Ok(())
    }

    pub(crate) fn drained(&mut self, at: At, event: &Drained<'_>) -> Fitted {
        let key = (self.name(&event.group)?, self.name(&event.topic)?);
        let Some(id) = self.group_ids.get(&key) else {
            return Err(Reason::Unknown { what: "group", id: event.group.to_string() });
        };
        self.history.groups[id.index()].drained = Some(at);
        Ok(())
    }

    /// The history, when the last event has been taken.
    pub(crate) fn finish(self) -> History {
        let mut history = self.history;
        drop(self.delivery_ids);
        history.disturbances.sort_unstable();
        history.revocations.sort_unstable();
        history.rebalances.sort_unstable();
        history.index();
        history
    }

    /// The message with this id, which need not have been published; if so, nobody looks at the rest of it.
    fn message(&mut self, id: &str) -> Result<MessageId, Reason> {
        let nobody = Name::new(0);
        let (number, new) = self.history.message_ids.intern(id)?;
        if new {
            self.history.messages.push(Message {
                publisher: nobody,
                topic: nobody,
                key: None,
                dedup: None,
                transaction: None,
                publish: None,
                published: None,
                partition: None,
                offset: 0,
                hash: 0,
                meta: None,
                outcome: None,
                duplicate: false,
                sentinel: false,
                evicted: false,
            });
        }
        Ok(MessageId::new(number))
    }

    fn published_message(&self, id: &str) -> Result<MessageId, Reason> {
        let number = self.history.message_ids.get(id).map(MessageId::new);
        let published = number.filter(|number| self.history.message(*number).publish.is_some());
        published.ok_or_else(|| unknown("message", id))
    }

    fn session(&self, id: &str) -> Result<SessionId, Reason> {
        self.session_ids.get(id).map(SessionId::new).ok_or_else(|| unknown("session", id))
    }

    fn delivery(&self, id: &str) -> Result<DeliveryId, Reason> {
        self.delivery_ids.get(id).map(DeliveryId::new).ok_or_else(|| unknown("delivery", id))
    }

    fn begun(&mut self, id: &str) -> Result<&mut Transaction, Reason> {
        let number = self.transaction_ids.get(id).ok_or_else(|| unknown("transaction", id))?;
        Ok(&mut self.history.transactions[number])
    }

    fn optional_transaction(&self, id: Option<&Text<'_>>) -> Result<Option<TransactionId>, Reason> {
        let number = |id: &Text<'_>| self.transaction_ids.get(id).ok_or_else(|| unknown("transaction", id));
        Ok(id.map(number).transpose()?.map(TransactionId::new))
    }

    fn name(&mut self, name: &str) -> Result<Name, Reason> {
        Ok(Name::new(self.history.names.intern(name)?.0))
    }

    /// How a delivery differs from what was published, the gravest first.
    fn difference(&self, id: MessageId, session: SessionId, event: &Deliver<'_>) -> Option<Difference> {
        let message = self.history.message(id);
        let history = &self.history;
        let topic = history.group(history.session(session).group).topic;
        let key = event.key.as_ref().map(|key| history.names.get(key));
        let meta = event.meta.as_ref().map(|meta| self.non_zero_digest(meta));
        if message.publish.is_none() {
            Some(Difference::Unpublished)
        } else if message.topic != topic && event.dead_letter != Some(true) {
            Some(Difference::Topic)
        } else if key != message.key.map(|key| Some(key.index())) {
            Some(Difference::Key)
        } else if message.hash != self.digest(&event.hash) {
            Some(Difference::Payload)
        } else if message.meta.zip(meta).is_some_and(|(published, delivered)| published != delivered) {
            Some(Difference::Meta)
        } else {
            None
        }
    }

    /// A number for a hash that is only ever compared with another.
    fn digest(&self, text: &str) -> u64 {
        self.digest.hash_one(text)
    }

    fn non_zero_digest(&self, text: &str) -> NonZeroU64 {
        NonZeroU64::MIN.saturating_add(self.digest(text) >> 1)
    }
}

fn parts(position: Option<Position>) -> (Option<Partition>, u64) {
    (position.map(|it| Partition::new(it.partition as usize)), position.map_or(0, |it| it.offset))
}

fn unknown(what: &'static str, id: &str) -> Reason {
    Reason::Unknown { what, id: id.to_owned() }
}

fn repeated(what: &'static str, id: &str) -> Reason {
    Reason::Repeated { what, id: id.to_owned() }
}

/// Outcomes are one byte each in a message and a delivery.
const _: () = assert!(size_of::<Option<Outcome>>() == 1);
