//! `anybroker projection list|parked|wait|abandon|remove DATABASE`

use std::time::{Duration, SystemTime};

use anybroker::patterns::projection::{ParkedEvent, Projections, Status, WaitError};
use clap::Subcommand;
use serde::Serialize;

use super::database::{Of, with_database};
use super::subscribe::seconds;
use crate::args::Format;
use crate::failure::{Done, Failure};
use crate::output;

/// Arguments of `projection`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
An event that cannot be applied is parked with the reason, and with it those that follow in its stream. To apply
them again takes the program's own code: Projector::retry and Projector::discard.

Examples:
  anybroker projection list postgres://shop@db.example/shop
  anybroker projection list $DATABASE --max-lag 1000 --max-age 30 || echo 'read models are late'
  anybroker projection parked sqlite:///var/lib/shop/shop.db orders
  anybroker projection wait $DATABASE orders 4711 --timeout 5
  anybroker projection abandon $DATABASE orders")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List projections with their lag: what readers see, and what is being built.
    List {
        #[command(flatten)]
        of: Of,
        /// Exit code 1 if a live one has more events than this before it.
        #[arg(long, value_name = "N")]
        max_lag: Option<u64>,
        /// Exit code 1 if the first event that a live one has not applied is older than this.
        #[arg(long, value_name = "SECONDS", value_parser = seconds)]
        max_age: Option<Duration>,
    },
    /// List the events that are parked; exit code 1 if there are any.
    Parked {
        #[command(flatten)]
        of: Of,
        /// The projection's name.
        name: String,
        /// Only those after this position.
        #[arg(long, value_name = "POSITION", default_value_t = 0)]
        after: u64,
        /// At most so many.
        #[arg(long, value_name = "N", default_value_t = 100)]
        most: u32,
    },
    /// Wait until readers see everything up to a position; exit code 1 if that is not in time, or the event is parked.
    Wait {
        #[command(flatten)]
        of: Of,
        /// The projection's name.
        name: String,
        /// A position in the event store.
        position: u64,
        /// How long.
        #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "10")]
        timeout: Duration,
    },
    /// Give up a rebuild, and drop its tables; exit code 1 if none is being made.
    Abandon {
        #[command(flatten)]
        of: Of,
        /// The projection's name.
        name: String,
    },
    /// Drop a read model with all that is known of it; exit code 1 if there is none. Its projectors must have ended.
    Remove {
        #[command(flatten)]
        of: Of,
        /// The projection's name.
        name: String,
    },
}

/// Asks the projections of a database, whichever it is.
macro_rules! ask {
    ($of:expr, |$projections:ident| $question:expr) => {
        with_database!($of.database.open().await?, |store| {
            let $projections = Projections::open(store).await?;
            $question.await
        })
    };
}

pub(crate) async fn run(args: Args) -> Result<Done, Failure> {
    match args.command {
        Command::List { of, max_lag, max_age } => {
            let listed = ask!(of, |projections| projections.status())?;
            list(of.format, &listed)?;
            let late = |status: &&Status| {
                max_lag.is_some_and(|max| status.lag() > max)
                    || max_age.is_some_and(|max| status.age().is_some_and(|age| age > max))
            };
            Ok(Done::if_holds(!listed.iter().filter(|status| status.live).any(|status| late(&status))))
        }
        Command::Parked { of, name, after, most } => {
            let parked = ask!(of, |projections| projections.parked(&name, after, most))?;
            list_parked(of.format, &parked)?;
            Ok(Done::if_holds(parked.is_empty()))
        }
        Command::Wait { of, name, position, timeout } => {
            match ask!(of, |projections| projections.wait_for(&name, position, timeout)) {
                Ok(()) => said(true, &format!("{name} includes position {position}")),
                Err(WaitError::Failed(error)) => Err(error.into()),
                Err(error) => said(false, &error.to_string()),
            }
        }
        Command::Abandon { of, name } => {
            let found = ask!(of, |projections| projections.abandon(&name))?;
            said(
                found,
                &format!("{name}: {}", if found { "the rebuild is given up" } else { "none is made" }),
            )
        }
        Command::Remove { of, name } => {
            let found = ask!(of, |projections| projections.remove(&name))?;
            said(found, &format!("{name} {}", if found { "is removed" } else { "is not there" }))
        }
    }
}

fn said(holds: bool, text: &str) -> Result<Done, Failure> {
    output::note(text);
    Ok(Done::if_holds(holds))
}

/// A generation as JSON.
#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    generation: u32,
    version: u32,
    live: bool,
    created: String,
    position: u64,
    newest: u64,
    lag: u64,
    oldest_seconds: Option<f64>,
    parked: u64,
    partitions: Vec<u64>,
}

fn line(of: &Status) -> Line<'_> {
    Line {
        name: &of.name,
        generation: of.generation,
        version: of.version,
        live: of.live,
        created: time(of.created_at),
        position: of.position(),
        newest: of.newest,
        lag: of.lag(),
        oldest_seconds: of.age().map(|age| age.as_secs_f64()),
        parked: of.parked,
        partitions: of.partitions.iter().map(|partition| partition.position).collect(),
    }
}

fn time(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}

fn list(format: Format, listed: &[Status]) -> Result<(), Failure> {
    if format == Format::Json {
        return listed.iter().map(line).try_for_each(|line| output::print_json(&line));
    }
    let head = ["projection", "generation", "version", "readers", "done", "lag", "oldest", "parked"];
    let mut table = output::table(&head);
    for status in listed {
        table.add_row([
            status.name.clone(),
            status.generation.to_string(),
            status.version.to_string(),
            (if status.live { "see it" } else { "being built" }).to_owned(),
            format!("{:.1} %", status.percent()),
            status.lag().to_string(),
            status.age().map(|age| format!("{:.1} s", age.as_secs_f64())).unwrap_or_default(),
            status.parked.to_string(),
        ]);
    }
    output::print(&table.to_string())
}

/// A parked event as JSON.
#[derive(Serialize)]
struct Parked<'a> {
    position: u64,
    stream: &'a str,
    version: u64,
    generation: u32,
    reason: Option<&'a str>,
    parked: String,
}

fn list_parked(format: Format, parked: &[ParkedEvent]) -> Result<(), Failure> {
    let lines = parked.iter().map(|event| Parked {
        position: event.position,
        stream: &event.stream,
        version: event.version,
        generation: event.generation,
        reason: event.reason.as_deref(),
        parked: time(event.at),
    });
    if format == Format::Json {
        return lines.into_iter().try_for_each(|line| output::print_json(&line));
    }
    let mut table = output::table(&["position", "stream", "version", "generation", "parked", "reason"]);
    for event in lines {
        table.add_row([
            event.position.to_string(),
            event.stream.to_owned(),
            event.version.to_string(),
            event.generation.to_string(),
            event.parked,
            event.reason.unwrap_or("follows an earlier one of its stream").to_owned(),
        ]);
    }
    output::print(&table.to_string())
}
