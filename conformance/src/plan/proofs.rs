//! The table: what proves each value of each row.

use anybroker_core::{
    Acknowledgement, AfterFailure, Certainty, Confirmation, DeadLetter, Deduplication, Delay, DeliveryLevel,
    Durability, Exclusivity, FanOut, Kept, Lease, Limits, Redelivery, Replay, Scope, Transactions,
    Unsubscribed,
};

use super::Proof::{self, Case, Property as P, Stated, Witness};
use crate::properties::Property::*;

pub(super) fn ordering(value: Scope) -> &'static [Proof] {
    match value {
        Scope::None => &[Witness("witness_order")],
        Scope::Publisher | Scope::Partition | Scope::Queue | Scope::Total => &[P(P7)],
        Scope::Key => {
            &[P(P7), Case("order_per_key"), Case("batches_and_single_publishes"), Case("worker_keyed_lanes")]
        }
    }
}

pub(super) fn order_after_redelivery(value: Kept) -> &'static [Proof] {
    match value {
        Kept::No => &[],
        Kept::Yes => &[
            P(P7r),
            Case("nack_comes_before_later_messages_of_its_key"),
            Case("redelivery_keeps_its_place"),
            Case("void_settlement_spares_its_siblings"),
            Case("worker_retries_in_order"),
        ],
    }
}

pub(super) fn order_across_consumers(value: Kept) -> &'static [Proof] {
    match value {
        Kept::No => &[Witness("witness_order")],
        Kept::Yes => &[
            P(P7),
            Case("order_across_consumers"),
            Case("members_join_and_leave"),
            Case("many_members_share"),
            Case("workers_join_and_leave"),
        ],
    }
}

pub(super) fn order_after_member_death(value: Kept) -> &'static [Proof] {
    match value {
        Kept::No => &[],
        Kept::Yes => &[
            P(P7),
            Case("member_killed"),
            Case("member_paused"),
            Case("connection_half_open"),
            Case("worker_killed"),
        ],
    }
}

pub(super) fn order_after_failed_publish(value: AfterFailure) -> &'static [Proof] {
    match value {
        AfterFailure::Gap => &[Case("gap_after_failed_publish")],
        AfterFailure::Held => &[P(P7), Case("gap_after_failed_publish")],
    }
}

pub(super) fn delivery(value: DeliveryLevel) -> &'static [Proof] {
    match value {
        DeliveryLevel::AtMostOnce => &[
            P(P4),
            Case("cancelled_receive_takes_nothing"),
            Case("nothing_comes_twice"),
            Witness("witness_loss"),
        ],
        DeliveryLevel::AtLeastOnce => &[
            P(P3),
            P(P3p),
            P(P6),
            P(P17),
            Case("backlog_before_the_first_member"),
            Case("close_hands_back"),
            Case("drop_hands_back"),
            Case("cancelled_receive_takes_nothing"),
            Case("dropped_handler_settles_nothing"),
            Case("nothing_comes_twice"),
            Case("silence_after_the_end"),
            Case("nacks_over_closing_members"),
            Case("publisher_killed"),
            Case("worker_connections_cut"),
            Case("worker_broker_killed"),
        ],
        DeliveryLevel::ExactlyOnce => &[P(P3), P(P5), P(P6), P(P15), P(P17)],
    }
}

pub(super) fn unsubscribed_publish(value: Unsubscribed) -> &'static [Proof] {
    match value {
        Unsubscribed::Dropped => &[Witness("witness_loss")],
        Unsubscribed::Refused | Unsubscribed::Kept => &[Case("publish_before_any_group")],
    }
}

pub(super) fn publish_confirmation(value: Confirmation) -> &'static [Proof] {
    match value {
        Confirmation::None => &[P(P1)],
        Confirmation::Confirmed => &[
            P(P1),
            P(P2),
            P(P3),
            Case("failed_publishes_stay_away"),
            Case("close_waits_for_confirmations"),
            Case("connection_cut"),
            Case("replies_dropped"),
            Case("connection_delayed"),
        ],
    }
}

pub(super) fn durability_on_confirm(value: Durability) -> &'static [Proof] {
    const STORED: Proof = Case("confirmed_is_stored");
    const POWER: Proof =
        Stated("a power cut: what is written survives the process, whether it reached the disk or not");
    const MACHINES: Proof = Stated("the loss of a machine takes several");
    match value {
        Durability::Memory => &[P(P3), STORED, Case("broker_paused")],
        Durability::PageCache => &[P(P3), STORED, Case("broker_killed_and_restarted")],
        Durability::Fsync => &[P(P3), STORED, Case("broker_killed_and_restarted"), POWER],
        Durability::Replicated => &[P(P3), STORED, Case("broker_killed_and_restarted"), MACHINES],
        Durability::ReplicatedFsync => &[P(P3), STORED, Case("broker_killed_and_restarted"), POWER, MACHINES],
    }
}

pub(super) fn acknowledgement(value: Acknowledgement) -> &'static [Proof] {
    match value {
        Acknowledgement::Cumulative | Acknowledgement::Individual => &[Case("hole_in_the_acknowledgements")],
    }
}

