//! How far a run is, on stderr: a bar on a terminal, a line for each case elsewhere.

use std::sync::{Mutex, MutexGuard, PoisonError};

use anybroker_conformance::run::{CaseReport, CaseVerdict, Options, Progress};
use anybroker_conformance::subject::Subject;
use indicatif::ProgressBar;

use crate::output;
use crate::progress;

/// A run as a person watches it.
pub(super) struct Watched {
    bar: ProgressBar,
    at: Mutex<At>,
}

#[derive(Default)]
struct At {
    running: Vec<String>,
    done: usize,
    of: usize,
    failed: usize,
}

impl Watched {
    pub(super) fn new(subject: &Subject, options: &Options) -> Self {
        let (url, faults) = (subject.shown_url(), options.faults.name());
        output::note(&format!("{url}: faults {faults}, seed {}", options.seed));
        Watched { bar: progress::steps(), at: Mutex::default() }
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Where the run stands, in words.
    pub(super) fn stands(&self) -> String {
        let at = self.lock();
        let running = if at.running.is_empty() { "none" } else { &at.running.join(", ") };
        format!("after {} of {} cases ({} failed), while these ran: {running}", at.done, at.of, at.failed)
    }

    fn lock(&self) -> MutexGuard<'_, At> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, at: &At) {
        self.bar.set_length(at.of as u64);
        self.bar.set_position(at.done as u64);
        self.bar.set_message(at.running.join(", "));
    }

    fn say(&self, line: &str) {
        if self.bar.is_hidden() {
            output::note(line);
        } else {
            self.bar.println(line);
        }
    }
}

impl Progress for Watched {
    fn begins(&self, case: &str, _done: usize, of: usize) {
        let mut at = self.lock();
        at.of = of;
        at.running.push(case.to_owned());
        self.show(&at);
    }

    fn ended(&self, case: &CaseReport) {
        let mut at = self.lock();
        at.done += 1;
        at.failed += usize::from(case.verdict == CaseVerdict::Failed);
        at.running.retain(|running| *running != case.name);
        self.show(&at);
        let (verdict, seconds) = (case.verdict.name().replace('_', " "), case.seconds);
        self.say(&format!("[{}/{}] {verdict}: {} ({seconds:.1} s)", at.done, at.of, case.name));
    }
}
