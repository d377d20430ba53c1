//! `anybroker outbox status|quarantined|retry|discard DATABASE`

use std::time::SystemTime;

use anybroker::patterns::outbox::{COUNTED, Quarantined, Status, Store};
use clap::Subcommand;
use serde::Serialize;

use super::database::{Of, with_database};
use crate::args::Format;
use crate::failure::{Done, Failure};
use crate::output;

/// Arguments of `outbox`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A message that no broker takes, or that cannot be read, is set aside with the reason, and with it whatever
follows it in its key, so that the key's order stays.

Examples:
  anybroker outbox status postgres://shop@db.example/shop
  anybroker outbox quarantined sqlite:///var/lib/shop/shop.db
  anybroker outbox retry sqlite:///var/lib/shop/shop.db 4711
  anybroker outbox status $DATABASE --max-age 60 || echo 'the outbox is late'")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show how much waits, since when, and how much is set aside.
    Status {
        #[command(flatten)]
        of: Of,
        /// Exit code 1 if the oldest message has waited for longer.
        #[arg(long, value_name = "SECONDS")]
        max_age: Option<f64>,
    },
    /// List what is set aside, and why.
    Quarantined {
        #[command(flatten)]
        of: Of,
        /// Begin after this id.
        #[arg(long, value_name = "ID", default_value_t = 0)]
        after: i64,
        /// At most so many.
        #[arg(long, value_name = "N", default_value_t = 100)]
        most: u32,
    },
    /// Publish a message that is set aside, and those behind it.
    Retry {
        #[command(flatten)]
        of: Of,
        /// Its id.
        id: i64,
    },
    /// Throw away a message that is set aside, and publish those behind it.
    Discard {
        #[command(flatten)]
        of: Of,
        /// Its id.
        id: i64,
    },
}

#[derive(Serialize)]
struct StatusLine {
    backlog: u64,
    /// There are more than were counted.
    more: bool,
    oldest_seconds: Option<f64>,
    quarantined: u64,
}

#[derive(Serialize)]
struct Row {
    id: i64,
    topic: String,
    key: Option<String>,
    message_id: String,
    reason: String,
    behind: bool,
    staged: String,
    quarantined: String,
}

pub(crate) async fn run(args: Args) -> Result<Done, Failure> {
    match args.command {
        Command::Status { of, max_age } => {
            let status = with_database!(of.database.open().await?, |store| status_of(&store).await)?;
            show_status(&of, &status)?;
            let late = age(status.oldest).zip(max_age).is_some_and(|(age, most)| age > most);
            Ok(Done::if_holds(!late))
        }
        Command::Quarantined { of, after, most } => {
            let rows = with_database!(of.database.open().await?, |store| checked(&store)
                .await?
                .quarantined(after, most)
                .await)?;
            show(&of, rows.into_iter().map(row).collect())
        }
        Command::Retry { of, id } => {
            let found =
                with_database!(of.database.open().await?, |store| checked(&store).await?.retry(id).await)?;
            said(found, id, "is published again by the relay")
        }
        Command::Discard { of, id } => {
            let found =
                with_database!(of.database.open().await?, |store| checked(&store).await?.discard(id).await)?;
            said(found, id, "is thrown away")
        }
    }
}

/// Refuses tables that are missing or changed, with what to do.
async fn checked<S: Store>(store: &S) -> Result<&S, Failure> {
    Store::check(store).await?;
    Ok(store)
}

async fn status_of<S: Store>(store: &S) -> Result<Status, Failure> {
    Ok(checked(store).await?.status().await?)
}

fn said(found: bool, id: i64, what: &str) -> Result<Done, Failure> {
    output::note(&if found { format!("{id} {what}") } else { format!("{id} is not set aside") });
    Ok(Done::if_holds(found))
}

fn show_status(of: &Of, status: &Status) -> Result<(), Failure> {
    let line = StatusLine {
        backlog: status.backlog,
        more: status.backlog > COUNTED,
        oldest_seconds: age(status.oldest),
        quarantined: status.quarantined,
    };
    if of.format == Format::Json {
        return output::print_json(&line);
    }
    let oldest = line.oldest_seconds.map_or_else(String::new, |age| format!(", the oldest for {age:.1} s"));
    output::print(&format!("{} waiting{oldest}; {} set aside", count(line.backlog), count(line.quarantined)))
}

fn show(of: &Of, rows: Vec<Row>) -> Result<Done, Failure> {
    if of.format == Format::Json {
        rows.iter().try_for_each(output::print_json)?;
        return Ok(Done::Holds);
    }
    let mut table = output::table(&["id", "topic", "key", "staged", "reason"]);
    for row in &rows {
        table.add_row([
            row.id.to_string(),
            row.topic.clone(),
            row.key.clone().unwrap_or_default(),
            row.staged.clone(),
            row.reason.clone(),
        ]);
    }
    output::print(&table.to_string())?;
    Ok(Done::Holds)
}

fn row(of: Quarantined) -> Row {
    let time = |at| humantime::format_rfc3339_seconds(at).to_string();
    Row {
        id: of.row.id,
        key: of.row.key.as_ref().map(|key| String::from_utf8_lossy(key).into_owned()),
        topic: of.row.topic,
        message_id: of.row.message_id,
        reason: of.reason,
        behind: of.behind,
        staged: time(of.row.staged_at),
        quarantined: time(of.at),
    }
}

/// For how long, in seconds.
pub(crate) fn age(since: Option<SystemTime>) -> Option<f64> {
    since.map(|since| since.elapsed().unwrap_or_default().as_secs_f64())
}

/// A count that is bounded.
pub(crate) fn count(of: u64) -> String {
    if of > COUNTED { format!("more than {COUNTED}") } else { of.to_string() }
}
