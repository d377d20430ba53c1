//! What the adapter may tell the broker of a partition, and what goes back to it.

use std::collections::BTreeSet;

use super::{AckPlan, Entry, Partition, Returned, State};
use crate::delivery::Token;
use crate::kit::inputs::Head;

impl Partition {
    /// What may be acknowledged; `singles` includes records behind an unsettled one.
    pub(in crate::kit) fn take_acks(&mut self, singles: bool) -> AckPlan {
        let mut plan = AckPlan { upto: self.prefix.take(), singles: Vec::new() };
        if singles {
            for entry in self.entries.iter_mut().filter(|e| e.state == State::Acked) {
                entry.state = State::AckedSingly;
                plan.singles.push(entry.native);
            }
        }
        plan
    }

    /// Acknowledged records that wait behind an unsettled one and that the broker has not been told of.
    pub(in crate::kit) fn held_back(&self) -> usize {
        self.entries.iter().filter(|e| e.state == State::Acked).count()
    }

    /// The first record not acknowledged, with the attempts it has had.
    pub(in crate::kit) fn head(&self) -> Option<(u64, u32)> {
        self.entries.front().map(|entry| (entry.native, entry.attempt))
    }

    /// Whether the broker is being asked to acknowledge the record of this token.
    pub(in crate::kit) fn is_confirming(&mut self, token: Token) -> bool {
        let ours = token.generation == self.generation;
        let entry = self.entry(token.sequence).filter(|e| e.handout == token.handout && !e.lost);
        ours && entry.is_some_and(|e| e.state == State::Confirming)
    }

    /// The first record not acknowledged, once those of `done` are.
    pub(in crate::kit) fn head_after(&self, done: &BTreeSet<u64>) -> Head {
        let open = |e: &Entry| !matches!(e.state, State::Acked | State::AckedSingly | State::Lost);
        let mut entries = (self.base..).zip(&self.entries);
        match entries.find(|(sequence, e)| open(e) && !done.contains(sequence)) {
            None => Head::End,
            Some((sequence, _)) if done.last().is_some_and(|last| *last > sequence) => Head::Gap,
            Some((_, entry)) => Head::At { native: entry.native, attempts: entry.attempt },
        }
    }

    /// Everything not acknowledged, in order.
    pub(in crate::kit) fn returned(&self) -> Vec<Returned> {
        let done = |e: &&Entry| matches!(e.state, State::Acked | State::AckedSingly | State::Lost);
        let open = self.entries.iter().filter(|e| !done(e));
        let returned = |e: &Entry| Returned {
            native: e.native,
            attempts: e.attempt,
            held: matches!(e.state, State::Handed | State::Confirming),
        };
        open.map(returned).collect()
    }
}
