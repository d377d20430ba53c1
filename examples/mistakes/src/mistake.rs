//! A mistake, and how it is looked for.

use std::pin::Pin;

use anybroker_core::Result;
use anybroker_explore::{Explorer, Failure, Like, Run, explore};

/// A service with its invariant.
pub type Test = fn(Run, bool) -> Pin<Box<dyn Future<Output = Result<()>>>>;

/// A mistake that is often made.
#[derive(Clone, Copy, Debug)]
pub struct Mistake {
    /// The name of its file.
    pub name: &'static str,
    /// What is wrong.
    pub title: &'static str,
    /// Why it is, and what is right.
    pub lesson: &'static str,
    /// On which broker it is shown.
    pub like: Like,
    /// The service as it is often written; with `true`, mended.
    pub test: Test,
}

impl Mistake {
    /// The first of 1,000 seeds that shows it.
    pub fn find(&self) -> Option<Failure> {
        let test = self.test;
        self.ready(explore(self.like, move |run| test(run, false)).seeds(1_000))
    }

    /// What still breaks the mended form in so many seeds: nothing.
    pub fn mended(&self, seeds: u64) -> Option<Failure> {
        let test = self.test;
        self.ready(explore(self.like, move |run| test(run, true)).seeds(seeds))
    }

    fn ready<B, F>(&self, explorer: Explorer<B>) -> Option<Failure>
    where
        B: Fn(Run) -> F + Sync,
        F: Future<Output = Result<()>>,
    {
        explorer.command(format!("cargo run -p mistakes -- {}", self.name)).find()
    }
}
