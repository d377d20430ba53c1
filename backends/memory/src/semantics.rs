//! What a connection's guarantees mean for the code: each field is read off them, or is a trait that no row tells.

use std::time::Duration;

use anybroker_core::{
    Acknowledgement, Certainty, DeliveryLevel, Exclusivity, FanOut, Guarantees, Receipt, Replay, Start,
    Transactions, Unsubscribed,
};

use crate::guarantees::MESSAGE_BYTES;
use crate::like::Like;

/// How the broker behaves, where one does otherwise than another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Semantics {
    /// False: a message goes to the members that are there, and nowhere else.
    pub(crate) stores: bool,
    /// It keeps a log that can be read again, and says where in it a message is.
    pub(crate) log: bool,
    /// Topics have partitions that can be chosen and seen.
    pub(crate) partitions: bool,
    /// Each acknowledgement is answered; otherwise they are recorded, and told in their own time.
    pub(crate) confirms_acks: bool,
    /// Each is asked for and answered, confirmed or not.
    pub(crate) answers_acks: bool,
    /// An acknowledgement behind an unsettled message reaches the broker too.
    pub(crate) acks_singly: bool,
    pub(crate) marks: Marks,
    /// What is read, published and acknowledged can be one transaction.
    pub(crate) transactions: bool,
    /// A message without any group to get it is refused.
    pub(crate) refuses_unsubscribed: bool,
    /// There is room for one group.
    pub(crate) one_group: bool,
    /// Groups are there only if somebody has declared them.
    pub(crate) declared_groups: bool,
    /// A receipt says that the message was there already.
    pub(crate) tells_duplicates: bool,
    /// A member keeps what it holds however long it takes.
    pub(crate) waits_for_holder: bool,
    /// While a member has some of a key in hand, later ones of that key wait: so many come at once.
    pub(crate) batch_of_a_key: Option<usize>,
    /// The protocol can list topics.
    pub(crate) lists_topics: bool,
    pub(crate) message_bytes: usize,
    pub(crate) in_flight: usize,
    pub(crate) lease: Option<Duration>,
    pub(crate) deduplication: Option<Duration>,
}

/// What another session is told of the deliveries that a message has had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marks {
    /// Its attempts.
    Attempts,
    /// The attempts of a partition's first unfinished message; of the others, that they were given out.
    Head,
    /// How often it came back, tried or not.
    Returns,
    /// Nothing.
    Nothing,
}

impl Semantics {
    pub(crate) fn of(guarantees: &Guarantees, like: Option<Like>, adversary: bool) -> Self {
        let stores = guarantees.delivery.value != DeliveryLevel::AtMostOnce;
        let log = guarantees.replay.value != Replay::None;
        let confirms_acks = guarantees.settlement.value == Certainty::Confirmed;
        let by_key = guarantees.exclusivity.value == Exclusivity::Key;
        Semantics {
            stores,
            log,
            partitions: !matches!(like, Some(Like::NatsCore | Like::SqsFifo)),
            answers_acks: confirms_acks || like == Some(Like::JetStream),
            confirms_acks,
            acks_singly: guarantees.acknowledgement.value == Acknowledgement::Individual,
            marks: match like {
                None => Marks::Attempts,
                Some(Like::Kafka) => Marks::Head,
                // What a member lets go does not count; an adversary may count it all the same.
                Some(Like::Pulsar) if !adversary => Marks::Nothing,
                Some(_) => Marks::Returns,
            },
            transactions: guarantees.transactions.value == Transactions::ReadProcessWrite,
            refuses_unsubscribed: guarantees.unsubscribed_publish.value == Unsubscribed::Refused,
            one_group: guarantees.fan_out.value == FanOut::None,
            declared_groups: matches!(
                like,
                Some(Like::RabbitMq | Like::JetStream | Like::SqsFifo | Like::Pulsar)
            ),
            tells_duplicates: matches!(like, None | Some(Like::JetStream)),
            waits_for_holder: by_key || like == Some(Like::Pulsar),
            batch_of_a_key: guarantees.limits.batch.filter(|_| by_key),
            lists_topics: stores && like != Some(Like::RabbitMq),
            message_bytes: guarantees.limits.message_bytes.unwrap_or(MESSAGE_BYTES),
            in_flight: guarantees.limits.in_flight.unwrap_or(usize::MAX),
            lease: guarantees.limits.lease,
            deduplication: guarantees.limits.deduplication_window,
        }
    }

    /// What the broker says of a message that it stored.
    pub(crate) fn receipt(&self, receipt: Receipt) -> Receipt {
        Receipt {
            position: receipt.position.filter(|_| self.log),
            duplicate: receipt.duplicate && self.tells_duplicates,
        }
    }

    /// Whether a subscription may start there.
    pub(crate) fn has_start(&self, start: Start) -> bool {
        match start {
            Start::Resume => true,
            Start::Earliest => self.log,
            Start::Latest => self.log || !self.stores,
        }
    }
}
