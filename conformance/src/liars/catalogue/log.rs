//! Logs that skip what they hold: P3p.

use std::collections::HashSet;
use std::sync::Mutex;

use super::super::aside::lock;
use super::super::handed::Handed;
use super::super::liar::Liar;
use super::super::lie::Count;
use super::super::tell::{delivers, each};
use crate::properties::Property::{self, *};

const SKIPPED: &[(Property, &str)] = &[
    (P3, "once drained, what was skipped is lost"),
    (P14, "what was skipped in one group did not reach it"),
];

pub(super) fn liars() -> Vec<Liar> {
    let all = vec![
        Liar::new("skips-an-offset", P3p, "leaves out every hundredth position of a partition", || {
            each(|_, mut handed| {
                if handed.offset % 100 != 99 {
                    return Some(handed);
                }
                handed.forget();
                None
            })
        }),
        Liar::new(
            "starts-one-too-late",
            P3p,
            "a new owner of a partition begins one position too late",
            || {
                let begun = Mutex::new(HashSet::new());
                each(move |_, mut handed| {
                    let first = lock(&begun).insert((handed.member, handed.partition, handed.generation));
                    if !(first && handed.is_fresh()) {
                        return Some(handed);
                    }
                    handed.forget();
                    None
                })
            },
        ),
        Liar::new("drops-a-batch", P3p, "loses every tenth batch that it reads", || {
            let count = Count::default();
            delivers(move |_, mut batch| {
                let lost = |handed: &Handed| handed.is_fresh() && !handed.is_dead_letter();
                if count.every(10) {
                    batch.iter_mut().filter(|it| lost(it)).for_each(|it| _ = it.forget());
                    batch.retain(|it| !lost(it));
                }
                batch
            })
        }),
    ];
    all.into_iter().map(|liar| liar.implies(SKIPPED).or_needs(&["order_per_key"])).collect()
}
