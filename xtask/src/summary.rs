//! What was run, how it ended, and how long it took.

use std::time::{Duration, Instant};

#[derive(Default)]
pub(crate) struct Summary {
    only: Option<String>,
    lines: Vec<(String, Ended, Duration)>,
}

enum Ended {
    Passed(String),
    Failed(String),
    NotRun(String),
}

impl Summary {
    pub(crate) fn new(only: Option<String>) -> Self {
        Summary { only, lines: Vec::new() }
    }

    /// Whether a step of this name is to be run.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| name.contains(only.as_str()))
    }

    /// Runs a step and notes how it ended; says whether it passed or was left out.
    pub(crate) fn step(&mut self, name: &str, run: impl FnOnce() -> Result<String, String>) -> bool {
        self.step_if(false, name, run)
    }

    /// The same of a step that is also run where others need it.
    pub(crate) fn step_if(
        &mut self,
        needed: bool,
        name: &str,
        run: impl FnOnce() -> Result<String, String>,
    ) -> bool {
        if !needed && !self.wants(name) {
            let only = self.only.as_deref().unwrap_or_default();
            self.not_run(name, format!("left out by --only {only}"));
            return true;
        }
        eprintln!("== {name}");
        let began = Instant::now();
        let ended = match run() {
            Ok(said) => Ended::Passed(said),
            Err(why) => {
                eprintln!("== {name} failed: {}", why.lines().next().unwrap_or_default());
                Ended::Failed(why)
            }
        };
        let passed = matches!(ended, Ended::Passed(_));
        self.lines.push((name.to_owned(), ended, began.elapsed()));
        passed
    }

    pub(crate) fn not_run(&mut self, name: &str, why: impl Into<String>) {
        self.lines.push((name.to_owned(), Ended::NotRun(why.into()), Duration::ZERO));
    }

    /// Prints everything; says whether nothing failed.
    pub(crate) fn print(&self) -> bool {
        println!("\nsummary");
        let (mut passed, mut failed, mut not_run) = (0, 0, 0);
        for (name, ended, took) in &self.lines {
            let (word, text) = match ended {
                Ended::Passed(text) => (count(&mut passed, "passed"), text),
                Ended::Failed(text) => (count(&mut failed, "FAILED"), text),
                Ended::NotRun(text) => (count(&mut not_run, "not run"), text),
            };
            let first = text.lines().next().unwrap_or_default();
            println!("  {word:<8}{:>6.0} s  {name:<32}{first}", took.as_secs_f64());
        }
        println!("{passed} passed, {failed} failed, {not_run} skipped");
        self.print_rest();
        failed == 0
    }

    /// What steps had to say besides their first lines.
    fn print_rest(&self) {
        for (name, ended, _) in &self.lines {
            let (Ended::Passed(text) | Ended::Failed(text) | Ended::NotRun(text)) = ended;
            if let Some((_, said)) = text.split_once('\n').filter(|(_, said)| !said.is_empty()) {
                println!("\n{name}:\n{said}");
            }
        }
    }
}

fn count(counter: &mut u32, word: &'static str) -> &'static str {
    *counter += 1;
    word
}
