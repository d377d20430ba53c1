//! The command line: what all commands share.

use clap::{ArgAction, Parser, Subcommand, ValueEnum};

use crate::commands::{
    bench, brokers, catalogue, check, completions, conform, dead_letters, doctor, groups, guarantees, lag,
    migrate, outbox, profiles, projection, publish, relay, report, saga, schema, subscribe, topics,
};
use crate::place::Place;

/// One messaging API over Kafka, RabbitMQ, NATS, SQS FIFO and embedded brokers: publish, consume, look after groups
/// and dead letters, and see what is guaranteed.
#[derive(Debug, Parser)]
#[command(name = "anybroker", version, propagate_version = true, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    /// The broker by its name in the file of profiles, in place of its URL.
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Say on stderr what the clients do; twice: in detail [env: ANYBROKER_LOG=warn|info|debug|trace].
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER_HELP: &str = "\
URLs:
  kafka://127.0.0.1:9092                  Apache Kafka; kafka+ssl:// encrypted
  amqp://guest:guest@127.0.0.1:5672       RabbitMQ; amqps:// encrypted
  nats://127.0.0.1:4222                   NATS JetStream; tls:// encrypted
  nats+core://127.0.0.1:4222              core NATS: at most once
  sqs://eu-central-1                      Amazon SQS FIFO; ?endpoint=http://127.0.0.1:9324
  sqlite:///path/file.db                  a file on this machine, for several processes
  memory://name                           inside one command's process only
  @NAME                                   a profile: see anybroker profiles --help

The URL may be left out where --profile, ANYBROKER_URL or ANYBROKER_PROFILE (in this order)
names the broker.

Exit codes:
  0  done
  1  the thing checked does not hold, or a message is not ok
  2  wrong usage, or it could not run";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Publish one message a line from a file or stdin.
    Pub(publish::Args),
    /// Receive messages and print one a line.
    Sub(subscribe::Args),
    /// Show what a broker guarantees, and check it against what is required.
    Guarantees(guarantees::Args),
    /// Create, list, delete and purge topics.
    Topics(topics::Args),
    /// List a topic's consumer groups.
    Groups(groups::Args),
    /// Show how many messages wait for each consumer group, and alarm on too many.
    Lag(lag::Args),
    /// Look at dead letters.
    Dlq(dead_letters::Args),
    /// Publish what an outbox holds.
    Relay(relay::Args),
    /// Look at an outbox, and at what it has set aside.
    Outbox(outbox::Args),
    /// Look at projections: their lag, their rebuilds, and what they parked.
    Projection(projection::Args),
    /// Look at sagas, and put those that are parked back to work.
    Saga(saga::Args),
    /// Create the tables of the patterns in a database.
    Migrate(migrate::Args),
    /// Check the schemas of events, and register them.
    Schema(schema::Args),
    /// Draw who publishes and who consumes which event, and say what is remarkable.
    Catalogue(catalogue::Args),
    /// Find out what is wrong between here and a broker, and what to change.
    Doctor(doctor::Args),
    /// List the brokers that have names.
    Profiles(profiles::Args),
    /// Prove on a broker that it keeps what it promises, under faults.
    Conform(conform::Args),
    /// Measure a broker beside hand-written code and other libraries.
    Bench(bench::Args),
    /// Put the reports of several conformance runs into one.
    Report(report::Args),
    /// Check a recorded history against the properties that it promises.
    Check(check::Args),
    /// Start, stop and break real brokers, and a database, on this machine.
    Brokers(brokers::Args),
    /// Print a completion script for a shell.
    Completions(completions::Args),
}

impl Command {
    /// The broker that it works on, if it takes one.
    pub(crate) fn place(&self) -> Option<&Place> {
        match self {
            Command::Pub(args) => Some(&args.url),
            Command::Sub(args) => Some(&args.url),
            Command::Guarantees(args) => Some(&args.url),
            Command::Topics(args) => Some(args.command.place()),
            Command::Groups(args) => Some(&args.url),
            Command::Lag(args) => Some(&args.url),
            Command::Dlq(args) => Some(args.command.place()),
            Command::Doctor(args) => Some(&args.url),
            Command::Relay(args) => Some(&args.url),
            Command::Bench(args) => Some(&args.url),
            Command::Conform(args) => args.url.as_ref(),
            Command::Report(_)
            | Command::Profiles(_)
            | Command::Check(_)
            | Command::Outbox(_)
            | Command::Projection(_)
            | Command::Saga(_)
            | Command::Migrate(_)
            | Command::Schema(_)
            | Command::Catalogue(_)
            | Command::Brokers(_)
            | Command::Completions(_) => None,
        }
    }
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Text and tables for people.
    #[default]
    Human,
    /// JSON for programs, one object a line.
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
