//! Redeliveries that do not say that they are: P9.

use std::collections::HashMap;
use std::sync::Mutex;

use anybroker_core::{Guarantees, Redelivery};

use super::super::aside::lock;
use super::super::liar::Liar;
use super::super::tell::each;
use crate::properties::Property::*;

/// A redelivery is marked by a flag.
pub(super) fn flag(promised: &mut Guarantees) {
    promised.redelivery.value = Redelivery::Flag;
}

pub(super) fn liars() -> Vec<Liar> {
    let all = vec![
        Liar::new("clears-the-count", P9, "says of every delivery that it is the first", || {
            each(|_, mut handed| {
                (handed.attempt, handed.redelivered) = (1, false);
                Some(handed)
            })
        }),
        Liar::new("counts-to-two", P9, "counts no further than two", || {
            each(|_, mut handed| {
                handed.attempt = handed.attempt.min(2);
                Some(handed)
            })
        }),
        Liar::new("counts-anew", P9, "counts attempts anew for each member", || {
            let first = Mutex::new(HashMap::<(String, u64), u32>::new());
            each(move |_, mut handed| {
                let before = *lock(&first).entry((handed.id(), handed.member)).or_insert(handed.attempt - 1);
                handed.attempt -= before.min(handed.attempt - 1);
                Some(handed)
            })
        }),
        Liar::new("forgets-the-flag", P9, "flags no redelivery", || {
            each(|_, mut handed| {
                // A count would give it away.
                (handed.attempt, handed.redelivered) = (1, false);
                Some(handed)
            })
        })
        .promises(flag),
        Liar::new(
            "forgets-the-flag-across-members",
            P9,
            "flags what comes again to the same member only",
            || {
                let last = Mutex::new(HashMap::<String, u64>::new());
                each(move |_, mut handed| {
                    let before = lock(&last).insert(handed.id(), handed.member);
                    if before.is_some_and(|before| before != handed.member) {
                        (handed.attempt, handed.redelivered) = (1, false);
                    }
                    Some(handed)
                })
            },
        )
        .promises(flag),
    ];
    all.into_iter().map(|liar| liar.needs(&["order_per_key"])).collect()
}
