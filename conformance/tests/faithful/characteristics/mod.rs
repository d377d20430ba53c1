//! The catalogue: what one broker does otherwise than another, as questions that each has one answer to.

mod dead_letters;
mod duplicates;
mod groups;
mod hand_over;
mod publishing;
mod redelivery;

use anybroker_conformance::cases::Disturbs;
use futures::future::BoxFuture;

use crate::scene::Scene;

/// A question, and how it is asked.
#[derive(Clone, Copy)]
pub(crate) struct Characteristic {
    pub(crate) name: &'static str,
    pub(crate) question: &'static str,
    pub(crate) disturbs: Disturbs,
    pub(crate) ask: fn(Scene) -> BoxFuture<'static, anybroker::Result<String>>,
}

macro_rules! characteristics {
    ($($module:ident :: $name:ident $(($disturbs:ident))?: $question:literal,)+) => {
        /// All of them.
        pub(crate) const ALL: &[Characteristic] = &[$(Characteristic {
            name: stringify!($name),
            question: $question,
            disturbs: characteristics!(@ $($disturbs)?),
            ask: |scene| Box::pin(async move {
                let answer = $module::$name(&scene).await;
                scene.tidy().await;
                answer
            }),
        }),+];
    };
    (@) => { Disturbs::Nothing };
    (@ $disturbs:ident) => { Disturbs::$disturbs };
}

characteristics! {
    redelivery::in_hand: "How many of one key can a member have in hand?",
    redelivery::later_of_a_held_key: "a1 is held, and a2 of its key and b1 are published: what comes meanwhile?",
    redelivery::nack_in_its_key: "a1 is put back, and a2, a3 of its key are there: what comes?",
    redelivery::nack_and_other_keys: "a1 is put back for 20 seconds: does b1 come meanwhile?",
    redelivery::nack_waits: "a1 is put back for 700 ms: does it come earlier?",
    redelivery::marks_after_nack: "How does it come again after a negative acknowledgement?",
    redelivery::settling_behind_a_nack: "a1 is put back: what becomes of an acknowledgement of a2 of its key?",
    redelivery::answer_to_an_acknowledgement: "What is an acknowledgement answered with?",
    hand_over::closed_with_messages: "A member closes with a1, a2 in hand: how do they come to the next?",
    hand_over::dropped_with_messages: "A member ends without closing: how do they come to the next?",
    hand_over::cut_off_with_messages(Proxy): "A member loses its connection for ever: how do they come to the next?",
    hand_over::nacked_and_closed: "a1 is put back for an hour, and the member closes: when, and how, does it come?",
    hand_over::hole: "a1, a2 are acknowledged and a0 before them is not; the member closes: what comes again?",
    hand_over::hole_of_a_dropped_member: "The same, and the member ends without closing?",
    hand_over::settling_after_close: "What becomes of an acknowledgement after its consumer was closed?",
    hand_over::rebalance: "x is held, y behind it is acknowledged, and a member joins: what moves to it?",
    duplicates::at_once: "The same id is published twice: what comes?",
    duplicates::by_another_connection: "The same id is published again by another connection: what comes?",
    duplicates::after_a_restart(Broker): "The broker is killed and restarted before the second: what comes?",
    groups::without_a_group: "What becomes of a publish that no group is there for?",
    groups::second_group: "Does a second group get every message too?",
    groups::late_group: "m1 is published, a group declared, m2 published: what does it get?",
    groups::from_the_earliest: "May a new group start with the earliest message?",
    groups::undeclared_group: "A member joins a group that nobody has declared: what happens?",
    dead_letters::attempts_used_up: "Three attempts of a1 fail, and there are to be no more: what happens?",
    dead_letters::given_up: "a1 is given up by the application: what happens?",
    publishing::missing_topic: "A publisher, a consumer of a missing topic: what happens?",
    publishing::too_large: "A message of a byte more than the limit: what happens to it, and to its key?",
    publishing::positions: "Do receipts and deliveries say where a message is stored?",
    publishing::transactions: "Is there a transaction, and does what it aborts stay away?",
    publishing::lists_topics: "Can its topics be listed?",
}
