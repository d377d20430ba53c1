//! One partition that we have: its pulls, and what the server counts as held by us.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anybroker_core::RecordBuffer;
use anybroker_core::kit::Incoming;
use async_nats::{Message, Subject};
use tokio::time::Instant;

use crate::record::record;

/// What the server tells with a message, in the subject that acknowledges it:
/// `$JS.ACK.<stream>.<consumer>.<delivered>.<stream sequence>.<consumer sequence>.<time>.<pending>`, with domain and
/// account before the stream in a later form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// How often it was delivered, this time included.
    pub(crate) delivered: u64,
    /// Its place in the stream.
    pub(crate) sequence: u64,
    /// Its place among the consumer's deliveries.
    pub(crate) delivery: u64,
    /// Nanoseconds since 1970 at which it was stored.
    pub(crate) stored: i64,
    /// How many more wait.
    pub(crate) pending: u64,
}

impl Told {
    pub(crate) fn read(subject: &str) -> Option<Self> {
        let told = subject.strip_prefix("$JS.ACK.")?;
        let before = match told.bytes().filter(|byte| *byte == b'.').count() + 1 {
            7 => 2,
            9.. => 4,
            _ => return None,
        };
        let mut numbers = told.split('.').skip(before);
        Some(Told {
            delivered: numbers.next()?.parse().ok()?,
            sequence: numbers.next()?.parse().ok()?,
            delivery: numbers.next()?.parse().ok()?,
            stored: numbers.next()?.parse().ok()?,
            pending: numbers.next()?.parse().ok()?,
        })
    }
}

/// A message that the server counts as held by us.
#[derive(Clone, Debug)]
struct Open {
    /// The subject that acknowledges it.
    reply: Subject,
    /// How often the server has delivered it.
    delivered: u64,
    /// Whether it is in the session, or on its way to us again.
    here: bool,
}

/// The messages that the server counts as held by us, and since when the partition is ours.
#[derive(Debug)]
pub(crate) struct Held {
    open: BTreeMap<u64, Open>,
    /// The greatest number that came: what is greater was not acknowledged.
    greatest: u64,
    /// The last ones that were acknowledged. A server that crashes may forget acknowledgements of its last moments, and
    /// deliver their messages again: it writes them to the disk ten times a second.
    acknowledged: Recent,
    /// Until when the partition is certainly ours.
    pub(crate) until: Instant,
}

/// The last numbers of many. One is looked for only where a message comes again.
#[derive(Debug, Default)]
struct Recent(VecDeque<u64>);

/// How many: what a busy partition acknowledges in some hundred milliseconds.
const RECENT: usize = 16_384;

impl Recent {
    fn insert(&mut self, number: u64) {
        if self.0.len() == RECENT {
            self.0.pop_front();
        }
        self.0.push_back(number);
    }
}

/// What is to be done with a message that came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It goes into the session.
    Take,
    /// It is in the session already.
    Known,
    /// It was acknowledged, and the server forgot: it is told again.
    Acknowledge,
}

impl Held {
    fn new(until: Instant) -> Self {
        Held { open: BTreeMap::new(), greatest: 0, acknowledged: Recent::default(), until }
    }

    /// Decides about a message. `told` came with it.
    pub(crate) fn arrive(&mut self, told: Told, reply: &Subject) -> Arrival {
        if let Some(open) = self.open.get_mut(&told.sequence) {
            (open.reply, open.delivered) = (reply.clone(), told.delivered.max(open.delivered));
            return if std::mem::replace(&mut open.here, true) { Arrival::Known } else { Arrival::Take };
        }
        if told.sequence <= self.greatest && self.acknowledged.0.contains(&told.sequence) {
            return Arrival::Acknowledge;
        }
        self.greatest = self.greatest.max(told.sequence);
        self.open.insert(told.sequence, Open { reply: reply.clone(), delivered: told.delivered, here: true });
        Arrival::Take
    }

