//! `anybroker guarantees URL`: what holds there, how that is known, and what is missing.

use std::time::Duration;

use anybroker::{Group, Guarantees, Limits, Requirements, RowView, Topic, Unmet};
use serde::{Serialize, Serializer};

use crate::args::Format;
use crate::connect::{close, connect, within};
use crate::failure::{Done, Failure};
use crate::output;
use crate::place::Place;

/// Arguments of `guarantees`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  anybroker guarantees kafka://127.0.0.1:9092 --topic orders
  anybroker guarantees 'amqp://guest:guest@127.0.0.1:5672?partitions=8' \\
      --topic orders --group billing --require ordering=key,order-across-consumers=yes

Exit code 1 if a required row is not given; an unknown row is not given.")]
pub(crate) struct Args {
    /// The broker's URL, or @PROFILE.
    pub(crate) url: Place,
    /// The topic, whose configuration is asked for.
    #[arg(long)]
    topic: Option<Topic>,
    /// The consumer group.
    #[arg(long)]
    group: Option<Group>,
    /// What must hold: row=value, separated by commas.
    #[arg(long, value_name = "ROW=VALUE,…", default_value = "", hide_default_value = true)]
    require: Requirements,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) async fn run(args: Args) -> Result<Done, Failure> {
    let broker = connect(&args.url).await?;
    let asked = within("guarantees", broker.guarantees(args.topic.as_ref(), args.group.as_ref())).await;
    close(&broker).await;
    let guarantees = asked?;
    let unmet = args.require.unmet(&guarantees);
    match args.format {
        Format::Json => output::print_json(&Answer::of(&guarantees, &unmet))?,
        Format::Human => print(&guarantees, &unmet)?,
    }
    Ok(Done::if_holds(unmet.is_empty()))
}

fn print(guarantees: &Guarantees, unmet: &[Unmet]) -> Result<(), Failure> {
    let mut table = output::table(&["guarantee", "value", "basis", "because", "to get more"]);
    for row in guarantees.rows() {
        table.add_row([&row.name, row.value, row.basis.as_str(), row.because, row.raise.unwrap_or("")]);
    }
    let version = guarantees.version.as_deref().unwrap_or("of unknown version");
    output::print(&format!(
        "{} {version}\n{table}\n{}",
        guarantees.backend,
        limits_text(&guarantees.limits)
    ))?;
    if unmet.is_empty() {
        return Ok(());
    }
    let mut table =
        output::table(&["not given", "needed", "given", "basis", "what would satisfy it", "source"]);
    for row in unmet {
        let raise = row.raise.as_deref().unwrap_or("nothing on this broker");
        table.add_row([&row.name, row.needed, row.given, row.basis.as_str(), raise, row.source]);
    }
    output::print(&format!("\n{table}"))
}

fn limits_text(limits: &Limits) -> String {
    let number = |n: Option<usize>| n.map_or_else(|| "no known limit".to_owned(), |n| n.to_string());
    let time = |d: Option<Duration>| {
        d.map_or_else(|| "none".to_owned(), |d| humantime::format_duration(d).to_string())
    };
    format!(
        "message bytes: {}; batch: {}; deliveries in flight: {}; deduplication window: {}; lease: {}",
        number(limits.message_bytes),
        number(limits.batch),
        number(limits.in_flight),
        time(limits.deduplication_window),
        time(limits.lease),
    )
}

/// The whole answer as JSON, rows in the order of the table.
#[derive(Serialize)]
struct Answer<'a> {
    backend: &'a str,
    version: Option<&'a str>,
    guarantees: Rows<'a>,
    limits: JsonLimits,
    unmet: Vec<JsonUnmet<'a>>,
}

impl<'a> Answer<'a> {
    fn of(guarantees: &'a Guarantees, unmet: &'a [Unmet]) -> Self {
        Answer {
            backend: guarantees.backend,
            version: guarantees.version.as_deref(),
            guarantees: Rows(guarantees.rows()),
            limits: JsonLimits::of(&guarantees.limits),
            unmet: unmet.iter().map(JsonUnmet::of).collect(),
        }
    }
}

struct Rows<'a>(Vec<RowView<'a>>);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|row| (&row.name, JsonRow::of(row))))
    }
}

#[derive(Serialize)]
struct JsonRow<'a> {
    value: &'a str,
    basis: &'a str,
    source: &'a str,
    because: &'a str,
    raise: Option<&'a str>,
}

impl<'a> JsonRow<'a> {
    fn of(row: &RowView<'a>) -> Self {
        let basis = row.basis.as_str();
        JsonRow { value: row.value, basis, source: row.source, because: row.because, raise: row.raise }
    }
}

#[derive(Serialize)]
struct JsonLimits {
    message_bytes: Option<usize>,
    batch: Option<usize>,
    in_flight: Option<usize>,
    deduplication_window_ms: Option<u64>,
    lease_ms: Option<u64>,
}

impl JsonLimits {
    fn of(limits: &Limits) -> Self {
        JsonLimits {
            message_bytes: limits.message_bytes,
            batch: limits.batch,
            in_flight: limits.in_flight,
            deduplication_window_ms: limits.deduplication_window.map(milliseconds),
            lease_ms: limits.lease.map(milliseconds),
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[derive(Serialize)]
struct JsonUnmet<'a> {
    name: &'a str,
    needed: &'a str,
    given: &'a str,
    basis: &'a str,
    source: &'a str,
    raise: Option<&'a str>,
}

impl<'a> JsonUnmet<'a> {
    fn of(row: &'a Unmet) -> Self {
        JsonUnmet {
            name: &row.name,
            needed: row.needed,
            given: row.given,
            basis: row.basis.as_str(),
            source: row.source,
            raise: row.raise.as_deref(),
        }
    }
}
