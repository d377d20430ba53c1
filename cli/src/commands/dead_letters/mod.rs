//! `anybroker dlq list|show URL TOPIC`: dead letters, looked at and left where they are.

mod letter;
mod look;

use std::time::Duration;

use anybroker::{Broker, Delivery, Group, MessageId, Topic};
use clap::Subcommand;

use super::subscribe::seconds;
use crate::args::Format;
use crate::connect::{close, connect_to_keep, within};
use crate::failure::{Done, Failure};
use crate::output;
use crate::place::Place;
use crate::signals::Signals;
use letter::Letter;

/// Arguments of `dlq`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Dead letters are messages of the dead letter topic like any other: this reads them as a member of
a group of its own (--group), and gives all of them back. Nothing is acknowledged or removed, and
it is no failed attempt. What that means depends on the broker:
  Kafka          the group may be new: it begins with the earliest letter that is kept
  SQLite, NATS   the same; the group stays when this ends, and on SQLite a letter that some group
                 has not acknowledged is not trimmed for retention
  RabbitMQ, SQS  a group gets what is published after it was made. Make it together with the
                 topic: anybroker topics create URL TOPIC --groups dlq
  memory         lives in one process: there is nothing to look at from here
While this looks it holds the letters: other members of the same group wait for them. RabbitMQ
before 4.3 and SQS count each look as a delivery, and after many (1,000 on RabbitMQ; on SQS what
the queue's redrive policy says, if it has one) the broker itself moves the letter away.

Examples:
  anybroker dlq list kafka://127.0.0.1:9092 orders.dead
  anybroker dlq list @prod orders.dead --max 20 --format json
  anybroker dlq show @prod orders.dead 0197c1d2-8f0e-7cc3-98c4-dc0c0c07398f")]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Dlq,
}

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub(crate) enum Dlq {
    /// List dead letters: why, from where, after how many attempts, when.
    List(Which),
    /// Show one dead letter with its headers and payload.
    Show {
        #[command(flatten)]
        which: Which,
        /// The message's id, as `list` shows it.
        id: MessageId,
    },
}

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
        match self {
            Dlq::List(which) | Dlq::Show { which, .. } => &which.url,
        }
    }
}

pub(crate) async fn run(command: Dlq) -> Result<Done, Failure> {
    let (which, id) = match &command {
        Dlq::List(which) => (which, None),
        Dlq::Show { which, id } => (which, Some(id)),
    };
    let mut signals = Signals::catch()?;
    let broker = connect_to_keep(&which.url).await?;
    let done = look(&broker, which, id, &mut signals).await;
    close(&broker).await;
    done
}

async fn look(
    broker: &Broker,
    which: &Which,
    id: Option<&MessageId>,
    signals: &mut Signals,
) -> Result<Done, Failure> {
    let mut consumer = look::open(broker, which).await?;
    let read = look::read(broker, which, id, &mut *consumer, signals).await;
    let printed = read.and_then(|held| print(which, id, &held));
    // What was held has been dropped, which releases it.
    let closed = within("close", consumer.close()).await;
    let done = printed?;
    closed?;
    Ok(done)
}

fn print(which: &Which, id: Option<&MessageId>, held: &[Delivery]) -> Result<Done, Failure> {
    let mut letters = held.iter().map(|delivery| Letter::of(delivery, &which.topic));
    let done = match id {
        None => {
            list(which.format, &letters.collect::<Vec<_>>())?;
            true
        }
        Some(id) => match letters.find(|letter| letter.is(id)) {
            Some(letter) => show(which.format, &letter).map(|()| true)?,
            None => {
                output::note(&format!("no letter `{id}` among the {} looked at", held.len()));
                false
            }
        },
    };
    if held.len() >= which.max.into() {
        output::note(&format!("there may be more: these were the first {}; see --max", held.len()));
    }
    Ok(Done::if_holds(done))
}

fn list(format: Format, letters: &[Letter<'_>]) -> Result<(), Failure> {
    if format == Format::Json {
        return letters.iter().try_for_each(output::print_json);
    }
    let mut table = output::table(&["id", "key", "type", "reason", "from", "attempts", "time"]);
    for letter in letters {
        table.add_row(letter.row());
    }
    output::print(&table.to_string())
}

fn show(format: Format, letter: &Letter<'_>) -> Result<(), Failure> {
    match format {
        Format::Json => output::print_json(letter),
        Format::Human => output::print(&letter.text()),
    }
}
