//! What is promised. Every row is a decision; leaving one out does not compile.

use anybroker_core::*;

use crate::publisher::MESSAGE_BYTES;

pub(crate) fn guarantees() -> Guarantees {
    fn row<T: Level>(value: T) -> Row<T> {
        Row::new(value, Basis::Client, "this crate")
    }
    Guarantees {
        backend: "shelf",
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        ordering: row(Scope::Key).because("a message that waits for its delay lets other keys go on"),
        order_after_redelivery: row(Kept::Yes).because("the kit redelivers before later messages of the key"),
        order_across_consumers: row(Kept::Yes).because("one member at a time has the whole log"),
        order_after_member_death: row(Kept::Yes).because("the next one begins with what is not acknowledged"),
        order_after_failed_publish: row(AfterFailure::Held),
        delivery: row(DeliveryLevel::AtLeastOnce),
        unsubscribed_publish: row(Unsubscribed::Kept),
        publish_confirmation: row(Confirmation::Confirmed),
        durability_on_confirm: row(Durability::Memory),
        acknowledgement: row(Acknowledgement::Individual),
        settlement: row(Certainty::Confirmed),
        redelivery: row(Redelivery::Count),
        exclusivity: row(Exclusivity::Partition),
        deduplication: row(Deduplication::None),
        dead_letter: row(DeadLetter::AtLeastOnce)
            .because("the letter is stored before the original is settled"),
        fan_out: row(FanOut::Groups),
        replay: row(Replay::None),
        lease: row(Lease::Session),
        delay: row(Delay::Redelivery),
        transactions: row(Transactions::None),
        limits: Limits { message_bytes: Some(MESSAGE_BYTES), ..Limits::default() },
    }
}
