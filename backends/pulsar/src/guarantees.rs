//! What Pulsar promises in the configuration that runs.

use std::collections::BTreeMap;

use anybroker_core::{
    Acknowledgement, AfterFailure, Basis, Certainty, Confirmation, DeadLetter, Deduplication, Delay,
    DeliveryLevel, Durability, Exclusivity, FanOut, Guarantees, Kept, Lease, Limits, Redelivery, Replay,
    Result, Row, Scope, TopologyMode, Transactions, Unsubscribed,
};

use crate::config::{Journal, PulsarConfig, SubscriptionType};
use crate::manage::Retention;
use crate::topology::{Context, View};
use crate::wire::Wire;

const ACKS: &str = "https://pulsar.apache.org/docs/concepts-messaging#acknowledgment";
const DEDUPLICATION: &str = "https://pulsar.apache.org/docs/concepts-messaging#message-deduplication";
const DURABILITY: &str = "https://pulsar.apache.org/docs/concepts-architecture-overview#persistent-storage";
const ORDER: &str = "https://pulsar.apache.org/docs/concepts-messaging#ordering-guarantee";
const PROTOCOL: &str = "https://pulsar.apache.org/docs/developing-binary-protocol";
const REDELIVERY: &str = "https://pulsar.apache.org/docs/concepts-messaging#negative-acknowledgment";
const RETENTION: &str = "https://pulsar.apache.org/docs/cookbooks-retention-expiry";
const SUBSCRIPTIONS: &str = "https://pulsar.apache.org/docs/concepts-messaging#subscription-types";
const TRANSACTIONS: &str = "https://pulsar.apache.org/docs/txn-what";

/// What a topic would have that `topology=create` makes.
const UNASKED: &str = "no topic was asked about";

/// What the rows are concluded from.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    version: String,
    message_bytes: usize,
    /// The broker's settings; none if nobody looked, or may.
    settings: Option<BTreeMap<String, String>>,
    /// The retention of the topic, if one was asked for; its own is none if nobody looked.
    topic: Option<Option<Retention>>,
}

