//! What a check has found.

use serde::Serialize;

use super::Finding;
use crate::schema::Difference;

/// Who reads whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// The newest version reads what an older one wrote.
    Backward,
    /// An older version reads what the newest writes.
    Forward,
}

/// What is to be said of two versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Everything that is written is read.
    Compatible,
    /// It is not, but upcasters lead to the newest version.
    Upcast,
    /// Nothing speaks against it, and something could not be judged.
    NotJudged,
    /// Something that is written is not read.
    Incompatible,
}

/// Two versions of a type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// The type.
    pub event_type: String,
    /// Its newest version.
    pub newest: u32,
    /// The other.
    pub older: u32,
    /// Who reads whom.
    pub direction: Direction,
    /// What is to be said.
    pub verdict: Verdict,
    /// All that stands in the way, also where upcasters help.
    pub findings: Vec<Finding>,
}

/// A published schema that is no longer what it was.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Changed {
    /// The type.
    pub event_type: String,
    /// The version.
    pub version: u32,
    /// Where it differs; none if it is gone.
    pub differences: Option<Vec<Difference>>,
}

/// What [`Check::run`](super::Check::run) has found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// How many types there are; one with a single version has nothing to be compared to.
    pub types: usize,
    /// Every pair of versions.
    pub compared: Vec<Compared>,
    /// Published schemas that were changed or removed.
    pub changed: Vec<Changed>,
}

impl Report {
    /// Whether everything is compatible or upcast, and judged.
    pub fn holds(&self) -> bool {
        let fine = |it: &Compared| matches!(it.verdict, Verdict::Compatible | Verdict::Upcast);
        self.changed.is_empty() && self.compared.iter().all(fine)
    }

    /// Whether something is surely wrong.
    pub fn violates(&self) -> bool {
        !self.changed.is_empty() || self.compared.iter().any(|it| it.verdict == Verdict::Incompatible)
    }

    /// All that stands in the way somewhere.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.compared.iter().flat_map(|it| &it.findings)
    }
}
