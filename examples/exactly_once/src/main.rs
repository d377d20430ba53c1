//! Counts words in transactions, by workers that are killed all the while, and compares with the truth.
//!
//! `cargo run -p exactly_once` runs it on the in-memory broker, whose workers are tasks that are dropped. On Kafka they are
//! processes, ended by SIGKILL: `ANYBROKER_URL=kafka://127.0.0.1:9092 cargo run -p exactly_once --features kafka`.
//!
//! - `worker.rs`: takes lines, publishes how often each word is in them, and acknowledges them, in one transaction;
//! - `team.rs`: the workers, and who kills them and starts them again;
//! - `total.rs`: adds up what was published, reading only what was committed;
//! - `text.rs`: the lines, and so the truth.
//!
//! With `--at-least-once` the same worker publishes first and acknowledges then, without a transaction: what it is killed
//! between counts twice. The exit code is 0 if every word was counted as often as it is there, 1 if not, and 2 for an error.

mod settings;
mod team;
mod text;
mod topics;
mod total;
mod worker;

use std::process::ExitCode;

use anybroker::{Error, Kind, Message, PublisherExt, PublisherOptions, Result};
use clap::Parser as _;
use settings::Settings;
use team::Team;
use text::Counts;
use tokio::sync::watch;
use topics::Topics;

/// Lines that are published at a time.
const BATCH: u64 = 1_000;

#[tokio::main]
async fn main() -> ExitCode {
    let settings = Settings::parse();
    let ended = match &settings.worker {
        Some(name) => worker::work(&settings, name).await.map(|()| true),
        None => run(&settings).await,
    };
    match ended {
        Ok(right) => ExitCode::from(u8::from(!right)),
        Err(error) => {
            eprintln!("exactly_once: {error}");
            ExitCode::from(2)
        }
    }
}

/// Says whether every word was counted right.
async fn run(settings: &Settings) -> Result<bool> {
    let broker = anybroker::connect(&settings.url).await?;
    let topics = Topics::of(settings)?;
    topics.declare(&broker).await?;
    publish(settings, &topics, &broker).await?;
    let truth = text::counts(settings.messages);
    let (told, heard) = watch::channel(0);
    let mut team = Team::start(settings, heard, truth.total())?;
    let found = tokio::select! {
        found = total::count(&broker, &topics, truth.total(), &told) => found?,
        error = team.run() => return Err(error),
    };
    let kills = team.end().await;
    topics.delete(&broker).await?;
    broker.close().await?;
    keep(settings, &found)?;
    let wrong = truth.differences(&found);
    let (lines, words, total, counted) = (settings.messages, truth.words(), truth.total(), found.total());
    if settings.json {
        println!(
            r#"{{"messages":{lines},"words":{words},"total":{total},"counted":{counted},"kills":{kills},"wrong":{wrong}}}"#
        );
    } else {
        println!("{lines} messages with {total} words, {words} different; workers were killed {kills} times");
        println!("counted {counted} words; {wrong} of {words} counts are wrong");
    }
    Ok(wrong == 0)
}

async fn publish(settings: &Settings, topics: &Topics, broker: &anybroker::Broker) -> Result<()> {
    let publisher = broker.publisher(PublisherOptions::new(topics.lines.clone())).await?;
    for first in (0..settings.messages).step_by(BATCH as usize) {
        let numbers = first..settings.messages.min(first + BATCH);
        let message = |number: u64| Message::new(text::line(number)).with_key(format!("{}", number % 64));
        for outcome in publisher.publish_batch(numbers.map(message).collect()).await {
            outcome.map_err(|error| error.into_parts().0)?;
        }
    }
    publisher.close().await
}

/// Keeps what the broker was given and what came of it, for `sort | uniq -c`.
fn keep(settings: &Settings, found: &Counts) -> Result<()> {
    let Some(folder) = &settings.out else { return Ok(()) };
    let lines: String = (0..settings.messages).map(|number| text::line(number) + "\n").collect();
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(folder.join("lines.txt"), lines))
        .and_then(|()| std::fs::write(folder.join("counts.txt"), found.to_string()))
        .map_err(|error| {
            let text = format!("{} cannot be written", folder.display());
            Error::new(Kind::Unexpected, "keep the counts", text).with_source(error)
        })
}
