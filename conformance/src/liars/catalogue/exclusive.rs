//! Messages that two members hold: P8.

use std::time::Duration;

use anybroker_core::{Guarantees, Kept};

use super::super::aside::{Aside, When};
use super::super::handed::Handed;
use super::super::liar::Liar;
use super::super::lie::Count;
use super::super::tell::{delivers, opens};
use crate::properties::Property::*;

/// A copy may overtake what was put back.
fn in_no_order(promised: &mut Guarantees) {
    promised.order_after_redelivery.value = Kept::No;
}

pub(super) fn liars() -> Vec<Liar> {
    let all = vec![
        Liar::new("every-member-gets-everything", P8, "gives every member of a group every message", || {
            delivers(|group, batch| {
                for handed in batch.iter().filter(|it| !it.is_dead_letter()) {
                    for other in others(group, handed) {
                        let copy = Handed { attempt: 1, redelivered: false, ..handed.again() };
                        group.put(copy, When::now().to(other));
                    }
                }
                batch
            })
        })
        .promises(in_no_order)
        .implies(&[
            (P6, "the other members' copies have no cause"),
            (P9, "the other members' copies are not marked"),
            (P6b, "a copy may come after the acknowledgement of another"),
            (P16, "a member gets copies of others' partitions out of turn"),
        ]),
        Liar::new(
            "hands-over-while-held",
            P8,
            "gives a partition to a new member while the old one holds its messages",
            || opens(|subscription| subscription.drain = Duration::ZERO),
        ),
        Liar::new("two-members-hold-one", P8, "gives every fifth message to another member as well", || {
            let count = Count::default();
            delivers(move |group, batch| {
                for handed in batch.iter().filter(|it| !it.is_dead_letter() && count.every(5)) {
                    if let Some(other) = others(group, handed).first() {
                        group.delivered_besides(handed);
                        group.put(handed.again(), When::now().to(*other));
                    }
                }
                batch
            })
        })
        .promises(in_no_order)
        .implies(&[
            (P6, "the other member's copy has no cause"),
            (P6b, "the other member's copy may come after the acknowledgement"),
        ]),
    ];
    all.into_iter().map(|liar| liar.needs(&["held_deliveries_keep_others_out"])).collect()
}

/// The other members of the group.
fn others(group: &Aside, handed: &Handed) -> Vec<u64> {
    group.open().into_iter().filter(|member| *member != handed.member).collect()
}
