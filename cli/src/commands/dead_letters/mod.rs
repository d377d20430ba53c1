//! `anybroker dlq list|show|replay|discard URL TOPIC`: dead letters, looked at, sent back, or thrown away.

mod choice;
mod letter;
mod look;
mod outcome;
mod parking;
mod settle;
mod work;

use std::time::Duration;

use anybroker::dead_letter::{Filter, Letters};
use anybroker::{Broker, Group, MessageId, Topic};
use clap::Subcommand;

use super::subscribe::seconds;
use crate::args::Format;
use crate::connect::{close, connect_to_keep, within};
use crate::failure::{Done, Failure};
use crate::output;
use crate::place::Place;
use anybroker::worker::Signals;
use choice::Choice;
use letter::Row;
use settle::{Discarding, Replaying, Task};

/// Arguments of `dlq`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Dead letters are messages of the dead letter topic like any other: this reads them as a member of
a group of its own (--group), and gives back what is not replayed or discarded, in order; that is
no failed attempt. What it means depends on the broker:
  Kafka          the group may be new: it begins with the earliest letter that is kept. Letters
                 are acknowledged only in order: choose the first ones of each partition
  SQLite, NATS   the group may be new, too; it stays when this ends, and on SQLite a letter that
                 some group has not acknowledged is not trimmed for retention
  RabbitMQ, SQS  a group gets what is published after it was made. Make it together with the
                 topic: anybroker topics create URL TOPIC --groups dlq
  memory         lives in one process: there is nothing to look at from here
NATS and SQS remember the ids of the last minutes and store nothing under them again: what died
that quickly stays, until it is replayed later or with --new-id.
While this looks it holds the letters: other members of the same group wait for them. RabbitMQ
before 4.3 and SQS count each look as a delivery, and after many (1,000 on RabbitMQ; on SQS what
the queue's redrive policy says, if it has one) the broker itself moves the letter away.

Examples:
  anybroker dlq list kafka://127.0.0.1:9092 orders.dead
  anybroker dlq list @prod orders.dead --class poison --since 2h --format json
  anybroker dlq show @prod orders.dead 0197c1d2-8f0e-7cc3-98c4-dc0c0c07398f
  anybroker dlq replay @prod orders.dead --error timeout --dry-run
  anybroker dlq replay @prod orders.dead --key order-7 --rate 100
  anybroker dlq discard @prod orders.dead --until 2026-11-01T00:00:00Z --yes")]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Dlq,
}

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub(crate) enum Dlq {
    /// List dead letters: why, from where, after how many attempts, when.
    List {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        choice: Choice,
    },
    /// Show one dead letter with its headers and payload.
    Show {
        #[command(flatten)]
        which: Which,
        /// The message's id, as `list` shows it.
        id: MessageId,
    },
    /// Publish dead letters again where they came from, as they were and in order per key.
    #[command(after_help = REPLAY)]
    Replay {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        replaying: Replaying,
        #[command(flatten)]
        choice: Choice,
    },
    /// Remove dead letters for good.
    #[command(after_help = DISCARD)]
    Discard {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        discarding: Discarding,
        #[command(flatten)]
        choice: Choice,
    },
}

const REPLAY: &str = "\
Each letter is published with its key, id, headers and payload, and without what dead lettering
added; the broker confirms it before the letter is acknowledged. One letter of a key at a time is on
its way, and after a failure none of its key follows. A choice that would let a letter overtake an
earlier one of its key is refused.

A signal ends it between two letters of a key, and it says where it stands. A second one does not
wait for the broker: what was sent last may then come again.

Examples:
  anybroker dlq replay @prod orders.dead
  anybroker dlq replay @prod orders.dead --class retryable --since 1h --rate 50
  anybroker dlq replay @prod orders.dead --to orders.repair --key order-7 --format json

Exit code 1 if a letter that was meant is not replayed, or a letter named by --id is not there.";

const DISCARD: &str = "\
On a terminal it asks before; elsewhere it needs --yes. Where a worker parks messages behind a dead
letter, --parking names its store, so that they wait for a discarded one no longer; replay them.

