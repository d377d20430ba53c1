//! What RabbitMQ promises in the configuration that runs.

use std::time::Duration;

use anybroker_core::{
    Acknowledgement, AfterFailure, Basis, Certainty, Confirmation, DeadLetter, Deduplication, Delay,
    DeliveryLevel, Durability, Exclusivity, FanOut, Guarantees, Kept, Lease, Level, Limits, Redelivery,
    Replay, Row, Scope, Transactions, Unsubscribed,
};

use crate::config::{QueueType, RabbitConfig};
use crate::server::Server;
use crate::topology::{DELIVERY_LIMIT, Known};

const CONFIRMS: &str = "https://www.rabbitmq.com/docs/confirms";
const CONSUMERS: &str = "https://www.rabbitmq.com/docs/consumers";
const EXCHANGES: &str = "https://www.rabbitmq.com/docs/exchanges";
const ORDER: &str = "https://www.rabbitmq.com/docs/queues#message-ordering";
const POISON: &str = "https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling";
const QUORUM: &str = "https://www.rabbitmq.com/docs/quorum-queues#data-safety";
const SINGLE: &str = "https://www.rabbitmq.com/docs/consumers#single-active-consumer";
const STREAMS: &str = "https://www.rabbitmq.com/docs/streams";
const TRANSACTIONS: &str = "https://www.rabbitmq.com/docs/semantics#tx";

/// RabbitMQ refuses a larger prefetch on quorum queues, or takes it for this.
pub(crate) const MOST_IN_FLIGHT: usize = 2_000;

/// What the rows are concluded from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) config: &'a RabbitConfig,
    pub(crate) server: &'a Server,
    /// The group, if one was asked for.
    pub(crate) group: Option<&'a Known>,
}

