//! Does the worst that the guarantees allow, as a seed decides: `adversary=SEED`.
//!
//! Every decision is drawn in one place, [`Adversary::does`], and time is tokio's: the same seed and the same program on one
//! thread meet the same misfortunes. Each of them is a [`Deed`], with what must not be promised for it to be legal.

mod consuming;
mod deed;
pub(crate) mod publishing;

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anybroker_core::Guarantees;

pub use deed::Deed;
pub(crate) use publishing::Fault;

use crate::dice::Dice;
use crate::store::lock;

/// What happens to everything on one connection. [`Backend::native`](anybroker_core::Backend::native) of a connection with
/// `adversary=` gives it.
#[derive(Debug)]
pub struct Adversary {
    dice: Mutex<Dice>,
    legal: Vec<Deed>,
    done: [AtomicU64; Deed::ALL.len()],
}

impl Adversary {
    pub(crate) fn new(seed: u64, guarantees: &Guarantees) -> Self {
        let legal = Deed::ALL.iter().copied().filter(|deed| deed.is_legal(guarantees)).collect();
        Adversary { dice: Mutex::new(Dice::new(seed)), legal, done: Default::default() }
    }

    /// What the guarantees of the connection allow.
    pub fn legal(&self) -> &[Deed] {
        &self.legal
    }

    /// How often it has done so.
    pub fn done(&self, deed: Deed) -> u64 {
        self.done[deed as usize].load(Ordering::Relaxed)
    }

    /// Decides whether it happens now. Nothing is drawn for what is not legal.
    pub(crate) fn does(&self, deed: Deed) -> bool {
        if !self.legal.contains(&deed) || lock(&self.dice).below(1_000) >= deed.per_mille() {
            return false;
        }
        self.done[deed as usize].fetch_add(1, Ordering::Relaxed);
        tracing::debug!(deed = deed.as_str(), "the adversary");
        true
    }

    /// For how long it happens.
    pub(crate) fn within(&self, milliseconds: Range<u64>) -> Duration {
        let some = lock(&self.dice).below(milliseconds.end - milliseconds.start);
        Duration::from_millis(milliseconds.start + some)
    }
}
