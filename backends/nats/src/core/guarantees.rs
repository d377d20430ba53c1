//! What core NATS promises: little, and it says so.

use anybroker_core::{
    Acknowledgement, AfterFailure, Basis, Certainty, Confirmation, DeadLetter, Deduplication, Delay,
    DeliveryLevel, Durability, Exclusivity, FanOut, Guarantees, Kept, Lease, Level, Limits, Redelivery,
    Replay, Row, Scope, Transactions, Unsubscribed,
};
use async_nats::ServerInfo;

use crate::guarantees::message_bytes;

const CORE: &str = "https://docs.nats.io/nats-concepts/core-nats";
const QUEUES: &str = "https://docs.nats.io/nats-concepts/core-nats/queue-groups/queue";
const SLOW: &str = "https://docs.nats.io/using-nats/developer/connecting/events/slow";

const JETSTREAM: &str = "use nats:// (JetStream) in place of nats+core://";

/// A row that JetStream would raise.
fn weak<T: Level>(value: T, source: &'static str, because: &'static str) -> Row<T> {
    Row::new(value, Basis::Documented, source).because(because).raise(JETSTREAM)
}

/// Row by row.
pub(super) fn guarantees(server: &ServerInfo) -> Guarantees {
    Guarantees {
        backend: "nats-core",
        version: Some(server.version.clone()),
        ordering: weak(
            Scope::None,
            CORE,
            "a group's only member gets one publisher's messages in order, except across a reconnect; several members \
             get them in none",
        ),
        order_after_redelivery: Row::new(Kept::Yes, Basis::Client, CORE).because(
            "what the application puts back comes before later messages of its key, within the session",
        ),
        order_across_consumers: weak(Kept::No, QUEUES, "each message goes to a member chosen at random"),
        order_after_member_death: weak(Kept::No, QUEUES, "what a member held is lost with it"),
        order_after_failed_publish: Row::new(AfterFailure::Held, Basis::Client, CORE)
            .because("what was sent before the failure showed may have been delivered"),
        delivery: weak(
            DeliveryLevel::AtMostOnce,
            CORE,
            "nothing is stored: what a member, a slow application or a broken connection loses is lost; only what the \
             application itself puts back comes again",
        ),
        unsubscribed_publish: weak(Unsubscribed::Dropped, CORE, "who is not there gets nothing"),
        publish_confirmation: weak(
            Confirmation::None,
            CORE,
            "a publish returns when the server has read the message; whether anybody got it, nobody says",
        ),
        durability_on_confirm: weak(Durability::Memory, CORE, "nothing is stored"),
        acknowledgement: Row::new(Acknowledgement::Individual, Basis::Client, CORE)
            .because("an acknowledgement ends the session's own copy; the server knows none"),
        settlement: weak(Certainty::Recorded, CORE, "the server forgets a message as it sends it"),
        redelivery: Row::new(Redelivery::Count, Basis::Client, CORE)
            .because("only a session itself delivers again, and it counts"),
        exclusivity: weak(Exclusivity::None, QUEUES, "members share messages out, not keys"),
        deduplication: weak(Deduplication::None, CORE, "the server looks at no id"),
        dead_letter: weak(DeadLetter::AtMostOnce, CORE, "the envelope is published at most once too"),
        fan_out: Row::new(FanOut::Groups, Basis::Documented, QUEUES)
            .because("each queue group that is there gets every message"),
        replay: weak(Replay::None, CORE, "nothing is stored"),
        lease: Row::new(Lease::Session, Basis::Client, SLOW).because(
            "a delivery may be held for as long as the session lives, while further messages fill its buffer",
        ),
        delay: Row::new(Delay::Redelivery, Basis::Client, CORE)
            .because("the client keeps the message for the delay"),
        transactions: Row::new(Transactions::None, Basis::Documented, CORE),
        limits: Limits { message_bytes: Some(message_bytes(server, None)), ..Limits::default() },
    }
}
