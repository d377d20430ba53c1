//! What became of the suite of liars, as reports show it.

use serde::{Deserialize, Serialize};

/// Which liars were caught.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KillMatrix {
    /// How many there are.
    pub liars: usize,
    /// Of how many the root was reported, and nothing but it and its consequences.
    pub named: usize,
    /// Those of which nothing was reported.
    pub missed: Vec<String>,
    /// Those of which something else was reported.
    pub misnamed: Vec<String>,
    /// Honest brokers that were accused all the same.
    pub falsely_accused: Vec<String>,
    /// The honest brokers that were run as the liars were.
    #[serde(default)]
    pub controls: Vec<String>,
    /// Each liar.
    pub matrix: Vec<Row>,
}

/// A liar, and what was reported of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// The lie in a sentence.
    pub about: String,
    /// The property that it breaks, or the case that shows it where no property covers it.
    pub root: String,
    /// The properties that cannot but be broken besides.
    pub consequences: Vec<String>,
    /// The properties that were reported as violated; where there are none, the cases that failed.
    pub reported: Vec<String>,
    /// How it ended: `named`, `misnamed`, `missed`.
    pub verdict: String,
}

impl KillMatrix {
    /// Whether every liar was named, and nobody else accused.
    pub fn holds(&self) -> bool {
        self.liars > 0 && self.named == self.liars && self.falsely_accused.is_empty()
    }
}