impl Facts {
    /// Asks the broker.
    ///
    /// # Errors
    /// As the admin interface fails.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn ask(
        context: &Context,
        operation: &'static str,
        wire: &Wire,
        view: Option<&View>,
    ) -> Result<Self> {
        let settings = match context.config.topology {
            TopologyMode::Ignore => None,
            _ => context.manager.settings(operation).await?,
        };
        Ok(Facts {
            version: wire.version.clone(),
            message_bytes: message_bytes(wire),
            settings,
            topic: view.map(|view| view.retention),
        })
    }

    fn setting<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.settings.as_ref()?.get(name)?.parse().ok()
    }

    /// Row by row.
    pub(crate) fn guarantees(&self, config: &PulsarConfig) -> Guarantees {
        let kind = config.subscription_type;
        Guarantees {
            backend: "pulsar",
            version: Some(self.version.trim_start_matches("Pulsar Server").trim_start_matches('-').to_owned()),
            ordering: Row::new(Scope::Key, Basis::Documented, ORDER)
                .because("one producer a partition, one entry a message, a key always goes to the same partition"),
            order_after_redelivery: Row::new(Kept::Yes, Basis::Client, REDELIVERY)
                .because("the client delivers it again itself, before later messages of its key"),
            order_across_consumers: Row::new(Kept::Yes, Basis::Documented, SUBSCRIPTIONS).because(sharing(kind)),
            order_after_member_death: Row::new(Kept::Yes, Basis::Documented, SUBSCRIPTIONS).because(
                "what a member held goes to others, before what comes later of the same key",
            ),
            order_after_failed_publish: Row::new(AfterFailure::Held, Basis::Client, PROTOCOL)
                .because("what was sent before the failure showed may be stored behind it"),
            delivery: self.delivery(),
            unsubscribed_publish: self.unsubscribed(),
            publish_confirmation: Row::new(Confirmation::Confirmed, Basis::Client, PROTOCOL)
                .because("a receipt with the message's place; one without a place is an error"),
            durability_on_confirm: self.durability(config),
            acknowledgement: Row::new(Acknowledgement::Individual, Basis::Documented, ACKS)
                .because("gathered for 5 ms, then told one by one, also behind a gap"),
            settlement: Row::new(Certainty::Recorded, Basis::Documented, ACKS)
                .because(
                    "the broker writes the position of a group down at most once a second, and forgets what was \
                     acknowledged since if it is killed; `flush` waits until it has the acknowledgements",
                )
                .raise("make the handler idempotent: after a failure an acknowledged message may come again"),
            redelivery: Row::new(Redelivery::Unmarked, Basis::Documented, REDELIVERY).because(
                "within a session attempts are counted by the client; the broker's own count is in its memory, and what a \
                 member held that died is not counted",
            ),
            exclusivity: Row::new(exclusivity(kind), Basis::Client, SUBSCRIPTIONS)
                .because(alone(kind))
                .raise("nothing on this broker; make the handler idempotent"),
            deduplication: Row::new(Deduplication::None, Basis::Client, DEDUPLICATION)
                .because("every connection is a new producer, and nothing is sent twice by itself")
                .raise("the broker's deduplication by producer and number is not used; deduplicate by message id"),
            dead_letter: Row::new(DeadLetter::AtLeastOnce, Basis::Client, REDELIVERY)
                .because("the envelope is confirmed before the original is acknowledged"),
            fan_out: Row::new(FanOut::Groups, Basis::Documented, SUBSCRIPTIONS)
                .because("every subscription gets every message"),
            replay: self.replay(),
            lease: Row::new(Lease::Session, Basis::Client, SUBSCRIPTIONS).because(
                "the connection is kept alive in the background, and no acknowledgement time-out is set",
            ),
            delay: Row::new(Delay::Redelivery, Basis::Client, REDELIVERY)
                .because("the client keeps the message for the delay")
                .raise("Pulsar delays a publish only for shared subscriptions, which keep no order"),
            transactions: Row::new(Transactions::None, Basis::Client, TRANSACTIONS)
                .because("this adapter offers none"),
            limits: Limits { message_bytes: Some(self.message_bytes), ..Limits::default() },
        }
    }

    fn delivery(&self) -> Row<DeliveryLevel> {
        let row = Row::new(DeliveryLevel::AtLeastOnce, Basis::Documented, ACKS);
        match self.setting::<i64>("ttlDurationDefaultInSeconds") {
            Some(seconds) if seconds > 0 => row.because(format!(
                "what nobody has acknowledged is dropped after {seconds} s (ttlDurationDefaultInSeconds)"
            )),
            _ => row.because("a subscription keeps what is not acknowledged; a time to live, if the namespace has one, drops it"),
        }
    }

    /// What the topic's retention says, in a row that is unknown where nobody looked.
    fn by_retention<T: anybroker_core::Level>(&self, keeps: T, drops: T) -> Row<T> {
        let raise =
            "pulsar-admin topics set-retention; topics made by topology=create have it, by retention=";
        match self.topic {
            None => Row::unknown(RETENTION).because(UNASKED).raise("ask about a topic: --topic TOPIC"),
            Some(None) => Row::unknown(RETENTION)
                .because("nobody looked at the topic's retention")
                .raise("topology=check"),
            Some(Some(retention)) if retention.keeps() => Row::new(keeps, Basis::Probed, RETENTION)
                .because(format!("retention of {}", retention.text())),
            Some(Some(_)) => {
                Row::new(drops, Basis::Probed, RETENTION).because("the topic has no retention").raise(raise)
            }
        }
    }

    fn unsubscribed(&self) -> Row<Unsubscribed> {
        self.by_retention(Unsubscribed::Kept, Unsubscribed::Dropped)
    }

    fn replay(&self) -> Row<Replay> {
        self.by_retention(Replay::Earliest, Replay::None)
    }

    fn durability(&self, config: &PulsarConfig) -> Row<Durability> {
        let quorum: Option<u32> = self.setting("managedLedgerDefaultAckQuorum");
        let replicated = quorum.is_some_and(|quorum| quorum >= 2);
        let value = match (config.journal, replicated) {
            (Some(Journal::Sync), true) => Durability::ReplicatedFsync,
            (Some(Journal::Sync), false) => Durability::Fsync,
            (_, true) => Durability::Replicated,
            (_, false) => Durability::PageCache,
        };
        let basis = match (config.journal, replicated) {
            (Some(_), _) => Basis::Stated,
            (None, true) => Basis::Probed,
            (None, false) => Basis::Documented,
        };
        let copies = quorum.map_or_else(
            || "nobody looked at managedLedgerDefaultAckQuorum".to_owned(),
            |quorum| format!("bookies that have written it: {quorum} (managedLedgerDefaultAckQuorum)"),
        );
        let row = Row::new(value, basis, DURABILITY).because(copies);
        match config.journal {
            None => row.raise("if the bookies write through to the disk (journalSyncData, on by default), state it: journal=sync"),
            Some(_) => row,
        }
    }
}

/// Members of a Key_Shared subscription have partitions together. The broker takes the acknowledgement of whoever has a
/// connection, so that only the end of that fences.
fn exclusivity(kind: SubscriptionType) -> Exclusivity {
    match kind {
        SubscriptionType::KeyShared | SubscriptionType::Failover => Exclusivity::None,
        SubscriptionType::Exclusive => Exclusivity::Fenced,
    }
}

fn alone(kind: SubscriptionType) -> &'static str {
    match kind {
        SubscriptionType::Failover => {
            "a partition has one active member; the one before hears that it has moved when the next one already gets its \
             messages, and until then hands out and acknowledges what it has"
        }
        SubscriptionType::KeyShared | SubscriptionType::Exclusive => {
            "the broker gives a key or partition to one member; one that lost its connection hands out and \
             acknowledges nothing more, but may still be handling what it holds when the next one starts"
        }
    }
}

fn sharing(kind: SubscriptionType) -> &'static str {
    match kind {
        SubscriptionType::KeyShared => {
            "Key_Shared: a key has one member at a time, and moves on when the one before has acknowledged"
        }
        SubscriptionType::Failover => "Failover: a partition has one active member",
        SubscriptionType::Exclusive => "Exclusive: there is one member, and a second one is refused",
    }
}

/// What metadata takes that [`Message::size`](anybroker_core::Message::size) does not count: names of properties, the
/// producer's name, numbers.
const METADATA: usize = 2_048;

/// The largest message whatever its attributes.
pub(crate) fn message_bytes(wire: &Wire) -> usize {
    wire.message_bytes.saturating_sub(METADATA)
}
