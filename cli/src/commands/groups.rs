//! `anybroker groups URL TOPIC`: who consumes a topic.

use anybroker::{GroupInfo, PartitionLag, Topic};
use serde::Serialize;

use crate::args::Format;
use crate::connect::{close, connect_to_keep, within};
use crate::failure::{Done, Failure};
use crate::output;
use crate::place::Place;

/// Arguments of `groups`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Members and messages are those of the moment; what a broker does not tell shows as `-`. RabbitMQ
counts only messages that no consumer holds, and of a group with one queue only the member
whose turn it is.

Examples:
  anybroker groups kafka://127.0.0.1:9092 orders
  anybroker groups @prod orders --format json")]
pub(crate) struct Args {
    /// The broker's URL, or @PROFILE.
    pub(crate) url: Place,
    /// The topic.
    topic: Topic,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// A group as JSON.
#[derive(Serialize)]
struct Listed<'a> {
    group: &'a str,
    members: Option<u32>,
    backlog: u64,
    partitions: Vec<Partition>,
}

/// A partition as JSON.
#[derive(Serialize)]
pub(super) struct Partition {
    pub(super) partition: u32,
    pub(super) backlog: u64,
}

impl From<&PartitionLag> for Partition {
    fn from(lag: &PartitionLag) -> Self {
        Partition { partition: lag.partition, backlog: lag.backlog }
    }
}

impl<'a> Listed<'a> {
    fn of(info: &'a GroupInfo) -> Self {
        let partitions = info.partitions.iter().map(Partition::from).collect();
        Listed { group: &info.group, members: info.members, backlog: info.backlog(), partitions }
    }
}

pub(crate) async fn run(args: Args) -> Result<Done, Failure> {
    let broker = connect_to_keep(&args.url).await?;
    let groups = within("groups", broker.admin().groups(&args.topic)).await;
    close(&broker).await;
    let groups = groups?;
    match args.format {
        Format::Json => groups.iter().try_for_each(|info| output::print_json(&Listed::of(info)))?,
        Format::Human => output::print(&text(&groups))?,
    }
    Ok(Done::Holds)
}

fn text(groups: &[GroupInfo]) -> String {
    let mut table = output::table(&["group", "members", "partitions", "messages waiting"]);
    for info in groups {
        let partitions = info.partitions.len();
        table.add_row([
            info.group.clone(),
            members(info.members),
            partitions.to_string(),
            info.backlog().to_string(),
        ]);
    }
    table.to_string()
}

/// A number of members, where it is known.
pub(super) fn members(members: Option<u32>) -> String {
    members.map_or_else(|| "-".to_owned(), |count| count.to_string())
}
