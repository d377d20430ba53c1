//! `anybroker saga list|show|retry|abandon DATABASE`

mod show;

use anybroker::patterns::saga::{Filter, Instance, SagaAdmin, State};
use clap::Subcommand;
use serde::Serialize;

use super::database::{Of, with_database};
use crate::args::Format;
use crate::failure::{Done, Failure};
use crate::output;

/// Arguments of `saga`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
An instance that cannot go on by itself is parked with the reason: a compensation that failed, a step that the
program no longer has, data that it does not understand.

Examples:
  anybroker saga list postgres://shop@db.example/shop --state parked
  anybroker saga show sqlite:///var/lib/shop/shop.db fulfilment order-7
  anybroker saga retry sqlite:///var/lib/shop/shop.db fulfilment order-7
  anybroker saga abandon $DATABASE fulfilment order-7 --reason 'refunded by hand'")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List instances.
    List {
        #[command(flatten)]
        of: Of,
        /// Only those of this saga.
        #[arg(long, value_name = "NAME")]
        saga: Option<String>,
        /// Only those that stand so: running, compensating, parked, completed, compensated, incomplete, abandoned.
        #[arg(long, value_name = "STATE")]
        state: Option<State>,
        /// Begin after this instance.
        #[arg(long, value_names = ["SAGA", "ID"], num_args = 2)]
        after: Option<Vec<String>>,
        /// At most so many.
        #[arg(long, value_name = "N", default_value_t = 100)]
        most: u32,
    },
    /// Show an instance: its steps, its events, its data, and what happened to it.
    Show {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        instance: Named,
    },
    /// Put a parked instance back to work, with all attempts anew.
    Retry {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        instance: Named,
    },
    /// End an instance as it is: nothing more is done or undone.
    Abandon {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        instance: Named,
        /// Why; it stands in the history.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

#[derive(Debug, clap::Args)]
struct Named {
    /// The saga's name.
    saga: String,
    /// The instance's id.
    id: String,
}

pub(crate) async fn run(args: Args) -> Result<Done, Failure> {
    match args.command {
        Command::List { of, saga, state, after, most } => {
            let after =
                after.and_then(|pair| <[String; 2]>::try_from(pair).ok()).map(<(String, String)>::from);
            let filter = Filter { saga, state, after };
            let listed = with_database!(of.database.open().await?, |store| SagaAdmin::open(store)
                .await?
                .list(&filter, most)
                .await)?;
            list(&of, &listed)
        }
        Command::Show { of, instance: Named { saga, id } } => {
            let shown = with_database!(of.database.open().await?, |store| SagaAdmin::open(store)
                .await?
                .show(&saga, &id)
                .await)?;
            match shown {
                Some(shown) => show::show(of.format, &shown),
                None => said(false, &format!("there is no {saga} {id}")),
            }
        }
        Command::Retry { of, instance: Named { saga, id } } => {
            let found = with_database!(of.database.open().await?, |store| SagaAdmin::open(store)
                .await?
                .retry(&saga, &id)
                .await)?;
            let text = if found { "is put back to work" } else { "is not parked" };
            said(found, &format!("{saga} {id} {text}"))
        }
        Command::Abandon { of, instance: Named { saga, id }, reason } => {
            let found = with_database!(of.database.open().await?, |store| SagaAdmin::open(store)
                .await?
                .abandon(&saga, &id, &reason)
                .await)?;
            let text = if found { "is abandoned" } else { "is not there, or has ended" };
            said(found, &format!("{saga} {id} {text}"))
        }
    }
}

fn said(found: bool, text: &str) -> Result<Done, Failure> {
    output::note(text);
    Ok(Done::if_holds(found))
}

/// An instance as JSON.
#[derive(Serialize)]
struct Line<'a> {
    saga: &'a str,
    id: &'a str,
    state: &'static str,
    reason: Option<&'a str>,
    started: String,
    changed: String,
    deadline: Option<String>,
    due: Option<String>,
}

fn line(of: &Instance) -> Line<'_> {
    Line {
        saga: &of.saga,
        id: &of.id,
        state: of.state.as_str(),
        reason: of.reason.as_deref(),
        started: time(of.started_at),
        changed: time(of.changed_at),
        deadline: of.deadline_at.map(time),
        due: of.due_at.map(time),
    }
}

fn time(at: std::time::SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}

fn list(of: &Of, listed: &[Instance]) -> Result<Done, Failure> {
    if of.format == Format::Json {
        listed.iter().map(line).try_for_each(|line| output::print_json(&line))?;
        return Ok(Done::Holds);
    }
    let mut table = output::table(&["saga", "id", "state", "changed", "due", "reason"]);
    for line in listed.iter().map(line) {
        table.add_row([
            line.saga.to_owned(),
            line.id.to_owned(),
            line.state.to_owned(),
            line.changed,
            line.due.unwrap_or_default(),
            line.reason.unwrap_or_default().to_owned(),
        ]);
    }
    output::print(&table.to_string())?;
    Ok(Done::Holds)
}
