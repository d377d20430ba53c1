//! `anybroker brokers up|down|…`: real brokers on this machine, for tests and for trying things out.

use std::path::PathBuf;
use std::time::Instant;

use anybroker_conformance::brokers::{
    Brokers, Engine, Error, Options, PortChoice, State, Status, default_state,
};
use clap::ValueEnum;
use clap::builder::PossibleValuesParser;

use crate::args::Format;
use crate::failure::{Done, Failure};
use crate::output;

/// Arguments of `brokers`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Brokers run in containers where an engine answers, otherwise as native processes. They outlive
this command. A second set beside the first takes its own --state and --free-ports. `postgres` is
no broker but the database that patterns keep their state in; it is treated like one here.

Examples:
  anybroker brokers up
  anybroker brokers up kafka nats --native --install-system
  anybroker brokers up --free-ports --state second-set --format json
  anybroker brokers kill rabbitmq
  anybroker brokers up postgres --free-ports")]
pub(crate) struct Args {
    /// What to do.
    #[arg(value_enum)]
    action: Action,
    /// Which brokers [default: all; kill, pause and resume: all that it applies to].
    #[arg(value_parser = PossibleValuesParser::new(Brokers::names()))]
    names: Vec<String>,
    /// Let system packages be installed; without it, what would be run is printed.
    #[arg(long)]
    install_system: bool,
    /// Native processes, even where a container engine answers.
    #[arg(long, conflicts_with = "containers")]
    native: bool,
    /// Containers, or an error where no engine answers.
    #[arg(long)]
    containers: bool,
    /// Ports that are free instead of the usual ones.
    #[arg(long)]
    free_ports: bool,
    /// Where the brokers' state lies [default: $ANYBROKER_BROKERS_DIR, or .brokers in the workspace].
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What to do with brokers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Action {
    /// Start them and wait until they answer; data of an earlier run is there again.
    Up,
    /// Stop them; their data stays.
    Down,
    /// Say how they stand.
    Status,
    /// SIGKILL, as in a crash.
    Kill,
    /// SIGSTOP: connections stay open and nothing answers.
    Pause,
    /// Let paused ones go on.
    Resume,
    /// Stop and start them again.
    Restart,
    /// Stop them and remove their data.
    Reset,
}

impl Args {
    fn options(&self) -> Options {
        let engine = match (self.containers, self.native) {
            (true, _) => Engine::Containers,
            (_, true) => Engine::Native,
            _ => Engine::Auto,
        };
        let ports = if self.free_ports { PortChoice::Free } else { PortChoice::Same };
        Options { engine, ports, install_system: self.install_system, ..Options::default() }
    }
}

pub(crate) async fn run(args: Args) -> Result<Done, Failure> {
    let began = Instant::now();
    let state = args.state.clone().unwrap_or_else(default_state);
    let brokers = Brokers::open(state, args.options())?
        .on_progress(move |step| output::note(&format!("[{:>5.1} s] {step}", began.elapsed().as_secs_f64())));
    let names: Vec<&str> = args.names.iter().map(String::as_str).collect();
    let statuses = act(&brokers, args.action, &names).await?;
    match args.format {
        Format::Json => statuses.iter().try_for_each(output::print_json)?,
        Format::Human => output::print(&table(&statuses))?,
    }
    Ok(Done::Holds)
}

async fn act(brokers: &Brokers, action: Action, names: &[&str]) -> Result<Vec<Status>, Error> {
    match action {
        Action::Up => return brokers.up(names).await,
        Action::Down => return brokers.down(names).await,
        Action::Status => return brokers.status(names).await,
        Action::Reset => return brokers.reset(names).await,
        Action::Restart => {
            for name in chosen(brokers, names, |state| state != State::Down).await? {
                brokers.restart(&name).await?;
            }
        }
        Action::Kill => {
            for name in chosen(brokers, names, |state| state != State::Down).await? {
                brokers.kill(&name).await?;
            }
        }
        Action::Pause => {
            for name in
                chosen(brokers, names, |state| matches!(state, State::Ready | State::NotReady)).await?
            {
                brokers.pause(&name).await?;
            }
        }
        Action::Resume => {
            for name in chosen(brokers, names, |state| state == State::Paused).await? {
                brokers.resume(&name).await?;
            }
        }
    }
    brokers.status(names).await
}

/// The brokers named, or all whose state fits.
async fn chosen(brokers: &Brokers, names: &[&str], fits: fn(State) -> bool) -> Result<Vec<String>, Error> {
    if !names.is_empty() {
        return Ok(names.iter().map(|name| (*name).to_owned()).collect());
    }
    let statuses = brokers.status(&[]).await?;
    Ok(statuses.into_iter().filter(|status| fits(status.state)).map(|status| status.name).collect())
}

fn table(statuses: &[Status]) -> String {
    let mut table = output::table(&["broker", "state", "version", "runs as", "URL", "log"]);
    for status in statuses {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let state = match &status.reason {
            Some(reason) => format!("{}: {reason}", status.state),
            None => status.state.to_string(),
        };
        let mode = status.mode.map(|mode| mode.to_string()).unwrap_or_default();
        table.add_row([
            status.name.clone(),
            state,
            text(&status.version),
            mode,
            text(&status.url),
            text(&status.log),
        ]);
    }
    table.to_string()
}