impl Facts<'_> {
    /// How the queues' arguments are known. Without a group, the ones that `declare` would make are meant.
    fn basis(&self) -> Basis {
        match (self.group, self.config.queue) {
            (Some(known), _) => known.basis,
            (None, Some(_)) => Basis::Stated,
            (None, None) => Basis::Documented,
        }
    }

    fn quorum(&self) -> bool {
        self.config.queue != Some(QueueType::Classic)
    }

    /// A row that holds for the queues that we declare, and is unknown where nobody knows what they are.
    fn queues<T: Level>(&self, value: T, source: &'static str) -> Row<T> {
        let basis = self.basis();
        if basis == Basis::Unknown {
            let raise = "topology=check with the permission to configure, or state queue=quorum";
            return Row::unknown(source).because("nobody looked at the queues' arguments").raise(raise);
        }
        Row::new(value, basis, source)
    }

    fn partitions(&self) -> Option<u32> {
        self.group.map_or(self.config.partitions, |known| known.layout.partitions)
    }

    fn sharing(&self) -> (&'static str, Option<&'static str>) {
        match self.partitions() {
            Some(_) => ("each partition has one active consumer, and members share the partitions out", None),
            None => (
                "the queue has one active consumer; further members wait to take over, and share no load",
                Some("partitions=n spreads the keys over n queues, which the members share out"),
            ),
        }
    }

    /// Row by row.
    pub(crate) fn guarantees(&self) -> Guarantees {
        Guarantees {
            backend: "rabbitmq",
            version: self.server.text.clone(),
            ordering: self.ordering(),
            order_after_redelivery: self
                .queues(Kept::Yes, ORDER)
                .because("the client delivers it again itself, before later messages of its key"),
            order_across_consumers: self.order_across_consumers(),
            order_after_member_death: self.queues(Kept::Yes, ORDER).because(
                "what a closed channel held returns to its queue in order, behind what had returned before and still waits: \
                 nothing does if the group's members have the same prefetch; then the next consumer becomes the active one",
            ),
            order_after_failed_publish: Row::new(AfterFailure::Held, Basis::Client, CONFIRMS)
                .because("what was sent before the failure showed may be stored behind it"),
            delivery: self.queues(DeliveryLevel::AtLeastOnce, CONFIRMS).because(
                "manual acknowledgement; AMQP does not show policies: one with message-ttl, expires or \
                 max-length would take messages away",
            ),
            unsubscribed_publish: Row::new(Unsubscribed::Refused, Basis::Documented, CONFIRMS)
                .because("published as mandatory: a message that reaches no queue comes back, and the publish fails")
                .raise("declare the groups before publishing; RabbitMQ keeps messages only in queues"),
            publish_confirmation: Row::new(Confirmation::Confirmed, Basis::Client, CONFIRMS)
                .because("a plain basic.ack; a return or basic.nack is an error"),
            durability_on_confirm: self.durability(),
            acknowledgement: Row::new(Acknowledgement::Individual, Basis::Documented, CONFIRMS)
                .because("the contiguous prefix at once, what waits behind a gap singly after 50 ms"),
            settlement: Row::new(Certainty::Recorded, Basis::Documented, CONFIRMS)
                .because(
                    "AMQP does not confirm acknowledgements; `flush` waits until the queue's process has them, \
                     not until they are on the disk",
                )
                .raise("make the handler idempotent: after a failure an acknowledged message may come again"),
            redelivery: self.redelivery(),
            exclusivity: self.exclusivity(),
            deduplication: Row::new(Deduplication::None, Basis::Documented, CONFIRMS)
                .because("queues do not deduplicate"),
            dead_letter: self.queues(DeadLetter::AtLeastOnce, POISON).because(format!(
                "the envelope is confirmed before the original is acknowledged; the broker's own limit of \
                 {DELIVERY_LIMIT} deliveries is a backstop with at-least-once dead lettering"
            )),
            fan_out: Row::new(FanOut::Groups, Basis::Documented, EXCHANGES)
                .because("every group's queue is bound to the topic's fanout exchange"),
            replay: Row::new(Replay::None, Basis::Documented, STREAMS)
                .because("a queue forgets what is acknowledged"),
            lease: Row::new(Lease::Fixed, Basis::Documented, CONSUMERS)
                .because(
                    "the server's consumer_timeout, 30 minutes unless the operator changed it: then it closes \
                     the channel and delivers again",
                )
                .raise("raise consumer_timeout on the server"),
            delay: Row::new(Delay::Redelivery, Basis::Client, CONSUMERS)
                .because("the client keeps the message for the delay")
                .raise("nothing in the broker itself delays a publish"),
            transactions: Row::new(Transactions::None, Basis::Documented, TRANSACTIONS)
                .because("AMQP's tx is not atomic after a failure"),
            limits: self.limits(),
        }
    }

    fn ordering(&self) -> Row<Scope> {
        let scope = if self.quorum() { Scope::Key } else { Scope::None };
        let (sharing, raise) = self.sharing();
        let row = self.queues(scope, SINGLE).because(format!("one channel publishes in order; {sharing}"));
        match (self.quorum(), raise) {
            (false, _) => {
                row.raise("quorum queues with x-single-active-consumer, as topology=create makes them")
            }
            (true, Some(raise)) => row.raise(raise),
            (true, None) => row,
        }
    }

    fn order_across_consumers(&self) -> Row<Kept> {
        let (sharing, raise) = self.sharing();
        let kept = if self.quorum() { Kept::Yes } else { Kept::No };
        let row = self.queues(kept, SINGLE).because(sharing);
        raise.map_or(row.clone(), |raise| row.raise(raise))
    }

    /// Quorum queues write through to the disks of a majority before they confirm. How many replicas there are is
    /// not to be seen by AMQP. Classic queues confirm from the page cache since 3.13, and so at the worst.
    fn durability(&self) -> Row<Durability> {
        if !self.quorum() {
            let row = self.queues(Durability::PageCache, QUORUM);
            return row.because("persistent messages in a classic queue").raise("quorum queues");
        }
        match self.config.replicas {
            Some(replicas) if replicas >= 3 => {
                let row = self.queues(Durability::ReplicatedFsync, QUORUM);
                let basis = if row.basis == Basis::Unknown { Basis::Unknown } else { Basis::Stated };
                Row { basis, ..row }
                    .because(format!("a majority of {replicas} replicas (stated) wrote it to disk"))
            }
            _ => self
                .queues(Durability::Fsync, QUORUM)
                .because("written through to the disk; AMQP does not tell how many replicas there are")
                .raise("on a cluster, state it: replicas=3"),
        }
    }

    fn redelivery(&self) -> Row<Redelivery> {
        if !self.quorum() {
            return self.queues(Redelivery::Flag, CONFIRMS).raise("quorum queues count deliveries");
        }
        self.queues(Redelivery::Flag, POISON).because(
            "within a session attempts are counted by the client; x-delivery-count tells the next session how often the \
             message came back to the queue, not how often it was tried",
        )
    }

    fn exclusivity(&self) -> Row<Exclusivity> {
        if !self.quorum() {
            return self.queues(Exclusivity::None, SINGLE).raise("x-single-active-consumer");
        }
        self.queues(Exclusivity::Fenced, SINGLE)
            .because(
                "one active consumer; one that lost its connection cannot acknowledge any more, but may still be \
                 handling what it holds when the next one starts",
            )
            .raise("nothing on this broker; make the handler idempotent")
    }

    fn limits(&self) -> Limits {
        let queues = self.partitions().unwrap_or(1) as usize;
        Limits {
            message_bytes: Some(message_bytes(self.config, self.server)),
            batch: None,
            in_flight: Some(MOST_IN_FLIGHT * queues),
            deduplication_window: None,
            lease: Some(Duration::from_secs(30 * 60)),
        }
    }
}

/// The largest message: as stated, or the version's default. Its documentation: <https://www.rabbitmq.com/docs/configure>.
pub(crate) fn message_bytes(config: &RabbitConfig, server: &Server) -> usize {
    config.max_message_bytes.unwrap_or_else(|| server.default_message_bytes())
}

/// The prefetch of each of `queues` queues whose consumer holds `prefetch` in all: <https://www.rabbitmq.com/docs/confirms#channel-qos-prefetch>.
pub(crate) fn share_of_prefetch(prefetch: usize, queues: u32) -> u16 {
    (prefetch / queues.max(1) as usize).clamp(1, MOST_IN_FLIGHT) as u16
}
