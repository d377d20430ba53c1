//! The `anybroker` command. Data goes to stdout, everything else to stderr; exit code 0 is done, 1 that the thing
//! checked does not hold or a message is not ok, 2 wrong usage or that it could not run.

mod args;
mod commands;
mod connect;
mod failure;
mod output;
mod progress;
mod signals;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use failure::{Done, Failure};

fn main() -> ExitCode {
    anybroker::install_default_crypto();
    match run(Cli::parse().command) {
        Ok(Done::Holds) => ExitCode::SUCCESS,
        Ok(Done::DoesNotHold) => ExitCode::from(1),
        Err(failure) => {
            output::error(&failure.to_string());
            ExitCode::from(2)
        }
    }
}

fn run(command: Command) -> Result<Done, Failure> {
    match command {
        Command::Check(args) => commands::check::run(args),
        Command::Completions(args) => commands::completions::run(args),
        Command::Pub(args) => block_on(commands::publish::run(args)),
        Command::Sub(args) => block_on(commands::subscribe::run(args)),
        Command::Guarantees(args) => block_on(commands::guarantees::run(args)),
        Command::Brokers(args) => block_on(commands::brokers::run(args)),
        Command::Topics(args) => block_on(commands::topics::run(args.command)),
    }
}

fn block_on(command: impl Future<Output = Result<Done, Failure>>) -> Result<Done, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| Failure::new(format!("the runtime cannot start: {e}")))?;
    let done = runtime.block_on(command);
    // Whatever still blocks (a write to a pipe that nobody reads) must not hold up the end.
    runtime.shutdown_background();
    done
}
