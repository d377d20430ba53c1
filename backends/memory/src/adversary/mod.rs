//! Does the worst that the guarantees allow, as a seed decides: `adversary=SEED`.
//!
//! Every decision is drawn in one place, [`Adversary::does`], and time is tokio's: the same seed and the same program on one
//! thread meet the same misfortunes. Each of them is a [`Deed`], with what must not be promised for it to be legal.
//!
//! Each deed has a stream of random numbers of its own, and a [`Schedule`] can name the chances that it takes: so one deed
//! can be left out, and the others stay.

mod consuming;
mod deed;
mod diary;
pub(crate) mod publishing;
mod schedule;
pub(crate) mod transacting;

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anybroker_core::Guarantees;
use tokio::sync::Notify;

pub use deed::Deed;
pub use diary::Done;
pub(crate) use publishing::Fault;
pub use schedule::{Chance, Schedule};

use crate::dice::Dice;
use crate::semantics::Semantics;
use diary::Diary;

/// What happens to everything on one connection. [`Backend::native`](anybroker_core::Backend::native) of a connection with
/// `adversary=` gives it.
#[derive(Debug)]
pub struct Adversary {
    schedule: Schedule,
    legal: Vec<Deed>,
    chances: [AtomicU64; Deed::ALL.len()],
    done: [AtomicU64; Deed::ALL.len()],
    diary: Diary,
    at_rest: AtomicBool,
    steps: AtomicU64,
    limit: AtomicU64,
    exhausted: Notify,
}

impl Adversary {
    pub(crate) fn new(schedule: Schedule, guarantees: &Guarantees, semantics: &Semantics) -> Self {
        // What has no answer cannot lose it.
        let possible = |deed: &Deed| *deed != Deed::AckAnswerLost || semantics.answers_acks;
        let legal = Deed::ALL.iter().copied().filter(|deed| deed.is_legal(guarantees) && possible(deed));
        Adversary {
            schedule,
            legal: legal.collect(),
            chances: Default::default(),
            done: Default::default(),
            diary: Diary::default(),
            at_rest: AtomicBool::new(false),
            steps: AtomicU64::new(0),
            limit: AtomicU64::new(u64::MAX),
            exhausted: Notify::new(),
        }
    }

    /// What the guarantees of the connection allow.
    pub fn legal(&self) -> &[Deed] {
        &self.legal
    }

    /// How often it has done so.
    pub fn done(&self, deed: Deed) -> u64 {
        self.done[deed as usize].load(Ordering::Relaxed)
    }

    /// How many opportunities for it there were. Of publishes every one is an opportunity to refuse it.
    pub fn chances(&self, deed: Deed) -> u64 {
        self.chances[deed as usize].load(Ordering::Relaxed)
    }

    /// What it has done, in order, without the first `from`. It remembers the first 100,000 deeds.
    pub fn diary(&self, from: usize) -> Vec<Done> {
        self.diary.since(from)
    }

    /// From now on nothing goes wrong, so that a test can see how everything ends.
    pub fn rest(&self) {
        self.at_rest.store(true, Ordering::Relaxed);
    }

    /// Whether the process that asks is killed now: for test kits, which ask at every await. The broker itself never asks.
    pub fn kills(&self) -> bool {
        self.does(Deed::ProcessKilled)
    }

    /// How often it was asked whether something goes wrong: a measure of what the broker had to do.
    pub fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    /// After so many steps [`exhausted`](Self::exhausted) returns.
    pub fn limit_steps(&self, steps: u64) {
        self.limit.store(steps, Ordering::Relaxed);
    }

    /// Waits for the limit of steps.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn exhausted(&self) {
        let mut notified = std::pin::pin!(self.exhausted.notified());
        notified.as_mut().enable();
        if self.steps() < self.limit.load(Ordering::Relaxed) {
            notified.await;
        }
    }

    /// Decides whether it happens now. Nothing is drawn for what is not legal.
    pub(crate) fn does(&self, deed: Deed) -> bool {
        self.takes(deed).is_some()
    }

    /// The chance that it takes, if it takes this one.
    fn takes(&self, deed: Deed) -> Option<Chance> {
        self.step();
        if !self.legal.contains(&deed) {
            return None;
        }
        let number = self.chances[deed as usize].fetch_add(1, Ordering::Relaxed);
        if self.at_rest.load(Ordering::Relaxed) {
            return None;
        }
        let chance = Chance { deed, number };
        let taken = match &self.schedule.only {
            Some(only) => only.contains(&chance),
            None => self.dice(chance).below(1_000) < deed.per_mille(),
        };
        if !taken {
            return None;
        }
        self.done[deed as usize].fetch_add(1, Ordering::Relaxed);
        self.diary.add(chance);
        tracing::debug!(deed = deed.as_str(), "the adversary");
        Some(chance)
    }

    fn step(&self) {
        let steps = self.steps.fetch_add(1, Ordering::Relaxed) + 1;
        if steps == self.limit.load(Ordering::Relaxed) {
            self.exhausted.notify_waiters();
        }
    }

    /// For how long it happens.
    pub(crate) fn within(&self, chance: Chance, milliseconds: Range<u64>) -> Duration {
        let mut dice = self.dice(chance);
        // Another number than the one that decided.
        dice.below(1);
        let some = dice.below(milliseconds.end - milliseconds.start);
        Duration::from_millis(milliseconds.start + some)
    }

    fn dice(&self, chance: Chance) -> Dice {
        let stream = Dice::new(self.schedule.seed).fork(chance.deed as u64);
        stream.fork(chance.number)
    }
}
