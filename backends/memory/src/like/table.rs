//! The guarantees of each broker, row by row, as data. `conformance/tests/documents` compares them with what the adapters
//! answer on the running servers.

use std::time::Duration;

use anybroker_core::{
    Acknowledgement, AfterFailure, Basis, Certainty, Confirmation, DeadLetter, Deduplication, Delay,
    DeliveryLevel, Durability, Exclusivity, FanOut, Guarantees, Kept, Lease, Level, Limits, Redelivery,
    Replay, Row, Scope, Transactions, Unsubscribed,
};

use super::Like;
use crate::guarantees::{SOURCE, VERSION};

const MINUTE: Duration = Duration::from_secs(60);

/// What the broker promises; each line has Kafka, RabbitMQ, JetStream, core NATS, SQS FIFO and Pulsar in this order.
pub(crate) fn guarantees(like: Like) -> Guarantees {
    use Unsubscribed as U;
    use {AfterFailure as A, Certainty as C, DeadLetter as L, Deduplication as D, DeliveryLevel as Often};
    use {Durability as Disk, Exclusivity as E, Kept as K, Redelivery as R, Scope as S, Transactions as T};
    let of = Column(like);
    Guarantees {
        backend: "memory",
        version: Some(VERSION.to_owned()),
        ordering: of.row([S::Key, S::Key, S::Key, S::None, S::Key, S::Key]),
        order_after_redelivery: of.row([K::Yes; 6]),
        order_across_consumers: of.row([K::Yes, K::Yes, K::Yes, K::No, K::Yes, K::Yes]),
        order_after_member_death: of.row([K::Yes, K::Yes, K::Yes, K::No, K::Yes, K::Yes]),
        order_after_failed_publish: of.row([A::Held; 6]),
        delivery: of.row([
            Often::AtLeastOnce,
            Often::AtLeastOnce,
            Often::AtLeastOnce,
            Often::AtMostOnce,
            Often::AtLeastOnce,
            Often::AtLeastOnce,
        ]),
        unsubscribed_publish: of.row([U::Kept, U::Refused, U::Kept, U::Dropped, U::Kept, U::Kept]),
        publish_confirmation: of.row([
            Confirmation::Confirmed,
            Confirmation::Confirmed,
            Confirmation::Confirmed,
            Confirmation::None,
            Confirmation::Confirmed,
            Confirmation::Confirmed,
        ]),
        durability_on_confirm: of.row([
            Disk::PageCache,
            Disk::Fsync,
            Disk::PageCache,
            Disk::Memory,
            Disk::Memory,
            Disk::PageCache,
        ]),
        acknowledgement: of.row([
            Acknowledgement::Cumulative,
            Acknowledgement::Individual,
            Acknowledgement::Individual,
            Acknowledgement::Individual,
            Acknowledgement::Individual,
            Acknowledgement::Individual,
        ]),
        settlement: of.row([C::Recorded, C::Recorded, C::Recorded, C::Recorded, C::Confirmed, C::Recorded]),
        redelivery: of.row([R::Unmarked, R::Flag, R::Unmarked, R::Count, R::Flag, R::Unmarked]),
        exclusivity: of.row([E::Fenced, E::Fenced, E::Fenced, E::None, E::Key, E::None]),
        deduplication: of.row([D::ProducerSession, D::None, D::Window, D::None, D::Window, D::None]),
        dead_letter: of.row([
            L::AtLeastOnce,
            L::AtLeastOnce,
            L::AtLeastOnce,
            L::AtMostOnce,
            L::AtLeastOnce,
            L::AtLeastOnce,
        ]),
        fan_out: of.row([
            FanOut::Groups,
            FanOut::Groups,
            FanOut::Groups,
            FanOut::Groups,
            FanOut::None,
            FanOut::Groups,
        ]),
        replay: of.row([
            Replay::Earliest,
            Replay::None,
            Replay::Earliest,
            Replay::None,
            Replay::None,
            Replay::Earliest,
        ]),
        lease: of.row([
            Lease::Session,
            Lease::Fixed,
            Lease::Session,
            Lease::Session,
            Lease::Extendable,
            Lease::Session,
        ]),
        delay: of.row([Delay::Redelivery; 6]),
        transactions: of.row([T::ReadProcessWrite, T::None, T::None, T::None, T::None, T::None]),
        limits: Limits {
            message_bytes: Some(of.pick([1_046_540, 16 << 20, 1_047_552, 1_047_552, 1 << 20, 5_240_832])),
            batch: of.pick([None, None, None, None, Some(10), None]),
            in_flight: of.pick([None, Some(2_000), Some(10_000), None, Some(120_000), None]),
            deduplication_window: of.pick([None, None, Some(2 * MINUTE), None, Some(5 * MINUTE), None]),
            lease: of.pick([None, Some(30 * MINUTE), None, None, Some(12 * 60 * MINUTE), None]),
        },
    }
}

struct Column(Like);

impl Column {
    fn pick<T: Copy>(&self, values: [T; 6]) -> T {
        let [kafka, rabbitmq, jetstream, nats_core, sqs_fifo, pulsar] = values;
        match self.0 {
            Like::Kafka => kafka,
            Like::RabbitMq => rabbitmq,
            Like::JetStream => jetstream,
            Like::NatsCore => nats_core,
            Like::SqsFifo => sqs_fifo,
            Like::Pulsar => pulsar,
        }
    }

    fn row<T: Level>(&self, values: [T; 6]) -> Row<T> {
        let because = format!("simulated in memory: like={}", self.0);
        Row::new(self.pick(values), Basis::Client, SOURCE).because(because)
    }
}
