//! Publishes that came to something else than was said: P2, and P5 where the broker promises to store once.

use std::time::Duration;

use anybroker_core::{Deduplication, Error, Fate, Guarantees, Kind};

use super::super::liar::Liar;
use super::super::lie::Count;
use super::super::tell::{publishes, stores};
use super::without_positions;
use crate::properties::Property::*;

/// What a client sends again in one session is stored once.
pub(super) fn idempotent(promised: &mut Guarantees) {
    promised.deduplication.value = Deduplication::ProducerSession;
}

fn not_applied() -> Error {
    Error::new(Kind::Throttled, "publish", "the broker is busy").with_fate(Fate::NotApplied)
}

pub(super) fn liars() -> Vec<Liar> {
    let failed = vec![
        Liar::new(
            "says-failed-but-stores",
            P2,
            "says of every fiftieth publish that it was not applied, and stores it",
            || {
                let count = Count::default();
                stores(move |outlet, pending| {
                    if !count.every(50) {
                        return outlet.honest(pending);
                    }
                    if let Some(message) = pending.message().cloned() {
                        drop(outlet.store(message));
                    }
                    pending.fail(not_applied());
                })
            },
        ),
        Liar::new(
            "says-failed-and-stores-later",
            P2,
            "says of every fiftieth publish that it was not applied, and stores it a moment later",
            || {
                let count = Count::default();
                stores(move |outlet, pending| {
                    if !count.every(50) {
                        return outlet.honest(pending);
                    }
                    if let Some(message) = pending.message().cloned() {
                        let outlet = outlet.clone();
                        tokio::spawn(async move {
                            tokio::time::sleep(Duration::from_millis(5)).await;
                            drop(outlet.store(message));
                        });
                    }
                    pending.fail(not_applied());
                })
            },
        ),
        Liar::new(
            "refuses-the-end-of-a-batch-and-stores-it",
            P2,
            "stores whole batches, and says of the end of large ones that it was refused",
            || {
                publishes(|outlet, batch| {
                    let refused = if batch.len() > 5 { batch.len() - 1 } else { batch.len() };
                    for (at, pending) in batch.into_iter().enumerate() {
                        match (pending.refusal(), pending.message().cloned()) {
                            (None, Some(message)) if at == refused => {
                                drop(outlet.store(message));
                                pending.fail(not_applied());
                            }
                            _ => outlet.honest(pending),
                        }
                    }
                })
            },
        ),
    ];
    let twice = vec![
        Liar::new("stores-twice", P5, "appends every fiftieth message twice", || {
            let count = Count::default();
            stores(move |outlet, pending| {
                let again = pending.message().cloned().filter(|_| count.every(50));
                outlet.honest(pending);
                again.map(|message| outlet.store(message));
            })
        }),
        Liar::new(
            "stores-twice-later",
            P5,
            "appends every fiftieth message once more after a moment, as a client that gave up waiting too early",
            || {
                let count = Count::default();
                stores(move |outlet, pending| {
                    if let Some(message) = pending.message().cloned().filter(|_| count.every(50)) {
                        let outlet = outlet.clone();
                        tokio::spawn(async move {
                            tokio::time::sleep(Duration::from_millis(5)).await;
                            drop(outlet.store(message));
                        });
                    }
                    outlet.honest(pending);
                })
            },
        ),
        Liar::new(
            "sends-a-batch-twice",
            P5,
            "sends every tenth batch once more, and the broker stores it again",
            || {
                let count = Count::default();
                publishes(move |outlet, batch| {
                    let again: Vec<_> = match count.every(10) {
                        true => batch.iter().filter_map(|pending| pending.message().cloned()).collect(),
                        false => Vec::new(),
                    };
                    batch.into_iter().for_each(|pending| outlet.honest(pending));
                    again.into_iter().for_each(|message| drop(outlet.store(message)));
                })
            },
        ),
    ];
    let failed = failed.into_iter().map(|liar| liar.promises(without_positions).or_needs(&["order_per_key"]));
    failed
        .chain(twice.into_iter().map(|liar| liar.promises(idempotent).or_needs(&["order_per_key"])))
        .collect()
}
