//! What became of the letters, for people and programs.

use anybroker::dead_letter::{Handled, Summary};
use serde::Serialize;

use super::work::Ended;
use crate::args::Format;
use crate::failure::{Done, Failure};
use crate::output;

/// Failures that are explained one by one.
const EXPLAINED: usize = 10;

/// Prints outcomes as they come.
pub(super) struct Outcomes {
    format: Format,
    verb: &'static str,
    explained: usize,
}

#[derive(Serialize)]
struct Line<'a> {
    id: Option<String>,
    outcome: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// The last line of JSON.
#[derive(Serialize)]
struct Sum {
    looked_at: usize,
    matched: usize,
    #[serde(flatten)]
    done: DoneField,
    failed: usize,
    left: usize,
    again: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum DoneField {
    Replayed(usize),
    Discarded(usize),
}

/// How everything ended.
pub(super) struct End {
    pub(super) looked_at: usize,
    pub(super) summary: Summary,
    pub(super) ended: Ended,
    pub(super) overdue: bool,
    /// Those behind a letter that stays, where the broker acknowledges only in order.
    pub(super) behind: usize,
}

impl Outcomes {
    /// `verb` is what is done to letters: `replayed`, `discarded`.
    pub(super) fn new(format: Format, verb: &'static str) -> Self {
        Outcomes { format, verb, explained: 0 }
    }

    /// What became of one.
    pub(super) fn add(&mut self, handled: &Handled) -> Result<(), Failure> {
        let id = handled.id.as_ref().map(ToString::to_string);
        let error = handled.error.as_ref().map(ToString::to_string);
        if let Some(error) = &error {
            self.explained += 1;
            if self.explained <= EXPLAINED {
                let name = id.as_deref().unwrap_or("a letter without an id");
                let but = if handled.done { ": done, and comes again" } else { "" };
                output::note(&format!("{name}{but}: {error}"));
            }
        }
        if self.format == Format::Human {
            return Ok(());
        }
        let outcome = if handled.done { self.verb } else { handled.as_str() };
        output::print_json(&Line { id, outcome, topic: handled.topic.as_ref().map(|it| it.as_str()), error })
    }

    /// Prints the summary; says whether everything that was meant is done.
    pub(super) fn finish(&self, end: &End) -> Result<Done, Failure> {
        let Summary { matched, done, failed, left, again } = end.summary;
        self.explain(end);
        match self.format {
            Format::Json => output::print_json(&Sum {
                looked_at: end.looked_at,
                matched,
                done: match self.verb {
                    "discarded" => DoneField::Discarded(done),
                    _ => DoneField::Replayed(done),
                },
                failed,
                left,
                again: again + end.behind,
            })?,
            Format::Human => output::print(&format!(
                "{matched} of {} letters matched: {done} {}, {failed} failed, {left} left",
                end.looked_at, self.verb
            ))?,
        }
        Ok(Done::if_holds(end.summary.is_complete()))
    }

    fn explain(&self, end: &End) {
        let Summary { failed, left, again, .. } = end.summary;
        if self.explained > EXPLAINED {
            output::note(&format!("and {} more letters are not ok", self.explained - EXPLAINED));
        }
        match (end.ended, left) {
            (_, 0) => {}
            (Ended::Interrupted, _) => {
                output::note(&format!("interrupted: {left} letters are where they were"))
            }
            _ if end.overdue => output::note(&format!(
                "{left} letters were not tried, because the broker lends them for no longer: run it again"
            )),
            _ if failed > 0 => output::note(&format!(
                "{left} letters were not tried, because an earlier one of their key failed"
            )),
            _ => {}
        }
        if again + end.behind > 0 {
            output::note(&format!(
                "{} letters are {} and come again nevertheless",
                again + end.behind,
                self.verb
            ));
        }
    }
}
