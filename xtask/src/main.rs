//! `cargo xtask test`: everything that has to hold, in one command.

mod again;
mod brokers;
mod conform;
mod failures;
mod figures;
mod instructions;
mod measure;
mod soak;
mod steps;
mod summary;
mod system;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// Development commands of this repository.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Command {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Starts every broker, runs format, lints, unit, doc and behaviour tests and the examples, and stops what it started.
    Test(TestOptions),
    /// Runs the conformance suite on every broker, and keeps its reports: in docs/conformance what does not depend on this
    /// machine, in target/conformance everything, with one page.
    Conform(TestOptions),
    /// Runs random workloads with faults on every broker, for an hour and a million messages each; resumable.
    Soak(soak::SoakOptions),
    /// Counts the instructions of the hot paths, with valgrind, and compares them with what is kept.
    Instructions {
        /// Keeps what is counted now.
        #[arg(long)]
        keep: bool,
    },
    /// Writes the generated documents: docs/guarantees.md, docs/properties.md and the README's tables.
    Docs,
    /// Measures anybroker on every broker beside hand-written code and other libraries, and keeps that: the README's table, in
    /// one command. Takes half an hour and the whole machine.
    Bench(measure::BenchOptions),
    /// Keeps what `anybroker bench --peers --format json` has shown, in docs/bench, without its single rounds, and makes the README's
    /// table of it.
    Figures {
        /// Reports of one machine; later ones win where several have measured the same.
        #[arg(required = true)]
        reports: Vec<std::path::PathBuf>,
    },
}

/// What `cargo xtask test` and `conform` may do, and what it leaves out.
#[derive(Args)]
struct TestOptions {
    /// Install missing system packages (apt-get, as root). Without it, their absence is an error that says what to run.
    #[arg(long)]
    install_system: bool,
    /// Leave a broker out, by name (kafka, rabbitmq, rabbitmq4, nats, elasticmq, pulsar), the database (postgres), the registry
    /// of schemas (registry), AWS Glue's (glue), the object store (s3), or the tests with Python clients (python); the summary
    /// says so.
    #[arg(long, value_delimiter = ',')]
    exclude: Vec<String>,
    /// Run only the steps whose names contain this.
    #[arg(long)]
    only: Option<String>,
    /// Leave the brokers running.
    #[arg(long)]
    keep: bool,
}

fn main() -> ExitCode {
    match Command::parse().verb {
        Verb::Test(options) => steps::test(&options),
        Verb::Conform(options) => steps::conform(&options),
        Verb::Soak(options) => soak::soak(&options),
        Verb::Instructions { keep } => instructions::run(keep),
        Verb::Docs => steps::docs(),
        Verb::Bench(options) => measure::bench(&options),
        Verb::Figures { reports } => figures::run(&reports),
    }
}
