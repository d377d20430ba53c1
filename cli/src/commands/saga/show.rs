//! An instance, drawn: its steps, and its history line by line.

use anybroker::patterns::saga::{Entry, Shown, StepState};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Line, line, time};
use crate::args::Format;
use crate::failure::{Done, Failure};
use crate::output;

#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    instance: Line<'a>,
    version: u32,
    /// Null if it is no JSON.
    data: Option<Box<RawValue>>,
    steps: Vec<Step<'a>>,
    events: Vec<Event<'a>>,
    history: Vec<Happened<'a>>,
}

#[derive(Serialize)]
struct Step<'a> {
    step: &'a str,
    state: &'static str,
    attempts: u32,
    compensation_attempts: u32,
}

#[derive(Serialize)]
struct Event<'a> {
    name: &'a str,
    noted: String,
    payload: String,
}

#[derive(Serialize)]
struct Happened<'a> {
    at: String,
    step: Option<&'a str>,
    attempt: Option<u32>,
    what: &'a str,
    reason: Option<&'a str>,
}

pub(super) fn show(format: Format, shown: &Shown) -> Result<Done, Failure> {
    match format {
        Format::Json => output::print_json(&whole(shown))?,
        Format::Human => output::print(&drawn(shown))?,
    }
    Ok(Done::Holds)
}

fn whole(shown: &Shown) -> Whole<'_> {
    let steps = shown.steps.iter().map(|step| Step {
        step: &step.step,
        state: step.state.as_str(),
        attempts: step.attempts,
        compensation_attempts: step.compensation_attempts,
    });
    let events = shown.signals.iter().map(|event| Event {
        name: &event.name,
        noted: time(event.noted_at),
        payload: String::from_utf8_lossy(&event.payload).into_owned(),
    });
    let history = shown.history.iter().map(|entry| Happened {
        at: time(entry.at),
        step: entry.step.as_deref(),
        attempt: entry.attempt,
        what: &entry.what,
        reason: entry.reason.as_deref(),
    });
    Whole {
        instance: line(&shown.instance),
        version: shown.instance.version,
        data: RawValue::from_string(shown.instance.data.clone()).ok(),
        steps: steps.collect(),
        events: events.collect(),
        history: history.collect(),
    }
}

fn drawn(shown: &Shown) -> String {
    let instance = line(&shown.instance);
    let mut text = format!("{} {}: {}", instance.saga, instance.id, instance.state);
    if let Some(reason) = instance.reason {
        text += &format!(" ({reason})");
    }
    text += &format!("\nstarted {}", instance.started);
    if let Some(deadline) = instance.deadline {
        text += &format!(", deadline {deadline}");
    }
    if let Some(due) = instance.due {
        text += &format!(", due {due}");
    }
    text += &format!("\ndata (version {}): {}", shown.instance.version, shown.instance.data);
    if !shown.steps.is_empty() {
        let steps = shown.steps.iter().map(|step| format!("{} {}", sign(step.state), step.step));
        text += &format!("\nsteps: {}", steps.collect::<Vec<_>>().join("  "));
    }
    let began = shown.history.first().map(|entry| entry.at);
    for (at, entry) in shown.history.iter().enumerate() {
        let branch = if at + 1 == shown.history.len() { "└─" } else { "├─" };
        let after = began.and_then(|began| entry.at.duration_since(began).ok()).unwrap_or_default();
        text += &format!("\n{branch} {:>10}  {}", format!("+{:.3} s", after.as_secs_f64()), happened(entry));
    }
    text
}

fn happened(entry: &Entry) -> String {
    let mut text = entry.step.as_ref().map_or_else(String::new, |step| format!("{step} "));
    text += &entry.what;
    if let Some(attempt) = entry.attempt.filter(|attempt| *attempt > 1) {
        text += &format!(", attempt {attempt}");
    }
    if let Some(reason) = &entry.reason {
        text += &format!(": {reason}");
    }
    text
}

fn sign(state: StepState) -> char {
    match state {
        StepState::Done => '✓',
        StepState::Compensated => '↩',
        StepState::Failed => '✗',
        StepState::Unsure => '?',
        _ => '…',
    }
}
