//! `cargo xtask soak`: random workloads with faults on real brokers, for an hour and a million messages each.

use std::process::ExitCode;

use clap::Args;

use crate::TestOptions;
use crate::brokers::only_brokers;
use crate::steps::{cargo, end, with_brokers};
use crate::summary::Summary;
use crate::system;

/// What `cargo xtask soak` does, and for how long.
#[derive(Args)]
pub(crate) struct SoakOptions {
    /// At least so many minutes for each configuration.
    #[arg(long, default_value_t = 60.0)]
    minutes: f64,
    /// At least so many messages for each configuration.
    #[arg(long, default_value_t = 1_000_000)]
    messages: u64,
    /// Only these configurations, by the names that reports have.
    #[arg(long, value_delimiter = ',', default_value = "sqlite,kafka,rabbitmq,rabbitmq4,nats,sqs,pulsar")]
    only: Vec<String>,
    /// Goes on where a soak that was interrupted (SIGINT ends it after a round) stopped.
    #[arg(long)]
    resume: bool,
    /// Repeats the random choices of an earlier soak, or, with --minutes 0 --messages 1, one round of one.
    #[arg(long)]
    seed: Option<u64>,
    /// Install missing system packages (apt-get, as root).
    #[arg(long)]
    install_system: bool,
    /// Leave the brokers running.
    #[arg(long)]
    keep: bool,
}

pub(crate) fn soak(options: &SoakOptions) -> ExitCode {
    let mut summary = Summary::new(None);
    // SIGINT is for the soak, which ends after its round; the brokers are stopped after that.
    let signals = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let caught = signals.inspect(|runtime| {
        runtime.spawn(async { while tokio::signal::ctrl_c().await.is_ok() {} });
    });
    let ready =
        || caught.as_ref().map_err(|e| e.to_string()).and_then(|_| system::ready(options.install_system));
    if summary.step("system packages", ready) {
        let brokers = TestOptions {
            install_system: options.install_system,
            exclude: unused(&options.only),
            only: None,
            keep: options.keep,
        };
        with_brokers(only_brokers(), true, &brokers, &mut summary, |running, summary| {
            let arguments = format!("run -p anybroker-conformance --example soak -- {}", arguments(options));
            summary.step("soak", || cargo(&arguments, &running.environment));
        });
    }
    end(&summary)
}

/// The brokers that none of the configurations runs on.
fn unused(configurations: &[String]) -> Vec<String> {
    let used: Vec<_> = configurations.iter().map(|name| process(name)).collect();
    only_brokers().into_iter().filter(|name| !used.contains(name)).map(str::to_owned).collect()
}

/// The process on which a configuration runs.
fn process(configuration: &str) -> &str {
    let name = configuration.split('-').next().unwrap_or(configuration);
    if name == "sqs" { "elasticmq" } else { name }
}

fn arguments(options: &SoakOptions) -> String {
    let SoakOptions { minutes, messages, only, resume, seed, .. } = options;
    let seed = seed.map_or(String::new(), |seed| format!(" --seed {seed}"));
    let resume = if *resume { " --resume" } else { "" };
    format!("--minutes {minutes} --messages {messages} --only {}{resume}{seed}", only.join(","))
}