    /// The subject that acknowledges a message.
    pub(crate) fn reply(&self, sequence: u64) -> Option<Subject> {
        self.open.get(&sequence).map(|open| open.reply.clone())
    }

    /// How often the server has delivered a message.
    pub(crate) fn delivered(&self, sequence: u64) -> u64 {
        self.open.get(&sequence).map_or(0, |open| open.delivered)
    }

    /// The server has the acknowledgement.
    pub(crate) fn acknowledged(&mut self, sequence: u64) {
        if self.open.remove(&sequence).is_some() {
            self.acknowledged.insert(sequence);
        }
    }

    /// Whether the session has it.
    pub(crate) fn is_here(&self, sequence: u64) -> bool {
        self.open.get(&sequence).is_some_and(|open| open.here)
    }

    /// How many the session has.
    pub(crate) fn here(&self) -> usize {
        self.open.values().filter(|open| open.here).count()
    }

    /// Everything that is held, in order.
    pub(crate) fn replies(&self) -> Vec<Subject> {
        self.open.values().map(|open| open.reply.clone()).collect()
    }

    /// The session has let go of everything: what is held comes again.
    pub(crate) fn let_go(&mut self) {
        self.open.values_mut().for_each(|open| open.here = false);
    }
}

/// What the member's task and those who acknowledge share of all lanes.
#[derive(Debug, Default)]
pub(crate) struct Shared(Mutex<BTreeMap<u32, Held>>);

impl Shared {
    pub(crate) fn lanes(&self) -> MutexGuard<'_, BTreeMap<u32, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The partition is ours until `until`.
    pub(crate) fn open(&self, partition: u32, until: Instant) {
        self.lanes().insert(partition, Held::new(until));
    }

    /// Does something to one lane, if it is there.
    pub(crate) fn with<T>(&self, partition: u32, act: impl FnOnce(&mut Held) -> T) -> Option<T> {
        self.lanes().get_mut(&partition).map(act)
    }
}

/// A message for the session, with what the server told of it.
pub(crate) fn incoming(
    buffer: &mut RecordBuffer,
    message: Message,
    told: Told,
    most_attempts: u32,
) -> Incoming {
    let attempts = u32::try_from(told.delivered.saturating_sub(1)).unwrap_or(u32::MAX);
    Incoming {
        record: record(buffer, message),
        native: told.sequence,
        offset: Some(told.sequence),
        stored: told.stored / 1_000_000,
        attempts: attempts.min(most_attempts),
        redelivered: told.delivered > 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(sequence: u64) -> Told {
        Told { delivered: 1, sequence, delivery: 1, stored: 0, pending: 0 }
    }

    #[test]
    fn both_forms_of_acknowledgement_subjects_are_read() {
        let expected =
            Told { delivered: 2, sequence: 30, delivery: 4, stored: 1_700_000_000_000_000_000, pending: 5 };
        for subject in [
            "$JS.ACK.stream.group@1.2.30.4.1700000000000000000.5",
            "$JS.ACK._.hash.stream.group@1.2.30.4.1700000000000000000.5",
            "$JS.ACK.domain.hash.stream.group@1.2.30.4.1700000000000000000.5.token",
        ] {
            assert_eq!(Told::read(subject), Some(expected), "{subject}");
        }
        assert_eq!(Told::read("_INBOX.x"), None);
    }

    #[test]
    fn what_comes_again_is_told_apart() {
        let mut held = Held::new(Instant::now());
        let reply = Subject::from("r");
        assert_eq!(held.arrive(told(11), &reply), Arrival::Take);
        assert_eq!(held.arrive(told(11), &reply), Arrival::Known);
        held.let_go();
        assert_eq!(held.arrive(told(11), &reply), Arrival::Take);
        held.acknowledged(11);
        assert_eq!(held.arrive(told(11), &reply), Arrival::Acknowledge);
        assert_eq!(held.arrive(told(12), &reply), Arrival::Take);
    }
}
