//! `anybroker topics create|list|delete|purge URL [TOPIC]`

use anybroker::{Broker, Error, Group, Kind, Result as BrokerResult, Topic, TopicInfo, Topology};
use clap::Subcommand;
use serde::Serialize;

use crate::args::Format;
use crate::connect::{close, connect_to_keep, within};
use crate::failure::{Done, Failure};
use crate::output;
use crate::place::Place;

/// Arguments of `topics`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  anybroker topics create kafka://127.0.0.1:9092 orders --partitions 8
  anybroker topics create amqp://guest:guest@127.0.0.1:5672 orders --groups billing,shipping
  anybroker topics list kafka://127.0.0.1:9092")]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Topics,
}

/// What to do with topics.
#[derive(Debug, Subcommand)]
pub(crate) enum Topics {
    /// Make sure that a topic exists, with its groups; one that exists must fit.
    Create {
        #[command(flatten)]
        one: One,
        /// Consumer groups, each of which gets every message from now on.
        #[arg(long, value_delimiter = ',', value_name = "A,B")]
        groups: Vec<Group>,
        /// How many partitions (default: the backend's, or the URL's).
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        partitions: Option<u32>,
    },
    /// List topics.
    List {
        /// The broker's URL, or @PROFILE.
        url: Place,
        /// Only this one.
        topic: Option<Topic>,
        /// How to print.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Delete a topic with its messages and groups.
    Delete {
        #[command(flatten)]
        one: One,
    },
    /// Delete a topic's messages and keep the topic.
    Purge {
        #[command(flatten)]
        one: One,
    },
}

impl Topics {
    /// The broker.
    pub(crate) fn place(&self) -> &Place {
        match self {
            Topics::Create { one, .. } | Topics::Delete { one } | Topics::Purge { one } => &one.url,
            Topics::List { url, .. } => url,
        }
    }
}

/// One topic of one broker.
#[derive(Debug, clap::Args)]
pub(crate) struct One {
    /// The broker's URL, or @PROFILE.
    url: Place,
    /// The topic.
    topic: Topic,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) async fn run(command: Topics) -> Result<Done, Failure> {
    match command {
        Topics::Create { one, groups, partitions } => {
            let topology = Topology { topic: one.topic.clone(), groups, partitions };
            let done = Finished::new(&one, "created");
            administer(one, done, "is there", async |broker| broker.admin().declare(&topology).await).await
        }
        Topics::Delete { one } => {
            let (topic, done) = (one.topic.clone(), Finished::new(&one, "deleted"));
            administer(one, done, "is deleted", async |broker| broker.admin().delete(&topic).await).await
        }
        Topics::Purge { one } => {
            let (topic, done) = (one.topic.clone(), Finished::new(&one, "purged"));
            administer(one, done, "is empty", async |broker| broker.admin().purge(&topic).await).await
        }
        Topics::List { url, topic, format } => list(&url, topic, format).await,
    }
}

/// What was done, as JSON.
#[derive(Serialize)]
struct Finished {
    topic: String,
    done: &'static str,
}

impl Finished {
    fn new(one: &One, done: &'static str) -> Self {
        Finished { topic: one.topic.to_string(), done }
    }
}

/// A topic as JSON.
#[derive(Serialize)]
struct Listed<'a> {
    topic: &'a str,
    partitions: Option<u32>,
    groups: &'a [String],
}

impl<'a> Listed<'a> {
    fn of(info: &'a TopicInfo) -> Self {
        Listed { topic: &info.topic, partitions: info.partitions, groups: &info.groups }
    }
}

async fn administer(
    one: One,
    done: Finished,
    text: &str,
    work: impl AsyncFnOnce(&Broker) -> BrokerResult<()>,
) -> Result<Done, Failure> {
    let broker = connect_to_keep(&one.url).await?;
    let result = within("topics", work(&broker)).await;
    close(&broker).await;
    result?;
    match one.format {
        Format::Json => output::print_json(&done)?,
        Format::Human => output::print(&format!("topic {} {text}", one.topic))?,
    }
    Ok(Done::Holds)
}

async fn list(url: &Place, only: Option<Topic>, format: Format) -> Result<Done, Failure> {
    let broker = connect_to_keep(url).await?;
    let topics = within("topics", broker.admin().topics()).await;
    close(&broker).await;
    let mut topics = topics?;
    if let Some(only) = only {
        topics.retain(|info| info.topic == only.as_str());
        if topics.is_empty() {
            let error =
                Error::new(Kind::NotFound, "topics", format!("topic `{only}` is not among those listed"));
            return Err(error.advice("create it: anybroker topics create URL TOPIC").into());
        }
    }
    topics.sort_by(|a, b| a.topic.cmp(&b.topic));
    match format {
        Format::Json => topics.iter().try_for_each(|info| output::print_json(&Listed::of(info)))?,
        Format::Human => output::print(&text(&topics))?,
    }
    Ok(Done::Holds)
}

fn text(topics: &[TopicInfo]) -> String {
    let mut table = output::table(&["topic", "partitions", "groups"]);
    for info in topics {
        let partitions = info.partitions.map_or_else(|| "-".to_owned(), |n| n.to_string());
        table.add_row([info.topic.clone(), partitions, info.groups.join(", ")]);
    }
    table.to_string()
}
