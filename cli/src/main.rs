//! The `anybroker` command. Data goes to stdout, everything else to stderr; exit code 0 is done, 1 that the thing
//! checked does not hold or a message is not ok, 2 wrong usage or that it could not run.

mod args;
mod commands;
mod connect;
mod failure;
mod log;
mod output;
mod place;
mod progress;

use std::process::ExitCode;

use args::{Cli, Command};
use failure::{Done, Failure};
use place::Unread;

fn main() -> ExitCode {
    anybroker::install_default_crypto();
    if let Some(ended) = commands::conform::as_member() {
        return ended;
    }
    let done = match place::parse(std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect())
    {
        Ok(cli) => run(cli),
        Err(Unread::Usage(usage)) => usage.exit(),
        Err(Unread::Wrong(failure)) => Err(failure),
    };
    match done {
        Ok(Done::Holds) => ExitCode::SUCCESS,
        Ok(Done::DoesNotHold) => ExitCode::from(1),
        Err(failure) => {
            output::error(&failure.to_string());
            ExitCode::from(2)
        }
    }
}

fn run(cli: Cli) -> Result<Done, Failure> {
    log::start(cli.verbose)?;
    match cli.command {
        Command::Report(args) => commands::report::run(args),
        Command::Bench(args) => commands::bench::run(args),
        Command::Check(args) => commands::check::run(args),
        Command::Completions(args) => commands::completions::run(args),
        Command::Profiles(args) => commands::profiles::run(args),
        Command::Catalogue(args) => commands::catalogue::run(args),
        Command::Schema(args) => block_on(commands::schema::run(args)),
        Command::Pub(args) => block_on(commands::publish::run(args)),
        Command::Sub(args) => block_on(commands::subscribe::run(args)),
        Command::Guarantees(args) => block_on(commands::guarantees::run(args)),
        Command::Brokers(args) => block_on(commands::brokers::run(args)),
        Command::Topics(args) => block_on(commands::topics::run(args.command)),
        Command::Groups(args) => block_on(commands::groups::run(args)),
        Command::Lag(args) => block_on(commands::lag::run(args)),
        Command::Dlq(args) => block_on(commands::dead_letters::run(args.command)),
        Command::Relay(args) => block_on(commands::relay::run(args)),
        Command::Outbox(args) => block_on(commands::outbox::run(args)),
        Command::Projection(args) => block_on(commands::projection::run(args)),
        Command::Saga(args) => block_on(commands::saga::run(args)),
        Command::Migrate(args) => block_on(commands::migrate::run(args)),
        Command::Doctor(args) => block_on(commands::doctor::run(args)),
        Command::Conform(args) => block_on(commands::conform::run(args)),
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
