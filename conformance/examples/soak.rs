//! Soaks backends, one after the other: `cargo xtask soak` starts the brokers and runs this.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a program for developers may panic"
)]

#[path = "../tests/targets/mod.rs"]
mod reached;
#[path = "../tests/behaviour/targets.rs"]
mod targets;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anybroker_conformance::run::{self, FaultLevel, RunReport};
use anybroker_conformance::subject::{Subject, member};
use anybroker_conformance::workload::{SoakOptions, SoakProgress, Standing, soak};
use clap::{Parser, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

/// Soaks backends with random workloads and faults, and says whether every promise held.
#[derive(Parser)]
struct Options {
    /// At least so long for each.
    #[arg(long, default_value_t = 60.0)]
    minutes: f64,
    /// At least so many messages for each.
    #[arg(long, default_value_t = 1_000_000)]
    messages: u64,
    /// Only these configurations.
    #[arg(long, value_delimiter = ',', default_value = "sqlite,kafka,rabbitmq,rabbitmq4,nats,sqs,pulsar")]
    only: Vec<String>,
    /// Goes on where an interrupted soak stopped.
    #[arg(long)]
    resume: bool,
    /// Repeats the random choices of an earlier soak, or a round of one.
    #[arg(long)]
    seed: Option<u64>,
    /// Breaks nothing.
    #[arg(long)]
    without_faults: bool,
    /// Where the state of each soak is kept, NAME.json.
    #[arg(long, default_value = "target/soak")]
    state: PathBuf,
    /// How to report.
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Format {
    Human,
    /// One object a line: where it stands after each round, and the report at the end.
    Json,
}

fn main() -> ExitCode {
    let find = |name: &str| targets::all().into_iter().find(|subject| subject.name == name);
    if let Some(ended) = member(|name| find(name).map(|subject| subject.open)) {
        return ended;
    }
    let options = Options::parse();
    let subjects: Option<Vec<_>> = options.only.iter().map(|name| find(name)).collect();
    let Some(subjects) = subjects else {
        let names: Vec<_> = targets::all().into_iter().map(|subject| subject.name).collect();
        eprintln!("--only takes names of {}", names.join(", "));
        return ExitCode::from(2);
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    runtime.spawn(interrupted(stop.clone()));
    let held = subjects.iter().map(|subject| runtime.block_on(one(subject, &options, &stop)));
    let held: Vec<_> = held.collect();
    targets::tidy();
    if held.into_iter().all(|held| held) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The first SIGINT ends the soak after its round, the second ends the program.
async fn interrupted(stop: Arc<AtomicBool>) {
    while tokio::signal::ctrl_c().await.is_ok() {
        if stop.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        eprintln!("stopping after this round; once more stops at once");
    }
}

async fn one(subject: &Subject, options: &Options, stop: &AtomicBool) -> bool {
    if let Some(missing) = subject.missing.as_ref().filter(|_| subject.excluded.is_none()) {
        eprintln!("{}: {missing}", subject.name);
        return false;
    }
    if stop.load(Ordering::Relaxed) {
        eprintln!("{}: not begun", subject.name);
        return false;
    }
    let faults = if options.without_faults { FaultLevel::None } else { FaultLevel::All };
    let seed = options.seed.unwrap_or(run::Options::default().seed);
    let soaking = SoakOptions {
        time: Duration::from_secs_f64(options.minutes * 60.0),
        messages: options.messages,
        run: run::Options { faults, seed },
        state: Some(options.state.join(format!("{}.json", subject.name))),
        resume: options.resume,
    };
    let shown = Shown { bar: bar(), format: options.format };
    match soak(subject, &soaking, &shown, stop).await {
        Ok(report) => {
            shown.bar.finish_and_clear();
            tell(&report, options.format);
            report.exit_code() == 0
        }
        Err(error) => {
            eprintln!("{}: {error}", subject.name);
            false
        }
    }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} messages, {msg}").unwrap();
    ProgressBar::new(0).with_style(style)
}

struct Shown {
    bar: ProgressBar,
    format: Format,
}

impl run::Progress for Shown {
    fn begins(&self, _case: &str, _done: usize, _of: usize) {}

    fn ended(&self, case: &run::CaseReport) {
        if self.format == Format::Human {
            self.bar.suspend(|| eprintln!("{} {}", case.verdict.name(), case.name));
        }
    }
}

impl SoakProgress for Shown {
    fn round(&self, at: &Standing) {
        if self.format == Format::Json {
            println!("{}", serde_json::to_string(at).unwrap());
            return;
        }
        let (minutes, of) = (at.seconds / 60.0, at.of_seconds / 60.0);
        let broken = if at.broken.is_empty() { "none broken".into() } else { at.broken.join(", ") };
        let text = format!(
            "{minutes:.1} of {of:.0} min, {:.0} messages/s, {} faults, {} unknown, {broken}",
            at.messages as f64 / at.seconds,
            at.faults,
            at.unknown,
        );
        let last = format!(
            "{} {} (seed {}, {:.0} s): {}: {text}",
            at.configuration, at.last.name, at.last.seed, at.last.seconds, at.last.text
        );
        if self.bar.is_hidden() {
            return eprintln!("{}/{} messages, {last}", at.messages, at.of_messages);
        }
        self.bar.set_prefix(at.configuration.clone());
        self.bar.set_length(at.of_messages);
        self.bar.set_position(at.messages);
        self.bar.set_message(text);
        if at.last.verdict != run::CaseVerdict::Holds {
            self.bar.println(last);
        }
    }
}

fn tell(report: &RunReport, format: Format) {
    if format == Format::Json {
        return println!("{}", serde_json::to_string(report).unwrap());
    }
    println!("{}: {} published, {} delivered", report.configuration, report.published, report.delivered);
    println!("  {}", report.verdict.name());
    report.unmet.iter().for_each(|unmet| println!("  {unmet}"));
    for (property, found) in &report.properties {
        println!("  {property} {}: {} opportunities", found.verdict.name(), found.opportunities);
    }
    for (kind, count) in &report.faults {
        println!("  {kind}: {count}");
    }
    for case in report.cases.iter().filter(|case| case.verdict == run::CaseVerdict::Failed) {
        println!("  {} with seed {}: {}", case.name, case.seed, case.text);
    }
}
