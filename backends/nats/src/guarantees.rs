//! What JetStream promises in the configuration that runs.

use std::time::Duration;

use anybroker_core::{
    Acknowledgement, AfterFailure, Basis, Certainty, Confirmation, DeadLetter, Deduplication, Delay,
    DeliveryLevel, Durability, Exclusivity, FanOut, Guarantees, Kept, Lease, Level, Limits, Redelivery,
    Replay, Row, Scope, Transactions, Unsubscribed,
};
use async_nats::ServerInfo;
use async_nats::jetstream::stream::Config;

use crate::config::{Lanes, NatsConfig, Sync};
use crate::groups::Layout;
use crate::streams::{Found, losing};

const ACKS: &str = "https://docs.nats.io/nats-concepts/jetstream/consumers#ackpolicy";
const CONSUMERS: &str = "https://docs.nats.io/nats-concepts/jetstream/consumers";
const DEDUPLICATION: &str =
    "https://docs.nats.io/using-nats/developer/develop_jetstream/model_deep_dive#message-deduplication";
const DISK: &str = "https://docs.nats.io/nats-concepts/jetstream#syncing-data-to-disk";
const JETSTREAM: &str = "https://docs.nats.io/nats-concepts/jetstream";
const STREAMS: &str = "https://docs.nats.io/nats-concepts/jetstream/streams";

/// What the rows are concluded from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) config: &'a NatsConfig,
    pub(crate) server: &'a ServerInfo,
    /// The topic, if one was asked for.
    pub(crate) topic: Option<&'a Found>,
    /// The group, if one was asked for.
    pub(crate) group: Option<&'a Layout>,
}

