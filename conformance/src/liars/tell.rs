//! Lies that are told in one place, as closures.

use anybroker_core::kit::Pending;
use anybroker_core::{Subscription, Verdict};

use super::aside::Aside;
use super::handed::Handed;
use super::lie::{Answer, Lie};
use super::publisher::Outlet;
use super::transactions::Tampering;

struct Open<F>(F);

impl<F: Fn(&mut Subscription) + Send + Sync> Lie for Open<F> {
    fn open(&self, subscription: &mut Subscription) {
        (self.0)(subscription);
    }
}

/// Lies when a consumer is opened.
pub(super) fn opens(lie: impl Fn(&mut Subscription) + Send + Sync + 'static) -> Box<dyn Lie> {
    Box::new(Open(lie))
}

struct Publish<F>(F);

impl<F: Fn(&Outlet, Vec<Pending>) + Send + Sync> Lie for Publish<F> {
    fn publish(&self, outlet: &Outlet, batch: Vec<Pending>) {
        (self.0)(outlet, batch);
    }
}

/// Lies when a batch is published.
pub(super) fn publishes(lie: impl Fn(&Outlet, Vec<Pending>) + Send + Sync + 'static) -> Box<dyn Lie> {
    Box::new(Publish(lie))
}

/// Lies about each message that is published, unless its key is held.
pub(super) fn stores(lie: impl Fn(&Outlet, Pending) + Send + Sync + 'static) -> Box<dyn Lie> {
    publishes(move |outlet, batch| {
        for pending in batch {
            match pending.refusal() {
                Some(error) => pending.fail(error),
                None => lie(outlet, pending),
            }
        }
    })
}

struct Deliver<F>(F);

impl<F: Fn(&Aside, Vec<Handed>) -> Vec<Handed> + Send + Sync> Lie for Deliver<F> {
    fn deliver(&self, group: &Aside, batch: Vec<Handed>) -> Vec<Handed> {
        (self.0)(group, batch)
    }
}

/// Lies when messages are delivered.
pub(super) fn delivers(
    lie: impl Fn(&Aside, Vec<Handed>) -> Vec<Handed> + Send + Sync + 'static,
) -> Box<dyn Lie> {
    Box::new(Deliver(lie))
}

/// Lies about each message that is delivered, but for dead letters.
pub(super) fn each(lie: impl Fn(&Aside, Handed) -> Option<Handed> + Send + Sync + 'static) -> Box<dyn Lie> {
    delivers(move |group, batch| {
        let one = |handed: Handed| {
            if handed.is_dead_letter() { Some(handed) } else { lie(group, handed) }
        };
        batch.into_iter().filter_map(one).collect()
    })
}

struct Settle<F>(F);

impl<F: Fn(&Aside, Handed, Verdict) -> Answer + Send + Sync> Lie for Settle<F> {
    fn settle(&self, group: &Aside, handed: Handed, verdict: Verdict) -> Answer {
        (self.0)(group, handed, verdict)
    }
}

/// Lies when a message is settled.
pub(super) fn settles(
    lie: impl Fn(&Aside, Handed, Verdict) -> Answer + Send + Sync + 'static,
) -> Box<dyn Lie> {
    Box::new(Settle(lie))
}

struct Release<F>(F);

impl<F: Fn(&Aside, Handed) -> Option<Handed> + Send + Sync> Lie for Release<F> {
    fn release(&self, group: &Aside, handed: Handed) -> Option<Handed> {
        (self.0)(group, handed)
    }
}

/// Lies when a message is dropped.
pub(super) fn releases(
    lie: impl Fn(&Aside, Handed) -> Option<Handed> + Send + Sync + 'static,
) -> Box<dyn Lie> {
    Box::new(Release(lie))
}

struct End<F>(F);

impl<F: Fn(&Aside, Vec<Handed>) -> Vec<Handed> + Send + Sync> Lie for End<F> {
    fn ended(&self, group: &Aside, held: Vec<Handed>) -> Vec<Handed> {
        (self.0)(group, held)
    }
}

/// Lies when a member ends.
pub(super) fn ends(lie: impl Fn(&Aside, Vec<Handed>) -> Vec<Handed> + Send + Sync + 'static) -> Box<dyn Lie> {
    Box::new(End(lie))
}

struct InTransactions<F>(F);

impl<F: Fn() -> Tampering + Send + Sync> Lie for InTransactions<F> {
    fn transaction(&self) -> Tampering {
        (self.0)()
    }
}

/// Lies about transactions.
pub(super) fn tampers(lie: impl Fn() -> Tampering + Send + Sync + 'static) -> Box<dyn Lie> {
    Box::new(InTransactions(lie))
}
