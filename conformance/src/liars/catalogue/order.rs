//! Messages out of order: P7. None of these tells positions, by which P16 would show it as well.

use std::collections::HashMap;
use std::sync::Mutex;

use anybroker_core::kit::Pending;
use anybroker_core::{Message, Receipt};

use super::super::aside::lock;
use super::super::handed::Handed;
use super::super::liar::Liar;
use super::super::lie::{Count, Lie};
use super::super::publisher::Outlet;
use super::super::tell::delivers;
use super::without_positions;
use crate::properties::Property::*;

pub(super) fn liars() -> Vec<Liar> {
    let of_a_key = vec![
        Liar::new("reverses-batches", P7, "delivers each batch in reverse", || {
            delivers(|_, batch| fresh(batch, |batch| batch.reverse()))
        }),
        Liar::new("last-in-first-out", P7, "delivers the newest message first", || Box::new(Stack)),
        Liar::new("swaps-neighbours", P7, "swaps every tenth message with the next one of its key", || {
            let count = Count::default();
            delivers(move |_, mut batch| {
                for at in 1..batch.len() {
                    let (one, two) = (&batch[at - 1], &batch[at]);
                    let fresh = one.is_fresh() && two.is_fresh();
                    let next = batch[at..].iter().position(|it| it.record.key() == one.record.key());
                    if let Some(next) = next.filter(|_| fresh && count.every(10)) {
                        batch.swap(at - 1, at + next);
                    }
                }
                batch
            })
        }),
        Liar::new("shuffles-within-a-key", P7, "delivers the messages of a key in any order", || {
            delivers(|_, batch| fresh(batch, |batch| shuffle(batch)))
        }),
        Liar::new(
            "shuffles-across-calls",
            P7,
            "stores what one call published after what the next one does",
            || Box::new(Late::default()),
        ),
        Liar::new(
            "stores-batches-from-the-end",
            P7,
            "stores the messages of one call from the last to the first",
            || {
                super::super::tell::publishes(|outlet, batch| {
                    batch.into_iter().rev().for_each(|pending| outlet.honest(pending));
                })
            },
        ),
    ];
    of_a_key.into_iter().map(|liar| liar.promises(without_positions).or_needs(&["order_per_key"])).collect()
}

/// Changes the order of what is fresh; what comes again stays in front of it.
fn fresh(batch: Vec<Handed>, change: impl FnOnce(&mut Vec<Handed>)) -> Vec<Handed> {
    let (mut fresh, mut all): (Vec<_>, Vec<_>) = batch.into_iter().partition(Handed::is_fresh);
    change(&mut fresh);
    all.extend(fresh);
    all
}

/// Exchanges messages with earlier ones of their keys.
fn shuffle(batch: &mut [Handed]) {
    for at in 1..batch.len() {
        let same = |it: &Handed| it.record.key() == batch[at].record.key();
        let before: Vec<_> = (0..at).filter(|other| same(&batch[*other])).collect();
        if let Some(other) = before.get(at * 7 % (before.len() + 1)) {
            batch.swap(at, *other);
        }
    }
}

/// Takes a lot, and delivers from the end.
struct Stack;

impl Lie for Stack {
    fn take(&self, _asked: usize) -> usize {
        1_000
    }

    fn deliver(&self, _group: &super::super::aside::Aside, batch: Vec<Handed>) -> Vec<Handed> {
        fresh(batch, |batch| batch.reverse())
    }
}

/// Holds every fifth call back until the next one is stored.
#[derive(Default)]
struct Late {
    count: Count,
    held: Mutex<HashMap<u64, Vec<Message>>>,
}

impl Late {
    fn store(&self, outlet: &Outlet) {
        let held = lock(&self.held).remove(&outlet.number);
        held.into_iter().flatten().for_each(|message| drop(outlet.store(message)));
    }
}

impl Lie for Late {
    fn publish(&self, outlet: &Outlet, batch: Vec<Pending>) {
        if !self.count.every(5) {
            batch.into_iter().for_each(|pending| outlet.honest(pending));
            return self.store(outlet);
        }
        self.store(outlet);
        let messages = batch.iter().filter_map(|pending| pending.message().cloned()).collect();
        lock(&self.held).insert(outlet.number, messages);
        batch.into_iter().for_each(|pending| pending.confirm(Receipt::default()));
    }

    fn flush(&self, outlet: &Outlet) {
        self.store(outlet);
    }
}