pub(super) fn settlement(value: Certainty) -> &'static [Proof] {
    match value {
        Certainty::Recorded => &[P(P6), Witness("witness_lost_acknowledgement")],
        Certainty::Confirmed => &[P(P6), P(P6b)],
    }
}

pub(super) fn redelivery(value: Redelivery) -> &'static [Proof] {
    match value {
        Redelivery::Unmarked => &[Case("redelivery_is_counted"), Witness("witness_unmarked_redelivery")],
        Redelivery::Flag | Redelivery::Count => &[P(P9), Case("redelivery_is_counted")],
    }
}

pub(super) fn exclusivity(value: Exclusivity) -> &'static [Proof] {
    match value {
        Exclusivity::None => &[Witness("witness_two_holders")],
        Exclusivity::Fenced => &[
            Case("stale_acknowledgement"),
            Case("acknowledgement_after_handover"),
            Witness("witness_two_holders"),
        ],
        Exclusivity::Key | Exclusivity::Partition | Exclusivity::Queue => {
            &[P(P8), Case("held_deliveries_keep_others_out")]
        }
    }
}

pub(super) fn deduplication(value: Deduplication) -> &'static [Proof] {
    match value {
        Deduplication::None => &[],
        Deduplication::ProducerSession => &[P(P5), Case("replies_dropped")],
        Deduplication::Window => {
            &[P(P5), P(P11), P(P11b), Case("deduplication_window"), Case("distinct_ids_are_kept")]
        }
    }
}

pub(super) fn dead_letter(value: DeadLetter) -> &'static [Proof] {
    match value {
        DeadLetter::None => &[],
        DeadLetter::AtMostOnce | DeadLetter::AtLeastOnce => &[
            P(P10),
            Case("delivery_limit"),
            Case("dead_letter_keeps_the_message"),
            Case("used_up_attempts_are_dead_lettered"),
            Case("worker_poison"),
        ],
    }
}

pub(super) fn fan_out(value: FanOut) -> &'static [Proof] {
    match value {
        FanOut::None => &[],
        FanOut::Emulated | FanOut::Groups => &[P(P14), Case("members_share_and_groups_fan_out")],
    }
}

pub(super) fn replay(value: Replay) -> &'static [Proof] {
    match value {
        Replay::None => &[],
        Replay::Earliest => {
            &[P(P16), P(P3p), Case("read_again_from_the_earliest"), Case("late_group_reads_the_history")]
        }
        Replay::Position => &[
            P(P16),
            P(P3p),
            Case("read_again_from_the_earliest"),
            Case("late_group_reads_the_history"),
            Stated("no consumer can be opened at a position or time"),
        ],
    }
}

pub(super) fn lease(value: Lease) -> &'static [Proof] {
    match value {
        Lease::Fixed => &[P(P6), Case("lease_lapses")],
        Lease::Extendable => &[P(P6), Case("lease_lapses"), Case("lease_is_extended")],
        Lease::Session => &[P(P6), Case("lease_is_extended")],
    }
}

pub(super) fn delay(value: Delay) -> &'static [Proof] {
    match value {
        Delay::None => &[],
        Delay::Redelivery | Delay::Publish => {
            &[P(P12), Case("nack_waits_for_its_delay"), Case("delays_are_floors")]
        }
    }
}

pub(super) fn transactions(value: Transactions) -> &'static [Proof] {
    match value {
        Transactions::None => &[Case("transactions_are_refused")],
        Transactions::ReadProcessWrite => &[
            P(P15),
            Case("transactions_are_atomic"),
            Case("transactions_fence_zombies"),
            Case("transactions_time_out"),
            Case("transactions_over_rebalances"),
            Case("transactions_broker_killed"),
            Case("worker_exactly_once"),
            Case("worker_commit_unanswered"),
        ],
    }
}

type Limit = (&'static str, &'static [Proof]);

/// What proves each limit, where there is one.
pub(super) const LIMITS: [Limit; 5] = [MESSAGE_BYTES, BATCH, IN_FLIGHT, DEDUPLICATION_WINDOW, LEASE];

const MESSAGE_BYTES: Limit =
    ("limits.message_bytes", &[Case("largest_and_one_byte_more"), Case("failed_publishes_stay_away")]);
const BATCH: Limit = ("limits.batch", &[Case("batch_over_the_limit_is_split")]);
const IN_FLIGHT: Limit = ("limits.in_flight", &[P(P13), Case("window_is_bounded")]);
const DEDUPLICATION_WINDOW: Limit = ("limits.deduplication_window", &[P(P11), Case("deduplication_window")]);
const LEASE: Limit = ("limits.lease", &[P(P6), Case("lease_lapses")]);

/// What proves the limits that there are.
pub(super) fn limits(limits: &Limits) -> Vec<Limit> {
    let Limits { message_bytes, batch, in_flight, deduplication_window, lease } = limits;
    let there = [
        message_bytes.is_some(),
        batch.is_some(),
        in_flight.is_some(),
        deduplication_window.is_some(),
        lease.is_some(),
    ];
    LIMITS.into_iter().zip(there).filter_map(|(limit, there)| there.then_some(limit)).collect()
}
