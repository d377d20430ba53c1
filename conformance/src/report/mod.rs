//! Reports of runs as people and other programs read them: a table for a terminal, JUnit XML, Markdown, and one HTML page
//! that needs nothing but itself. Each is a pure function of a [`Document`].

mod date;
mod escape;
mod html;
mod junit;
mod markdown;
mod terminal;

use serde::{Deserialize, Serialize};

pub use date::day;
pub use html::html;
pub use junit::junit;
pub use markdown::markdown;
pub use terminal::terminal;

use crate::liars::KillMatrix;
use crate::properties::Property;
use crate::run::{PropertyVerdict, RunReport, RunVerdict, VERSION};

/// One or several runs, and what became of the suite of liars.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// The runs, each on one configuration.
    pub runs: Vec<RunReport>,
    /// How the suite did on brokers that are broken on purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liars: Option<KillMatrix>,
}

impl Document {
    /// A document of one run.
    pub fn of(run: RunReport) -> Self {
        Document { runs: vec![run], liars: None }
    }

    /// Adds what a file holds: a run's report, the kill matrix, or several of them. A later run of the same configuration
    /// takes the place of an earlier one.
    ///
    /// # Errors
    /// It is none of these, or of another version.
    pub fn add(&mut self, text: &str) -> Result<(), String> {
        let value: serde_json::Value =
            serde_json::from_str(text).map_err(|e| format!("it is no JSON: {e}"))?;
        let unread = |e: serde_json::Error| format!("it is no report of this version: {e}");
        if value.get("liars").is_some_and(serde_json::Value::is_number) {
            self.liars = Some(serde_json::from_value(value).map_err(unread)?);
        } else if value.get("runs").is_some() {
            let other: Document = serde_json::from_value(value).map_err(unread)?;
            self.liars = other.liars.or(self.liars.take());
            other.runs.into_iter().try_for_each(|run| self.run(run))?;
        } else {
            self.run(serde_json::from_value(value).map_err(unread)?)?;
        }
        Ok(())
    }

    fn run(&mut self, run: RunReport) -> Result<(), String> {
        if run.format != VERSION {
            return Err(format!("its format is {:?} and not {VERSION:?}", run.format));
        }
        self.runs.retain(|other| other.configuration != run.configuration);
        self.runs.push(run);
        Ok(())
    }

    /// Whether every run passed or was left out by name, and every liar was named.
    pub fn holds(&self) -> bool {
        let run = |run: &RunReport| matches!(run.verdict, RunVerdict::Pass | RunVerdict::NotRun);
        self.runs.iter().all(run) && self.liars.as_ref().is_none_or(KillMatrix::holds)
    }

    /// The properties that any of the runs promises.
    fn promised(&self) -> impl Iterator<Item = Property> {
        let promised =
            |property: &Property| self.runs.iter().any(|run| run.properties.contains_key(property));
        Property::ALL.iter().copied().filter(promised)
    }
}

/// A verdict as a person writes it.
fn words(name: &str) -> String {
    name.replace('_', " ")
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A sign for a verdict, so that colour is not all that tells.
fn sign(verdict: PropertyVerdict) -> &'static str {
    match verdict {
        PropertyVerdict::Violation => "✗",
        PropertyVerdict::Stalled => "‖",
        PropertyVerdict::Inconclusive => "?",
        PropertyVerdict::NotExercised => "○",
        PropertyVerdict::Pass => "✓",
        PropertyVerdict::NotApplicable => "n/a",
    }
}

/// The version that a run's backend says it has, behind its name.
fn backend(run: &RunReport) -> String {
    match &run.version {
        Some(version) => format!("{} {version}", run.backend),
        None => run.backend.clone(),
    }
}
