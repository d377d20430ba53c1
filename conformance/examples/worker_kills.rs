//! What a worker makes of its handlers, and how it goes on when workers are killed, on real brokers.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a program for developers may panic")]

#[path = "../tests/targets/mod.rs"]
mod reached;
#[path = "../tests/behaviour/targets.rs"]
mod targets;

use std::process::ExitCode;
use std::time::Duration;

use anybroker_conformance::cases::worker_kills::{self, Disturbed, RESUMED, SHARE, Undisturbed};
use anybroker_conformance::run::{self, Histories};
use anybroker_conformance::subject::{Subject, member};
use clap::{Parser, ValueEnum};
use serde::Serialize;

/// 64 keys, 16 handlers at once of 1 to 20 ms: first one worker that nobody disturbs, then two of which one is killed every
/// so often, another joining for it. Exits with 1 if a bound is not met.
#[derive(Parser)]
struct Options {
    /// These configurations.
    #[arg(long, value_delimiter = ',', default_value = "kafka,rabbitmq")]
    only: Vec<String>,
    /// So many messages, disturbed.
    #[arg(long, default_value_t = 100_000)]
    messages: usize,
    /// So many a second. Every line of a worker process waits until it has been read, so that it can do fewer than undisturbed.
    #[arg(long, default_value_t = 400.0)]
    rate: f64,
    /// Seconds between kills.
    #[arg(long, default_value_t = 20.0)]
    every: f64,
    /// So many messages, undisturbed.
    #[arg(long, default_value_t = 20_000)]
    backlog: usize,
    /// Repeats the random choices of an earlier run.
    #[arg(long)]
    seed: Option<u64>,
    /// How to report.
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Format {
    Human,
    /// One object for each configuration.
    Json,
}

#[derive(Serialize)]
struct Figures {
    configuration: String,
    seed: u64,
    holds: bool,
    undisturbed: Undisturbed,
    disturbed: Disturbed,
}

fn main() -> ExitCode {
    let find = |name: &str| targets::all().into_iter().find(|subject| subject.name == name);
    if let Some(ended) = member(|name| find(name).map(|subject| subject.open)) {
        return ended;
    }
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut holds = true;
    for name in &options.only {
        let Some(subject) = find(name) else {
            eprintln!("there is no configuration {name}");
            return ExitCode::from(2);
        };
        match runtime.block_on(one(&subject, &options)) {
            Ok(figures) => {
                holds &= figures.holds;
                tell(&figures, options.format);
            }
            Err(error) => {
                eprintln!("{name}: {error}");
                holds = false;
            }
        }
    }
    targets::tidy();
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn one(
    subject: &Subject,
    options: &Options,
) -> Result<Figures, Box<dyn std::error::Error + Send + Sync>> {
    if let Some(missing) = subject.missing.clone().or_else(|| subject.excluded.clone()) {
        return Err(missing.into());
    }
    let mut run = run::Options::default();
    run.seed = options.seed.unwrap_or(run.seed);
    let context = subject.context(&run, Histories::default());
    let undisturbed = worker_kills::undisturbed(&context, options.backlog).await?;
    eprintln!("{}: undisturbed {:.3} of the most", subject.name, undisturbed.share);
    let every = Duration::from_secs_f64(options.every);
    let told = |text| eprintln!("{}: {text}", subject.name);
    let disturbed = worker_kills::disturbed(&context, options.messages, options.rate, every, told).await?;
    Ok(Figures {
        configuration: subject.name.clone(),
        seed: run.seed,
        holds: undisturbed.holds() && disturbed.holds(options.messages),
        undisturbed,
        disturbed,
    })
}

fn tell(figures: &Figures, format: Format) {
    if format == Format::Json {
        return println!("{}", serde_json::to_string(figures).unwrap());
    }
    let Figures { configuration, seed, holds, undisturbed, disturbed } = figures;
    println!("{configuration}, 64 keys, 16 handlers at once of 1 to 20 ms, seed {seed}");
    let Undisturbed { messages, seconds, rate, mean_handler_ms, most, share } = undisturbed;
    println!("  undisturbed: {messages} messages in {seconds:.1} s, {rate:.0}/s");
    println!(
        "    a handler took {mean_handler_ms:.2} ms on average: at most {most:.0}/s; {share:.3} of that (at least {SHARE})"
    );
    let Disturbed { messages, seconds, begun, pairs, violations, in_order, verdict, kills } = disturbed;
    println!("  disturbed: {messages} messages published in {seconds:.1} s, {begun} handlers begun");
    println!("    P7: {violations} violations of {pairs} pairs (at most 0)");
    match in_order {
        Ok(messages) => println!("    first handlers in order, marked or not: all of {messages}"),
        Err(broken) => println!("    first handlers in order, marked or not: no: {broken}"),
    }
    println!("    all promises: {verdict}");
    for kill in kills {
        println!(
            "    killed at {:.1} s: handlers ran again after {:.2} s, of every key after {:.2} s (at most {} s)",
            kill.at,
            kill.any,
            kill.all_keys,
            RESUMED.as_secs()
        );
    }
    println!("  {}", if *holds { "every bound is met" } else { "a bound is not met" });
}