Examples:
  anybroker dlq discard @prod orders.dead --class poison --dry-run
  anybroker dlq discard @prod orders.dead --id 0197c1d2-8f0e-7cc3-98c4-dc0c0c07398f --yes

Exit code 1 if a letter that was meant is not discarded, or a letter named by --id is not there.";

/// Which letters are looked at.
#[derive(Debug, clap::Args)]
pub(crate) struct Which {
    /// The broker's URL, or @PROFILE.
    url: Place,
    /// The dead letter topic.
    topic: Topic,
    /// The group that looks.
    #[arg(long, value_name = "G", default_value = "dlq")]
    group: Group,
    /// Look at this many letters at most; so many are held at once.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(1..))]
    max: u16,
    /// Stop after this long without a letter. Joining a group that has letters waiting may take 10 s before that.
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    idle: Duration,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Dlq {
    /// The broker.
    pub(crate) fn place(&self) -> &Place {
        &self.which().url
    }

    fn which(&self) -> &Which {
        match self {
            Dlq::List { which, .. }
            | Dlq::Show { which, .. }
            | Dlq::Replay { which, .. }
            | Dlq::Discard { which, .. } => which,
        }
    }

    fn choice(&self) -> Choice {
        match self {
            Dlq::List { choice, .. } | Dlq::Replay { choice, .. } | Dlq::Discard { choice, .. } => {
                choice.clone()
            }
            Dlq::Show { id, .. } => Choice::only(id),
        }
    }
}

pub(crate) async fn run(command: Dlq) -> Result<Done, Failure> {
    let mut signals = Signals::catch()?;
    let broker = connect_to_keep(&command.which().url).await?;
    let done = work(&broker, &command, &mut signals).await;
    match done {
        // Nobody wants to wait for a broker that does not answer.
        Ok(None) => Ok(Done::DoesNotHold),
        done => {
            close(&broker).await;
            Ok(done?.unwrap_or(Done::DoesNotHold))
        }
    }
}

/// Does it. None if it was given up in the middle.
async fn work(broker: &Broker, command: &Dlq, signals: &mut Signals) -> Result<Option<Done>, Failure> {
    let (which, choice) = (command.which(), command.choice());
    let mut letters = look::open(broker, which).await?;
    let read = look::read(&mut letters, which, &choice, signals).await;
    let task = match command {
        Dlq::Replay { replaying, .. } => Task::Replay(replaying),
        Dlq::Discard { discarding, .. } => Task::Discard(discarding),
        Dlq::List { .. } | Dlq::Show { .. } => {
            let printed = read.and_then(|_| print(command, &letters, &choice));
            let closed = within("close", letters.close()).await;
            let done = printed?;
            closed?;
            return Ok(Some(done));
        }
    };
    match read {
        Ok(false) => settle::run(letters, which, &choice, &task, signals).await,
        read => {
            let closed = within("close", letters.close()).await;
            if read? {
                output::note("interrupted: nothing has been done");
            }
            closed?;
            Ok(Some(Done::DoesNotHold))
        }
    }
}

fn print(command: &Dlq, letters: &Letters, choice: &Choice) -> Result<Done, Failure> {
    let (which, filter) = (command.which(), choice.filter());
    let all_there = choice.complain(letters);
    match (command, letters.matching(&filter).next()) {
        (Dlq::Show { .. }, Some(letter)) => show(which.format, &Row::of(letter, &which.topic))?,
        (Dlq::Show { .. }, None) => {}
        _ => list(which, letters, &filter)?,
    }
    Ok(Done::if_holds(all_there))
}

fn list(which: &Which, letters: &Letters, filter: &Filter) -> Result<(), Failure> {
    let mut rows = letters.matching(filter).map(|letter| Row::of(letter, &which.topic));
    if which.format == Format::Json {
        return rows.try_for_each(|row| output::print_json(&row));
    }
    let mut table = output::table(&["id", "key", "type", "reason", "from", "attempts", "time"]);
    for row in rows {
        table.add_row(row.cells());
    }
    output::print(&table.to_string())
}

fn show(format: Format, row: &Row<'_>) -> Result<(), Failure> {
    match format {
        Format::Json => output::print_json(row),
        Format::Human => output::print(&row.text()),
    }
}
