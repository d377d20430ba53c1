//! One way to lie: what it does to what is published, delivered and settled. Honest in everything that it leaves alone.

use std::sync::atomic::{AtomicU64, Ordering};

use anybroker_core::kit::Pending;
use anybroker_core::{Error, Kind, Settled, Subscription, Topic, Topology, Verdict};

use super::aside::Aside;
use super::handed::Handed;
use super::publisher::Outlet;
use super::transactions::Tampering;

/// A lie. What is not overridden is honest.
pub(super) trait Lie: Send + Sync {
    /// A consumer is about to be opened.
    fn open(&self, _subscription: &mut Subscription) {}

    /// A batch was published, in one call.
    fn publish(&self, outlet: &Outlet, batch: Vec<Pending>) {
        batch.into_iter().for_each(|pending| outlet.honest(pending));
    }

    /// A publisher is flushed, or about to be closed.
    fn flush(&self, _outlet: &Outlet) {}

    /// How many messages are taken from the broker, where the application asked for so many.
    fn take(&self, asked: usize) -> usize {
        asked
    }

    /// Messages are about to be handed to a member.
    fn deliver(&self, _group: &Aside, batch: Vec<Handed>) -> Vec<Handed> {
        batch
    }

    /// A member has said what becomes of a message.
    fn settle(&self, _group: &Aside, handed: Handed, verdict: Verdict) -> Answer {
        Answer::Pass(handed, verdict)
    }

    /// A member has dropped a message.
    fn release(&self, _group: &Aside, handed: Handed) -> Option<Handed> {
        Some(handed)
    }

    /// A member is about to end, with what it holds.
    fn ended(&self, _group: &Aside, held: Vec<Handed>) -> Vec<Handed> {
        held
    }

    /// A member is about to end, with what it has taken from the broker and not delivered.
    fn undelivered(&self, _group: &Aside, waiting: Vec<Handed>) -> Vec<Handed> {
        waiting
    }

    /// Whether that includes what the broker's own consumer has fetched.
    fn drains(&self) -> bool {
        false
    }

    /// A transaction begins: what is done to it.
    fn transaction(&self) -> Tampering {
        Tampering::Nothing
    }

    /// It goes on after it was stopped.
    fn resumed(&self) {}

    /// The largest message that it takes, where it promises this.
    fn most(&self, promised: usize) -> usize {
        promised
    }

    /// Topics and groups are about to be declared.
    fn declare(&self, topology: &Topology) -> Topology {
        topology.clone()
    }

    /// What it says of a topic's backlog.
    fn backlog(&self, _topic: &Topic, honest: u64) -> u64 {
        honest
    }
}

/// What a liar does when a message is settled.
#[expect(clippy::large_enum_variant, reason = "taken apart at once")]
pub(super) enum Answer {
    /// Settles it like this.
    Pass(Handed, Verdict),
    /// Says this, and has done what it wanted.
    Say(Settled),
    /// Refuses.
    Refuse(Error),
}

impl Answer {
    /// Another has it by now.
    pub(super) fn superseded() -> Self {
        Answer::Refuse(Error::new(Kind::Superseded, "settle", "another delivery has taken its place"))
    }
}

/// Tells nothing but the truth.
pub(super) struct Honest;

impl Lie for Honest {}

/// Counts, so that a lie is told now and then.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    /// The next number, from 1.
    pub(super) fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Every so many times.
    pub(super) fn every(&self, times: u64) -> bool {
        self.next().is_multiple_of(times)
    }
}
