//! The liars, by what they lie about.

mod again;
mod content;
mod contract;
mod dead_letters;
mod deduplication;
mod delays;
mod exclusive;
mod groups;
mod log;
mod loss;
mod marks;
mod order;
mod positions;
mod progress;
mod requeue;
mod transactions;
mod writes;

use anybroker_core::{Certainty, Exclusivity, Guarantees, Kept, Replay};

use super::liar::Liar;
use super::lie::Honest;

/// Every liar.
pub(super) fn liars() -> Vec<Liar> {
    [
        content::liars(),
        writes::liars(),
        loss::liars(),
        log::liars(),
        groups::liars(),
        again::liars(),
        order::liars(),
        requeue::liars(),
        exclusive::liars(),
        marks::liars(),
        dead_letters::liars(),
        deduplication::liars(),
        delays::liars(),
        positions::liars(),
        progress::liars(),
        transactions::liars(),
        contract::liars(),
    ]
    .concat()
}

/// Brokers that do not lie, in the configurations that the liars are made of.
pub(super) fn honest() -> Vec<Liar> {
    let honest = |name, about| Liar::honest(name, about, || Box::new(Honest)).needs(OFTEN);
    vec![
        honest("honest", "the in-memory broker as it is"),
        honest("honest-without-positions", "it tells no positions").promises(without_positions),
        honest("honest-loose", "it promises little more than that nothing is lost").promises(loose),
        honest("honest-lease", "a delivery may be held for ten seconds")
            .over(|config| config.lease = Some(LEASE)),
        honest("honest-deduplication", "it stores an id once in two minutes")
            .over(|config| config.deduplication = Some(WINDOW)),
        honest("honest-flag", "redeliveries are marked by a flag").promises(marks::flag),
        honest("honest-recorded", "acknowledgements are not confirmed").promises(recorded),
        honest("honest-at-most-once", "it promises to deliver at most once").promises(again::at_most_once),
        honest("honest-producer-session", "what a client sends again is stored once")
            .promises(writes::idempotent),
    ]
}

/// The cases that the liars need besides the common ones.
const OFTEN: &[&str] = &[
    "order_per_key",
    "members_share_and_groups_fan_out",
    "held_deliveries_keep_others_out",
    "redelivery_keeps_its_place",
    "hole_in_the_acknowledgements",
    "nacks_over_closing_members",
    "silence_after_the_end",
    "window_is_bounded",
    "deduplication_window",
    "distinct_ids_are_kept",
    "delivery_limit",
    "delays_are_floors",
    "transactions_are_atomic",
    "transactions_fence_zombies",
    "transactions_time_out",
    "transactions_over_rebalances",
    "broker_paused",
];

const LEASE: std::time::Duration = std::time::Duration::from_secs(10);
const WINDOW: std::time::Duration = std::time::Duration::from_secs(120);

/// It tells no positions, and so promises nothing that needs them; nor can it be told who holds a partition.
fn without_positions(promised: &mut Guarantees) {
    promised.replay.value = Replay::None;
    promised.exclusivity.value = Exclusivity::None;
}

/// It delivers some messages by itself: to whom, and when, it does not promise.
fn loose(promised: &mut Guarantees) {
    without_positions(promised);
    promised.order_after_redelivery.value = Kept::No;
}

/// An acknowledgement is recorded, and not confirmed.
fn recorded(promised: &mut Guarantees) {
    promised.settlement.value = Certainty::Recorded;
}
