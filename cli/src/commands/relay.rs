//! `anybroker relay DATABASE URL`: publishes what an outbox holds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anybroker::Requirements;
use anybroker::patterns::outbox::relay::Progress;
use anybroker::patterns::outbox::{Relay, RelayOptions, Status, Store};
use anybroker::worker::Signals;
use serde::Serialize;

use super::database::{Where, with_database};
use super::outbox::{age, count};
use super::subscribe::seconds;
use crate::args::Format;
use crate::connect::{close, connect_to_keep};
use crate::failure::{Done, Failure};
use crate::output;
use crate::place::Place;

/// How often it looks whether the outbox is empty.
const LOOK: Duration = Duration::from_millis(100);

/// Arguments of `relay`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Publishes in order per key, as committed, and removes a message when the broker has confirmed it. Several
relays of one outbox share the work. Runs until a signal comes, and ends what it has begun.

With --once it ends when the outbox is empty; exit code 1 if messages are set aside.

Examples:
  anybroker relay postgres://shop@db.example/shop kafka://127.0.0.1:9092
  anybroker relay sqlite:///var/lib/shop/shop.db @prod --once
  anybroker relay $DATABASE @prod --require ordering=key --every 10 --format json")]
pub(crate) struct Args {
    #[command(flatten)]
    database: Where,
    /// The broker's URL, or @PROFILE.
    pub(crate) url: Place,
    /// What the broker must promise, as in `ordering=key,deduplication=5m`.
    #[arg(long, value_name = "NEEDS", default_value = "")]
    require: Requirements,
    /// Batches in work at once, each with a connection to the database.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=16))]
    connections: u8,
    /// Messages of a batch.
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// End when the outbox is empty.
    #[arg(long)]
    once: bool,
    /// How often to say how it stands.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "5")]
    every: Duration,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// How a relay stands.
#[derive(Serialize)]
struct Line {
    published: u64,
    per_second: u64,
    duplicates: u64,
    backlog: u64,
    oldest_seconds: Option<f64>,
    quarantined: u64,
    failures: u64,
    last_failure: Option<String>,
}

pub(crate) async fn run(args: Args) -> Result<Done, Failure> {
    with_database!(args.database.open().await?, |database| relay(&args, database).await)
}

async fn relay<S: Store + Clone>(args: &Args, store: S) -> Result<Done, Failure> {
    let mut signals = Signals::catch()?;
    let broker = connect_to_keep(&args.url).await?;
    let options = RelayOptions {
        connections: args.connections.into(),
        batch: args.batch,
        requirements: args.require.clone(),
        ..RelayOptions::default()
    };
    let relay = Relay::open(store.clone(), broker.clone(), options).await?;
    let progress = relay.progress();
    let stop = async {
        tokio::select! {
            () = signals.next() => {}
            () = empty(&store), if args.once => {}
        }
    };
    let begun = Instant::now();
    tokio::select! {
        ended = relay.run(stop) => ended?,
        failure = report(args, &store, &progress) => return Err(failure),
    }
    let line = line(&store, &progress, progress.published(), begun.elapsed()).await?;
    print(args, &line)?;
    close(&broker).await;
    Ok(Done::if_holds(!args.once || line.quarantined == 0))
}

/// Waits until nothing is left to publish.
async fn empty<S: Store>(store: &S) {
    loop {
        if store.waiting().await.is_ok_and(|lanes| lanes.is_empty()) {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Says again and again how it stands; ends only if it cannot be said.
async fn report<S: Store>(args: &Args, store: &S, progress: &Arc<Progress>) -> Failure {
    let mut before = progress.published();
    loop {
        let begun = Instant::now();
        tokio::time::sleep(args.every).await;
        let published = progress.published();
        match line(store, progress, published - before, begun.elapsed()).await {
            Ok(line) => {
                if let Err(failure) = print(args, &line) {
                    return failure;
                }
            }
            // The relay itself waits for the database.
            Err(failure) => output::note(&failure.to_string()),
        }
        before = published;
    }
}

async fn line<S: Store>(
    store: &S,
    progress: &Progress,
    published: u64,
    within: Duration,
) -> Result<Line, Failure> {
    let Status { backlog, oldest, quarantined } = store.status().await?;
    Ok(Line {
        published: progress.published(),
        per_second: (published as f64 / within.as_secs_f64()).round() as u64,
        duplicates: progress.duplicates(),
        backlog,
        oldest_seconds: age(oldest),
        quarantined,
        failures: progress.failures(),
        last_failure: progress.last_failure(),
    })
}

fn print(args: &Args, line: &Line) -> Result<(), Failure> {
    if args.format == Format::Json {
        return output::print_json(line);
    }
    let oldest = line.oldest_seconds.map_or_else(String::new, |age| format!(", the oldest for {age:.1} s"));
    let failed = line.last_failure.as_ref().filter(|_| line.failures > 0);
    let failed =
        failed.map_or_else(String::new, |why| format!("; failed {} times, last: {why}", line.failures));
    output::print(&format!(
        "{} published, {}/s; {} waiting{oldest}; {} set aside{failed}",
        line.published,
        line.per_second,
        count(line.backlog),
        count(line.quarantined)
    ))
}
