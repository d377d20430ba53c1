//! What broke a service, as a story.

use std::collections::BTreeMap;
use std::fmt;

use anybroker_memory::{Like, Schedule};

use crate::journal::{Line, Written};
use crate::words;

/// At most so many lines of a timeline are shown.
const LINES: usize = 60;

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
        writeln!(f, "Of {} things that went wrong {kept} are enough ({} runs).", self.deeds, self.runs)?;
        self.deeds_in_words(f)
    }

    fn deeds_in_words(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chances = self.schedule.only.iter().flatten();
        let mut counts: BTreeMap<_, usize> = BTreeMap::new();
        chances.for_each(|chance| *counts.entry(chance.deed).or_default() += 1);
        if counts.is_empty() {
            return writeln!(f, "It fails although nothing goes wrong.");
        }
        writeln!(f, "\nWhat went wrong, and may at any time:")?;
        for (deed, times) in counts {
            let times = if times > 1 { format!(" ({times} times)") } else { String::new() };
            writeln!(f, "  - {} {}{times}", words::subject(deed), words::of(deed))?;
        }
        Ok(())
    }

    /// The lines that matter: all, if they are few; otherwise those of messages that had an unusual fate.
    fn timeline(&self) -> (Vec<&Line>, usize) {
        let all = &self.written.lines;
        let named = self.written.named_in(&self.text);
        let concerned = |line: &&Line| {
            line.note
                || line.who.is_empty()
                || line
                    .message
                    .is_none_or(|message| self.written.unusual.contains(&message) || named.contains(&message))
        };
        let mut lines: Vec<_> = all.iter().collect();
        if lines.len() > LINES {
            lines = all.iter().filter(concerned).collect();
        }
        let shown = lines.split_off(lines.len().saturating_sub(LINES));
        let left_out = all.len() - shown.len();
        (shown, left_out)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (lines, left_out) = self.timeline();
        writeln!(f, "{}\n", self.text)?;
        self.summary(f)?;
        writeln!(f, "\nWhat happened, in virtual time:")?;
        if left_out > 0 {
            writeln!(f, "  ({left_out} lines of other messages, or earlier, are left out)")?;
        }
        let width = lines.iter().map(|line| line.who.len()).max().unwrap_or(0).max(6);
        lines.iter().try_for_each(|line| writeln!(f, "{}", drawn(line, width)))?;
        write!(f, "\nReplay it:\n  {}", self.replay())
    }
}

pub(crate) fn drawn(line: &Line, width: usize) -> String {
    let (at, text) = (line.at.as_secs_f64(), &line.text);
    let who = if line.who.is_empty() { "BROKER" } else { &line.who };
    format!("  {at:>9.3} s  {who:<width$}  {text}")
}
