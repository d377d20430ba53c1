//! What is run: every contender at every operation and size.

use super::child::{DELETE, FILL};
use super::rounds::{Outcome, Turn, child, interleave, unique};
use crate::Result;
use crate::contender::{Contender, Kind};
use crate::contenders::Field;
use crate::progress::Progress;
use crate::report::{Report, Row};
use crate::task::{Operation, Task};

/// What is run.
#[derive(Clone, Debug)]
pub struct Options {
    pub url: String,
    pub operations: Vec<Operation>,
    pub sizes: Vec<usize>,
    pub rounds: u32,
    pub messages: Option<u64>,
    pub keys: u32,
    pub partitions: u32,
    pub prefetch: usize,
    pub rate: u64,
    /// Seconds of a round of [`Operation::Latency`].
    pub seconds: u64,
    /// Other libraries too.
    pub peers: bool,
    /// Only contenders whose name contains one of these.
    pub only: Vec<String>,
}

/// Payload bytes of a round at most.
const MOST_BYTES: u64 = 256 << 20;
/// The naive loops do so small a part of the work, and not fewer messages than that.
const NAIVE: (u64, u64) = (100, 500);

/// Runs all of it.
///
/// # Errors
/// If nothing can be run at all. What a contender fails with is in its row.
pub async fn run(options: &Options, field: &Field, progress: &Progress) -> Result<Report> {
    let contenders = chosen(options, field)?;
    if !field.stores && options.operations.contains(&Operation::Consume) {
        let name = field.name;
        return Err(format!(
            "{name} stores nothing that could be consumed later: `through` measures it with publishing"
        )
        .into());
    }
    let mut report = Report::new(options, field);
    for operation in &options.operations {
        for size in &options.sizes {
            let rows = rows(options, field, &contenders, *operation, *size, progress).await?;
            report.rows.extend(rows);
        }
    }
    report.compare();
    Ok(report)
}

/// Who is asked for.
fn chosen(options: &Options, field: &Field) -> Result<Vec<Contender>> {
    let mut chosen = field.contenders.clone();
    chosen.retain(|it| options.peers || it.kind != Kind::Peer);
    if let Some(part) = options.only.iter().find(|part| !chosen.iter().any(|it| it.name.contains(*part))) {
        let names: Vec<_> = chosen.iter().map(|it| it.name).collect();
        let more = chosen.len() < field.contenders.len();
        let more = if more { "; and, with --peers, other libraries" } else { "" };
        return Err(
            format!("no contender's name contains `{part}`: they are {}{more}", names.join("; ")).into()
        );
    }
    chosen.retain(|it| options.only.is_empty() || options.only.iter().any(|part| it.name.contains(part)));
    Ok(chosen)
}

async fn rows(
    options: &Options,
    field: &Field,
    contenders: &[Contender],
    operation: Operation,
    size: usize,
    progress: &Progress,
) -> Result<Vec<Row>> {
    let contenders: Vec<_> = contenders.iter().filter(|it| does(it, operation)).collect();
    let shared = (operation == Operation::Consume && field.keeps).then(|| shared(options, field, size));
    if let Some(task) = &shared {
        progress.say(&format!("filling a topic for {size} B"));
        child(task).await?;
    }
    let turn = |contender: &&Contender| {
        let mut task = task(options, field, operation, size, contender);
        match &shared {
            Some(filled) => task.topic.clone_from(&filled.topic),
            None => task.own_topic = true,
        }
        Turn { name: contender.name.to_owned(), task, failure: None }
    };
    let turns: Vec<_> = contenders.iter().map(turn).collect();
    let outcomes = interleave(&turns, options.rounds, progress).await;
    if let Some(filled) = shared {
        child(&Task { contender: DELETE.to_owned(), ..filled }).await?;
    }
    let row = |(contender, outcome): (&Contender, Outcome)| {
        Row::new(contender, operation, size, outcome.rounds, outcome.failure)
    };
    Ok(contenders.into_iter().zip(outcomes).map(row).collect())
}

fn does(contender: &Contender, operation: Operation) -> bool {
    match operation {
        Operation::Publish => contender.publish.is_some(),
        Operation::Consume => contender.consume.is_some(),
        Operation::Through | Operation::Latency => contender.publish.is_some() && contender.consume.is_some(),
    }
}

pub(super) fn task(
    options: &Options,
    field: &Field,
    operation: Operation,
    size: usize,
    contender: &Contender,
) -> Task {
    let most = (MOST_BYTES / size as u64).max(1);
    let messages = options.messages.unwrap_or_else(|| field.messages.min(most)).max(1);
    let slow = contender.kind == Kind::Naive && operation != Operation::Latency;
    let messages = if slow { (messages / NAIVE.0).max(NAIVE.1).min(messages) } else { messages };
    let (messages, warm_up) = match operation {
        Operation::Latency => (options.rate * options.seconds, options.rate),
        _ => (messages, messages.div_ceil(10)),
    };
    Task {
        url: options.url.clone(),
        contender: contender.name.to_owned(),
        operation,
        size,
        messages,
        warm_up,
        topic: unique(),
        group: unique(),
        own_topic: false,
        keys: options.keys,
        partitions: options.partitions,
        prefetch: options.prefetch,
        subscriptions: 1,
        backlog: 0,
        rate: options.rate,
    }
}

/// Fills a topic that every round of every contender reads.
fn shared(options: &Options, field: &Field, size: usize) -> Task {
    let filler = Contender { name: FILL, kind: Kind::Ours, way: "", publish: None, consume: None };
    task(options, field, Operation::Consume, size, &filler)
}
