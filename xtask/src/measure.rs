//! `cargo xtask bench`: the table of figures, in one command. Every broker is started, anybroker is measured on it beside
//! hand-written code and other libraries, and what came out is kept.

use std::fs::{File, create_dir_all};
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::Args;

use crate::TestOptions;
use crate::figures;
use crate::steps::{Running, cargo, end, with_brokers};
use crate::summary::Summary;
use crate::system;

/// What `cargo xtask bench` does. On a machine with something else to do it shows that.
#[derive(Args)]
pub(crate) struct BenchOptions {
    /// Rounds of each contender.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Only these: kafka, rabbitmq4, nats, nats+core, elasticmq, pulsar. The others' figures stay as they are kept.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Install missing system packages (apt-get, as root).
    #[arg(long)]
    install_system: bool,
}

/// One run of the program: its name, the broker, operations, payload bytes, and messages of a round, some seconds' worth. Of latency it
/// is the rate that decides.
struct Run {
    name: &'static str,
    broker: &'static str,
    operations: &'static str,
    size: u32,
    messages: u32,
}

/// Where no other library can be measured.
const ALONE: &str = "pulsar";

/// Seconds of a round where latency is measured.
const SECONDS: &str = "5";

const RUNS: [Run; 15] = [
    run("kafka", "kafka", "publish", 128, 1_000_000),
    run("kafka", "kafka", "consume", 128, 1_500_000),
    run("kafka", "kafka", "publish,consume", 1_024, 600_000),
    run("kafka", "kafka", "latency", 1_024, 0),
    run("rabbitmq4", "rabbitmq4", "publish,consume", 1_024, 60_000),
    run("rabbitmq4", "rabbitmq4", "latency", 1_024, 0),
    run("nats", "nats", "publish,consume", 1_024, 100_000),
    run("nats", "nats", "latency", 1_024, 0),
    run("nats+core", "nats", "publish,through", 128, 1_000_000),
    run("nats+core", "nats", "publish,through", 1_024, 500_000),
    run("nats+core", "nats", "latency", 1_024, 0),
    run("elasticmq", "elasticmq", "publish,consume", 1_024, 10_000),
    run("elasticmq", "elasticmq", "latency", 1_024, 0),
    run("pulsar", "pulsar", "publish,consume", 1_024, 50_000),
    run("pulsar", "pulsar", "latency", 1_024, 0),
];

const fn run(
    name: &'static str,
    broker: &'static str,
    operations: &'static str,
    size: u32,
    messages: u32,
) -> Run {
    Run { name, broker, operations, size, messages }
}

const BUILD: &str = "build --release --manifest-path bench/Cargo.toml --features peers --target-dir target";

pub(crate) fn bench(options: &BenchOptions) -> ExitCode {
    let mut summary = Summary::new(None);
    let wanted = |run: &&Run| options.only.is_empty() || options.only.iter().any(|name| name == run.name);
    let runs: Vec<_> = RUNS.iter().filter(wanted).collect();
    if runs.is_empty() {
        eprintln!("--only names nothing that is measured: see cargo xtask bench --help");
        return ExitCode::FAILURE;
    }
    let mut brokers: Vec<_> = runs.iter().map(|run| run.broker).collect();
    brokers.dedup();
    let ready = summary.step("system packages", || system::ready(options.install_system))
        && summary.step("build", || cargo(BUILD, &Default::default()));
    if ready {
        let tests = TestOptions {
            install_system: options.install_system,
            exclude: Vec::new(),
            only: None,
            keep: false,
        };
        with_brokers(brokers, true, &tests, &mut summary, |running, summary| {
            measure(&runs, options.rounds, running, summary);
        });
    }
    end(&summary)
}

fn measure(runs: &[&Run], rounds: u32, running: &Running, summary: &mut Summary) {
    let mut reports = Vec::new();
    for run in runs {
        let name = format!("{}, {}, {} B", run.name, run.operations, run.size);
        summary.step(&name, || {
            let url = running.url(run.broker).ok_or("it does not run")?;
            // Without JetStream it is the same server.
            let url = if run.name == "nats+core" { url.replacen("nats:", "nats+core:", 1) } else { url };
            let report = one(run, &url, rounds)?;
            reports.push(report.clone());
            Ok(report.display().to_string())
        });
    }
    if !reports.is_empty() {
        summary.step("keep", || figures::keep(&reports));
    }
}

/// Measures, and says where its report is.
fn one(run: &Run, url: &str, rounds: u32) -> Result<PathBuf, String> {
    let target = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target");
    let folder = target.join("bench");
    let path = folder.join(format!("{}-{}-{}.json", run.name, run.operations, run.size));
    let report = create_dir_all(&folder).and_then(|()| File::create(&path));
    let mut command = Command::new(target.join("release/anybroker-bench"));
    command.args([url, "--format", "json", "--operation", run.operations]);
    command.args((run.name != ALONE).then_some("--peers"));
    command.args(["--size", &run.size.to_string(), "--rounds", &rounds.to_string()]);
    match run.operations {
        "latency" => command.args(["--seconds", SECONDS]),
        _ => command.args(["--messages", &run.messages.to_string()]),
    };
    let ended = report.and_then(|report| command.stdout(report).status());
    match ended.map(|status| status.code()) {
        // 1: something could not be measured, and its row says why.
        Ok(Some(0 | 1)) => Ok(path),
        Ok(_) => Err(format!("{}: it failed, see above", run.name)),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}
