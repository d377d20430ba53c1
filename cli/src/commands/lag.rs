//! `anybroker lag URL TOPIC`: how many messages wait for each group, once or again and again.

use std::time::{Duration, SystemTime};

use anybroker::{Broker, Error, Group, GroupInfo, Kind, Result as BrokerResult, Topic};
use serde::Serialize;

use super::groups::{Partition, members};
use super::subscribe::seconds;
use crate::args::Format;
use crate::connect::{close, connect_to_keep, within};
use crate::failure::{Done, Failure};
use crate::output;
use crate::place::Place;
use anybroker::worker::Signals;

/// Arguments of `lag`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
What waits is what the group has not acknowledged; on RabbitMQ without what consumers hold.
With --max, exit code 1 as soon as more than N messages wait for a group: with --watch it ends
then, so that what follows can raise the alarm.

Examples:
  anybroker lag kafka://127.0.0.1:9092 orders
  anybroker lag kafka://127.0.0.1:9092 orders --group billing --partitions
  anybroker lag @prod orders --max 10000 || echo 'orders are late'
  anybroker lag @prod orders --watch 30 --max 10000 --format json")]
pub(crate) struct Args {
    /// The broker's URL, or @PROFILE.
    pub(crate) url: Place,
    /// The topic.
    topic: Topic,
    /// Only this group. Also works where a broker cannot list groups.
    #[arg(long, value_name = "G")]
    group: Option<Group>,
    /// Show each partition too.
    #[arg(long)]
    partitions: bool,
    /// Look again after this long, until a signal comes.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    watch: Option<Duration>,
    /// Exit code 1 if more messages than this wait for a group.
    #[arg(long, value_name = "N")]
    max: Option<u64>,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What waits for a group.
#[derive(Serialize)]
struct Row {
    group: String,
    members: Option<u32>,
    backlog: u64,
    /// None where only the sum was asked for.
    partitions: Option<Vec<Partition>>,
}

impl From<GroupInfo> for Row {
    fn from(info: GroupInfo) -> Self {
        let partitions = info.partitions.iter().map(Partition::from).collect();
        Row {
            backlog: info.backlog(),
            group: info.group,
            members: info.members,
            partitions: Some(partitions),
        }
    }
}

/// The same as JSON.
#[derive(Serialize)]
struct Line<'a> {
    time: &'a str,
    topic: &'a str,
    #[serde(flatten)]
    row: &'a Row,
}

pub(crate) async fn run(args: Args) -> Result<Done, Failure> {
    let mut signals = Signals::catch()?;
    let broker = connect_to_keep(&args.url).await?;
    let done = tokio::select! {
        done = look(&broker, &args) => done,
        () = signals.next() => Ok(Done::Holds),
    };
    close(&broker).await;
    done
}

async fn look(broker: &Broker, args: &Args) -> Result<Done, Failure> {
    loop {
        match ask(broker, args).await {
            Ok(rows) => {
                print(args, &rows)?;
                let late = rows.iter().filter(|row| is_late(args, row)).count();
                if late > 0 || args.watch.is_none() {
                    return Ok(Done::if_holds(late == 0));
                }
            }
            // Who watches wants to see it come back.
            Err(error) if args.watch.is_some() && error.is_retryable() => output::note(&error.to_string()),
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(args.watch.unwrap_or_default()).await;
    }
}

async fn ask(broker: &Broker, args: &Args) -> BrokerResult<Vec<Row>> {
    if let Some(group) = args.group.as_ref().filter(|_| !args.partitions) {
        let backlog = within("lag", broker.admin().backlog(&args.topic, group)).await?;
        return Ok(vec![Row { group: group.to_string(), members: None, backlog, partitions: None }]);
    }
    let mut groups = within("lag", broker.admin().groups(&args.topic)).await?;
    if let Some(group) = &args.group {
        groups.retain(|info| info.group == group.as_str());
        if groups.is_empty() {
            let text = format!("topic `{}` has no group `{group}`", args.topic);
            return Err(
                Error::new(Kind::NotFound, "lag", text).advice("anybroker groups URL TOPIC lists them")
            );
        }
    }
    Ok(groups.into_iter().map(Row::from).collect())
}

/// Says so, if more messages wait than may.
fn is_late(args: &Args, row: &Row) -> bool {
    let Some(max) = args.max.filter(|max| row.backlog > *max) else { return false };
    let (group, backlog) = (&row.group, row.backlog);
    output::note(&format!("{backlog} messages wait for group `{group}`, which is more than {max}"));
    true
}

fn print(args: &Args, rows: &[Row]) -> Result<(), Failure> {
    let time = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    if args.format == Format::Json {
        let line = |row| Line { time: &time, topic: args.topic.as_str(), row };
        return rows.iter().try_for_each(|row| output::print_json(&line(row)));
    }
    if args.watch.is_some() {
        output::print(&time)?;
    }
    output::print(&text(rows, args.partitions))
}

fn text(rows: &[Row], partitions: bool) -> String {
    let head: &[&str] = match partitions {
        true => &["group", "partition", "messages waiting"],
        false => &["group", "members", "messages waiting"],
    };
    let mut table = output::table(head);
    for row in rows {
        if !partitions {
            table.add_row([row.group.clone(), members(row.members), row.backlog.to_string()]);
        }
        for lag in row.partitions.iter().flatten().filter(|_| partitions) {
            table.add_row([row.group.clone(), lag.partition.to_string(), lag.backlog.to_string()]);
        }
    }
    table.to_string()
}
