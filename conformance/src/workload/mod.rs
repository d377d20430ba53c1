//! Random workloads: what publishers, members and faults do, as data that a seed decides, and that shrinks.
//!
//! A [`Workload`] is a list of [`Step`]s. A seed and a [`Shape`] make one, always the same; it runs on any backend, and
//! the history checker judges what came of it. One that breaks a promise is made smaller as long as it still does, and
//! the seed that began it finds it again: `ANYBROKER_SEED`, or `anybroker conform URL --seed`.
//!
//! A broker is no simulation: the same workload may go well the next time. Whoever shrinks one runs it several times
//! before it counts as harmless.

mod shrink;
mod soak;
mod step;
mod strategy;

pub use shrink::{Budget, Shrunk, shrink};
pub use soak::{SoakOptions, SoakProgress, Standing, soak};
pub use step::{Fault, FaultKind, Manners, Publish, Step};
pub use strategy::{Possible, Shape};

pub use crate::cases::random::{Broken, Judged, explore, judge, possible};

use serde::{Deserialize, Serialize};

/// What is done to a topic and its groups, step by step. Publishers and members work beside the steps that follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// What made it; it also decides keys, and which delivery a member treats how.
    pub seed: u64,
    /// How many groups read the topic.
    pub groups: usize,
    /// What is done, in order.
    pub steps: Vec<Step>,
}

impl Workload {
    /// How many messages its steps publish.
    pub fn messages(&self) -> u64 {
        self.steps.iter().map(Step::messages).sum()
    }
}

impl std::fmt::Display for Workload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (number, step) in self.steps.iter().enumerate() {
            writeln!(f, "  {:>2}. {step}", number + 1)?;
        }
        Ok(())
    }
}

/// Another seed for each number: 0 is the seed itself, so that what a later one found is replayed as a first.
pub fn seed_of(seed: u64, number: u64) -> u64 {
    if number == 0 {
        return seed;
    }
    // Splitmix64: seeds that lie side by side give workloads that have nothing in common.
    let mut z = seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
