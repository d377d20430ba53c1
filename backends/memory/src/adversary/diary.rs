//! What was done, in order.

use std::sync::Mutex;

use tokio::time::Instant;

use super::Chance;
use crate::store::lock;

/// More is not remembered.
const MOST: usize = 100_000;

/// Something that was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// What, and which chance it took.
    pub chance: Chance,
    /// When.
    pub at: Instant,
}

#[derive(Debug, Default)]
pub(super) struct Diary(Mutex<Vec<Done>>);

impl Diary {
    pub(super) fn add(&self, chance: Chance) {
        let mut entries = lock(&self.0);
        if entries.len() < MOST {
            entries.push(Done { chance, at: Instant::now() });
        }
    }

    pub(super) fn since(&self, from: usize) -> Vec<Done> {
        lock(&self.0).get(from..).unwrap_or_default().to_vec()
    }
}
