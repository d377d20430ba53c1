//! Positions that do not hold: P16.

use anybroker_core::{Exclusivity, Guarantees};

use super::super::liar::Liar;
use super::super::tell::{delivers, each};
use crate::properties::Property::*;

/// Which partition a message is of cannot be told, nor who holds one.
fn promised(promised: &mut Guarantees) {
    promised.exclusivity.value = Exclusivity::None;
}

pub(super) fn liars() -> Vec<Liar> {
    let all = vec![
        Liar::new("renumbers", P16, "counts positions from one and not from zero where it delivers", || {
            each(|_, mut handed| {
                handed.offset += 1;
                Some(handed)
            })
        }),
        Liar::new("renumbers-for-a-new-member", P16, "counts positions anew for each member", || {
            each(|_, mut handed| {
                handed.offset += handed.member - 1;
                Some(handed)
            })
        }),
        Liar::new("one-partition-for-all", P16, "says of every message that it is in partition 0", || {
            each(|_, mut handed| {
                handed.partition = 0;
                Some(handed)
            })
        }),
        Liar::new(
            "reads-back-and-forth",
            P16,
            "reads a partition key by key, and not in the order of its positions",
            || {
                delivers(|_, mut batch| {
                    batch.sort_by(|one, other| one.record.key().cmp(&other.record.key()));
                    batch
                })
            },
        ),
    ];
    // One that reads back and forth tells the truth of partitions and of who has them.
    let promised =
        |liar: Liar| if liar.name == "reads-back-and-forth" { liar } else { liar.promises(promised) };
    all.into_iter().map(|liar| promised(liar).or_needs(&["order_per_key"])).collect()
}
