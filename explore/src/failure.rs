//! What broke a service, as a story.

use std::collections::BTreeMap;
use std::fmt;

use anybroker_memory::{Like, Schedule};

use crate::journal::{Line, Written};
use crate::words;

/// Of a long timeline so many lines are shown at its beginning,
const BEGINNING: usize = 30;
/// and at its end.
const END: usize = 20;

/// Why a run failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It panicked, or returned an error: something that must hold did not.
    Broken,
    /// It came to no end within its bounds of time and steps.
    Stuck,
}

/// A failure that was found, made as short as possible. Its `Display` is the whole story.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Why.
    pub cause: Cause,
    /// What the run said: the assertion that failed, or what was awaited.
    pub text: String,
    /// The broker.
    pub like: Like,
    /// The fewest deeds that were found to break it.
    pub schedule: Schedule,
    /// How many deeds the seed's own run had.
    pub deeds: usize,
    /// How many seeds were run until one failed: those below it, and it.
    pub seeds: u64,
    /// How many runs it took to make it shorter.
    pub runs: usize,
    /// It failed when it was run again.
    pub steady: bool,
    pub(crate) written: Written,
    pub(crate) command: String,
}

impl Failure {
    /// The one line that replays it.
    pub fn replay(&self) -> String {
        format!("{}={} {}", crate::explorer::SEED, self.schedule, self.command)
    }

    fn summary(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.schedule.only.as_ref().map_or(0, |only| only.len());
        let seed = self.schedule.seed;
        writeln!(f, "Found like={} with seed {seed}, after {} seeds.", self.like, self.seeds)?;
        if !self.steady {
            return writeln!(
                f,
                "It did not fail again when the same seed was run again: something in it is left to chance, such as \
                 `tokio::select!` without `biased`, the order of a `HashMap`, threads, or the wall clock."
            );
        }
        let (deeds, runs) = (self.deeds, self.runs);
        match kept {
            0 => return writeln!(f, "It fails although nothing goes wrong."),
            1 => writeln!(f, "Of {deeds} things that went wrong, one is enough ({runs} runs).")?,
            _ => writeln!(f, "Of {deeds} things that went wrong, {kept} are needed ({runs} runs).")?,
        }
        self.deeds_in_words(f)
    }

    fn deeds_in_words(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chances = self.schedule.only.iter().flatten();
        let mut counts: BTreeMap<_, usize> = BTreeMap::new();
        chances.for_each(|chance| *counts.entry(chance.deed).or_default() += 1);
        writeln!(f, "\nWhat went wrong, and may at any time:")?;
        for (deed, times) in counts {
            let times = if times > 1 { format!(" ({times} times)") } else { String::new() };
            writeln!(f, "  - {} {}{times}", words::subject(deed), words::of(deed))?;
        }
        Ok(())
    }

    fn timeline(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.written.lines_about(&self.text);
        let width = lines.iter().map(|line| line.who.len()).max().unwrap_or(0).max(6);
        let left_out = lines.len().saturating_sub(BEGINNING + END);
        writeln!(f, "\nWhat happened, in virtual time:")?;
        match self.written.lines.len() - lines.len() {
            0 => {}
            others => writeln!(f, "  ({others} lines about other messages are left out)")?,
        }
        for (number, line) in lines.iter().enumerate() {
            if number == BEGINNING && left_out > 0 {
                writeln!(f, "  … {left_out} lines more …")?;
            }
            if number < BEGINNING || number >= BEGINNING + left_out {
                writeln!(f, "{}", drawn(line, width))?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.text)?;
        self.summary(f)?;
        self.timeline(f)?;
        write!(f, "\nReplay it:\n  {}", self.replay())
    }
}

pub(crate) fn drawn(line: &Line, width: usize) -> String {
    let (at, text) = (line.at.as_secs_f64(), &line.text);
    let who = if line.who.is_empty() { "BROKER" } else { &line.who };
    format!("  {at:>9.3} s  {who:<width$}  {text}")
}
