//! The command line: what all commands share.

use clap::{Parser, Subcommand, ValueEnum};

use crate::commands::{brokers, check, completions, guarantees, publish, subscribe, topics};

/// One messaging API over Kafka, RabbitMQ and an in-memory broker: publish, consume, and see what is guaranteed.
#[derive(Debug, Parser)]
#[command(name = "anybroker", version, propagate_version = true, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER_HELP: &str = "\
URLs:
  kafka://127.0.0.1:9092
  amqp://guest:guest@127.0.0.1:5672
  memory://name   (inside one command's process only)

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
    /// Check a recorded history against the properties that it promises.
    Check(check::Args),
    /// Start, stop and break real brokers on this machine.
    Brokers(brokers::Args),
    /// Print a completion script for a shell.
    Completions(completions::Args),
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
