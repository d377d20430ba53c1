//! What is to be explored, and how far.

use std::num::NonZero;
use std::time::Duration;

use anybroker_memory::{Like, Schedule};

use crate::attempt::{Bounds, Ended, attempt};
use crate::failure::{Cause, Failure, drawn};
use crate::run::Run;
use crate::search::lowest;
use crate::shrink::shrink;
use crate::verdict::Verdict;

/// Replays a schedule: `17`, or `17:connection-breaks.3`.
pub(crate) const SEED: &str = "ANYBROKER_SEED";
/// Runs another number of seeds than the test says.
const SEEDS: &str = "ANYBROKER_SEEDS";
/// Runs to make a failure shorter.
const SHRINKING: usize = 2_000;
const SHRINKING_WITH_IO: usize = 30;

/// Explores `body` on a broker that behaves like `like` at its worst: see the [crate](crate). It is called once for every
/// seed, on several threads.
pub fn explore<B, F>(like: Like, body: B) -> Explorer<B>
where
    B: Fn(Run) -> F + Sync,
    F: Future<Output: Verdict>,
{
    let bounds = Bounds { like, time: Duration::from_secs(3_600), steps: 1_000_000, io: false };
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let command = format!("cargo test {}", std::thread::current().name().unwrap_or_default());
    Explorer { body, bounds, seeds: 1_000, threads, command }
}

/// What is to be explored, and how far.
#[derive(Clone, Debug)]
#[must_use = "nothing runs before `run` or `find`"]
pub struct Explorer<B> {
    body: B,
    bounds: Bounds,
    seeds: u64,
    threads: usize,
    command: String,
}

impl<B, F> Explorer<B>
where
    B: Fn(Run) -> F + Sync,
    F: Future<Output: Verdict>,
{
    /// How many seeds are run (default 1,000); the environment's `ANYBROKER_SEEDS` overrides it.
    pub fn seeds(mut self, seeds: u64) -> Self {
        self.seeds = seeds;
        self
    }

    /// How much virtual time a run may take (default one hour). One that takes longer is stuck, and fails.
    pub fn time(mut self, time: Duration) -> Self {
        self.bounds.time = time;
        self
    }

    /// How many steps of the broker and the processes a run may take (default 1,000,000). One that takes more is stuck, and
    /// fails.
    pub fn steps(mut self, steps: u64) -> Self {
        self.bounds.steps = steps;
        self
    }

    /// For a service that does what takes real time: a database, threads. Virtual time then moves only when nothing has happened
    /// for half a millisecond, by 20 ms at a time: a run takes seconds, not milliseconds, and is not the same every time, as what
    /// comes first is up to the database. Keep to tens of seeds.
    pub fn with_io(mut self) -> Self {
        self.bounds.io = true;
        self
    }

    /// How many threads run seeds (default: one for each processor).
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// The command that runs this again, for the story (default `cargo test` with the name of the test).
    pub fn command(mut self, command: impl Into<String>) -> Self {
        self.command = command.into();
        self
    }

    /// Runs the seeds.
    ///
    /// # Panics
    /// With the story of the lowest seed that fails. With `ANYBROKER_SEED` in the environment only that one is run.
    #[track_caller]
    pub fn run(self) {
        if let Some(failure) = self.find() {
            self.fail(&failure);
        }
    }

    #[track_caller]
    #[allow(clippy::panic, reason = "a test fails by panicking")]
    fn fail(&self, failure: &Failure) {
        panic!("{failure}");
    }

    /// Runs the seeds, and tells the story of the lowest that fails. With `ANYBROKER_SEED` in the environment only that one
    /// is run.
    ///
    /// # Panics
    /// If `ANYBROKER_SEED` or `ANYBROKER_SEEDS` does not read.
    pub fn find(&self) -> Option<Failure> {
        if let Some(schedule) = from_environment::<Schedule>(SEED) {
            let fails = self.attempt(&schedule, false).failed.is_some();
            return fails.then(|| self.told(schedule, 1));
        }
        let seeds = from_environment(SEEDS).unwrap_or(self.seeds);
        let fails = |seed: u64| self.attempt(&seed.into(), false).failed.is_some();
        lowest(seeds, self.threads, fails).map(|seed| self.told(seed.into(), seed + 1))
    }

    /// Everything that happens in one run, line by line: the same every time.
    pub fn history(&self, schedule: &Schedule) -> String {
        let ended = self.attempt(schedule, true);
        let lines: Vec<_> = ended.written.lines.iter().map(|line| drawn(line, 12) + "\n").collect();
        lines.concat()
    }

    fn attempt(&self, schedule: &Schedule, watched: bool) -> Ended {
        attempt(self.bounds, schedule, watched, &self.body)
    }

    /// The failure of a schedule: made shorter, and run once more to be told.
    fn told(&self, schedule: Schedule, seeds: u64) -> Failure {
        let again = self.attempt(&schedule, false);
        let deeds = again.schedule.only.as_ref().map_or(0, |only| only.len());
        let cause = again.failed.as_ref().map(|(cause, _)| *cause);
        let most = if self.bounds.io { SHRINKING_WITH_IO } else { SHRINKING };
        let (shortest, runs) = match cause {
            Some(cause) => shrink(again.schedule, most, |shorter| self.fails_by(cause, shorter)),
            None => (schedule, 0),
        };
        let ended = self.attempt(&shortest, true);
        let steady = ended.failed.is_some();
        let unknown = || (Cause::Broken, "It failed once, and not again.".to_owned());
        let (cause, text) = ended.failed.unwrap_or_else(unknown);
        let (like, written, command) = (self.bounds.like, ended.written, self.command.clone());
        Failure { cause, text, like, schedule: shortest, deeds, seeds, runs, steady, written, command }
    }

    fn fails_by(&self, cause: Cause, schedule: &Schedule) -> bool {
        self.attempt(schedule, false).failed.is_some_and(|(other, _)| other == cause)
    }
}