impl Facts<'_> {
    fn stream(&self) -> Option<&Config> {
        self.topic.and_then(Found::config)
    }

    /// How the stream's and the consumers' settings are known. Without a topic, those that `declare` would make are meant.
    fn basis(&self) -> Basis {
        match (self.topic, self.stream()) {
            (Some(_), Some(_)) => Basis::Probed,
            (Some(_), None) => Basis::Unknown,
            (None, _) => Basis::Documented,
        }
    }

    /// A row that holds for what we declare, and is unknown where nobody looked.
    fn declared<T: Level>(&self, value: T, source: &'static str) -> Row<T> {
        match self.basis() {
            Basis::Unknown => Row::unknown(source)
                .because("nobody looked at the stream and its consumers")
                .raise("topology=check, with the permission for $JS.API.STREAM.INFO and CONSUMER.INFO"),
            basis => Row::new(value, basis, source),
        }
    }

    fn lanes(&self) -> Lanes {
        self.group.map(|group| group.lanes).or(self.config.lanes).unwrap_or(Lanes::Relaxed)
    }

    fn replicas(&self) -> usize {
        self.stream().map_or(self.config.replicas.unwrap_or(1), |stream| stream.num_replicas)
    }

    /// Row by row.
    pub(crate) fn guarantees(&self) -> Guarantees {
        Guarantees {
            backend: "nats",
            version: Some(self.server.version.clone()),
            ordering: self
                .declared(Scope::Key, JETSTREAM)
                .because("one connection publishes in order to one subject; one member has a partition at a time"),
            order_after_redelivery: self
                .declared(Kept::Yes, CONSUMERS)
                .because("the client delivers it again itself, before later messages of its key"),
            order_across_consumers: self
                .declared(Kept::Yes, CONSUMERS)
                .because("members share the partitions out by entries of a bucket; messages of one go to its owner"),
            order_after_member_death: self.order_after_member_death(),
            order_after_failed_publish: Row::new(AfterFailure::Held, Basis::Client, JETSTREAM)
                .because("what was sent before the failure showed may be stored behind it"),
            delivery: self.delivery(),
            unsubscribed_publish: self
                .declared(Unsubscribed::Kept, STREAMS)
                .because("retention `limits`: the stream keeps messages whether or not anybody consumes"),
            publish_confirmation: Row::new(Confirmation::Confirmed, Basis::Client, JETSTREAM)
                .because("the acknowledgement of the stream that was expected"),
            durability_on_confirm: self.durability(),
            acknowledgement: self.declared(Acknowledgement::Individual, ACKS).because("explicit acknowledgement"),
            settlement: self.settlement(),
            redelivery: self.redelivery(),
            exclusivity: self.exclusivity(),
            deduplication: self
                .declared(Deduplication::Window, DEDUPLICATION)
                .because("Nats-Msg-Id is the message's id; the server looks at nothing else"),
            dead_letter: Row::new(DeadLetter::AtLeastOnce, Basis::Client, CONSUMERS).because(
                "the envelope is confirmed before the original is acknowledged; the server itself gives nothing up \
                 (max_deliver -1)",
            ),
            fan_out: Row::new(FanOut::Groups, Basis::Documented, CONSUMERS)
                .because("every group has consumers of its own on the topic's stream"),
            replay: self
                .declared(Replay::Earliest, CONSUMERS)
                .because("a partition's consumer is made again when a member that asks for it gets the partition"),
            lease: Row::new(Lease::Session, Basis::Client, ACKS).because(
                "the client tells progress for everything it holds, three times in each ack wait; a member that is \
                 silent for the session timeout loses its partitions",
            ),
            delay: Row::new(Delay::Redelivery, Basis::Client, CONSUMERS)
                .because("the client keeps the message for the delay")
                .raise("JetStream delays no publish before 2.12; later by the native client"),
            transactions: Row::new(Transactions::None, Basis::Documented, JETSTREAM)
                .because("a publish and an acknowledgement are never atomic"),
            limits: self.limits(),
        }
    }

    fn order_after_member_death(&self) -> Row<Kept> {
        let row = self.declared(Kept::Yes, CONSUMERS);
        match self.lanes() {
            Lanes::Strict => row.because("the server hands out one message of a partition at a time"),
            Lanes::Relaxed => row.because(
                "the next owner takes everything back that is unacknowledged, in order, before it asks for more",
            ),
        }
    }

    fn delivery(&self) -> Row<DeliveryLevel> {
        let row = self.declared(DeliveryLevel::AtLeastOnce, ACKS);
        match self.stream().and_then(losing) {
            Some(limit) => row.because(format!("explicit acknowledgement; but {limit}")),
            None => row.because("explicit acknowledgement; the stream has no limit that removes messages"),
        }
    }

    /// The server writes to the page cache and confirms; it calls fsync every two minutes unless it is configured to do so
    /// before each confirmation. No request shows that.
    fn durability(&self) -> Row<Durability> {
        let (value, because) = match (self.replicas() >= 3, self.config.sync) {
            (false, Sync::Interval) => (
                Durability::PageCache,
                "one server's page cache, written through every two minutes: a power cut takes up to that",
            ),
            (false, Sync::Always) => (Durability::Fsync, "sync_interval: always is stated"),
            (true, Sync::Interval) => (
                Durability::Replicated,
                "a majority's page cache; tests of 2.12.1 by Jepsen lost confirmed messages when machines lost power \
                 together, and after one machine's crash with pauses",
            ),
            (true, Sync::Always) => (
                Durability::ReplicatedFsync,
                "sync_interval: always is stated; tests of 2.12.1 by Jepsen lost some with corrupted files, and with \
                 changes of membership amid partitions",
            ),
        };
        let row = self.declared(value, DISK).because(because);
        let stated = self.config.sync == Sync::Always && row.basis != Basis::Unknown;
        let row = if stated { Row { basis: Basis::Stated, ..row } } else { row };
        row.raise("sync_interval: always on the server, stated by sync=always; 3 replicas")
    }

    fn settlement(&self) -> Row<Certainty> {
        if self.replicas() >= 3 {
            return self.declared(Certainty::Confirmed, ACKS).because("a majority has the acknowledgement");
        }
        self.declared(Certainty::Recorded, ACKS)
            .because(
                "the server answers, but writes acknowledgements to its disk ten times a second: when it is killed, the \
                 last ones are forgotten",
            )
            .raise("3 replicas")
    }

    fn redelivery(&self) -> Row<Redelivery> {
        if self.replicas() < 3 {
            return self
                .declared(Redelivery::Unmarked, CONSUMERS)
                .because(
                    "marked and counted, except that a single server that is killed forgets the deliveries of its last \
                     tenth of a second: their messages may come to another member as new",
                )
                .raise("3 replicas");
        }
        self.declared(Redelivery::Flag, CONSUMERS).because(
            "within a session attempts are counted by the client; the server tells the next session how often it handed \
             the message out, not how often it was tried",
        )
    }

    fn exclusivity(&self) -> Row<Exclusivity> {
        self.declared(Exclusivity::Fenced, CONSUMERS)
            .because(
                "a member that was silent for the session timeout hands out and acknowledges nothing more, by its own \
                 clock; an acknowledgement that it had sent before is taken by the server even if it arrives later",
            )
            .raise("nothing on this broker; make the handler idempotent")
    }

    fn limits(&self) -> Limits {
        let in_flight = self.group.map(|group| group.max_pending.max(1) as usize * group.partitions as usize);
        Limits {
            message_bytes: Some(message_bytes(self.server, self.stream())),
            batch: None,
            in_flight,
            deduplication_window: self
                .stream()
                .map(|stream| stream.duplicate_window)
                .or(self.config.deduplication),
            lease: None,
        }
    }
}

/// What headers take that [`Message::size`](anybroker_core::Message::size) does not count: names, the id twice, the
/// stream's name.
const HEADERS: usize = 1024;

/// The largest message: <https://docs.nats.io/running-a-nats-service/configuration#limits>.
pub(crate) fn message_bytes(server: &ServerInfo, stream: Option<&Config>) -> usize {
    let stream = stream.map(|stream| stream.max_message_size).and_then(|size| usize::try_from(size).ok());
    let most = stream.filter(|size| *size > 0).unwrap_or(usize::MAX).min(server.max_payload);
    most.saturating_sub(HEADERS)
}

/// How long a stream that we make remembers ids.
pub(crate) const WINDOW: Duration = Duration::from_secs(120);