/// What the environment says.
#[allow(clippy::panic, reason = "a test fails by panicking")]
fn from_environment<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    match text.parse() {
        Ok(value) => Some(value),
        Err(_) => panic!("{name}={text} does not read; 17 does, and for {SEED} 17:connection-breaks.3 too"),
    }
}

#[cfg(test)]
mod tests {
    use anybroker_core::{ConsumerExt, Group, Message, PublisherExt, PublisherOptions, Subscription, Topic};
    use anybroker_core::{Result, Topology};

    use super::*;

    async fn echo(run: Run) -> Result<()> {
        let (topic, group) = (Topic::new("t")?, Group::new("g")?);
        run.outside().admin().declare(&Topology::new(topic.clone()).group(group.clone())).await?;
        let subscription = Subscription::new(topic.clone(), group);
        run.process("it", move |broker| {
            let subscription = subscription.clone();
            async move {
                let mut consumer = broker.consumer(subscription).await?;
                loop {
                    let _ = consumer.next().await?.nack(Duration::from_millis(10)).await;
                    let _ = consumer.next().await?.ack().await;
                }
            }
        });
        let publisher = run.broker("publisher").publisher(PublisherOptions::new(topic)).await?;
        for number in 0..30 {
            let _ = publisher.publish(Message::new(number.to_string())).await;
        }
        run.drained().await;
        Ok(())
    }

    #[test]
    fn watching_changes_nothing() {
        for like in Like::ALL {
            let explorer = explore(like, echo);
            for seed in 0..20 {
                let [alone, watched] = [false, true].map(|watched| explorer.attempt(&seed.into(), watched));
                assert_eq!(alone.failed, watched.failed, "{like} {seed}");
                assert_eq!(alone.schedule, watched.schedule, "{like} {seed}");
                assert!(alone.written.lines.is_empty() && watched.written.lines.len() > 60);
            }
        }
    }
}
