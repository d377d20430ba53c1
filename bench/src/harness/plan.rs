//! Interleaved rounds: A B C A B C …, each in a child process, so that its processor time, allocations and memory are its own.

use std::collections::BTreeMap;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::child::{DELETE, FILL};
use super::figures::Figures;
use crate::Result;
use crate::contender::{Contender, Kind};
use crate::contenders::{DEADLINE, Field};
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
    let mut rounds: BTreeMap<usize, (Vec<Figures>, Option<String>)> = BTreeMap::new();
    for round in 0..options.rounds {
        for (index, contender) in contenders.iter().enumerate() {
            let (figures, failure) = rounds.entry(index).or_default();
            if failure.is_some() {
                continue;
            }
            let total = options.rounds;
            let (what, who) = (operation.as_str(), contender.name);
            progress.say(&format!("{what} {size} B, round {} of {total}: {who}", round + 1));
            let mut task = task(options, field, operation, size, contender);
            task.group = format!("bench-{}", unique());
            match &shared {
                Some(filled) => task.topic.clone_from(&filled.topic),
                None => task.own_topic = true,
            }
            match child(&task).await {
                Ok(Some(measured)) => figures.push(measured),
                Ok(None) => *failure = Some("it measured nothing".to_owned()),
                Err(error) => *failure = Some(error.to_string()),
            }
        }
    }
    if let Some(filled) = shared {
        child(&Task { contender: DELETE.to_owned(), ..filled }).await?;
    }
    let row = |(index, (rounds, failure))| {
        let contender: &Contender = contenders[index];
        Row::new(contender, operation, size, rounds, failure)
    };
    Ok(rounds.into_iter().map(row).collect())
}

fn does(contender: &Contender, operation: Operation) -> bool {
    match operation {
        Operation::Publish => contender.publish.is_some(),
        Operation::Consume => contender.consume.is_some(),
        Operation::Through | Operation::Latency => contender.publish.is_some() && contender.consume.is_some(),
    }
}

fn task(options: &Options, field: &Field, operation: Operation, size: usize, contender: &Contender) -> Task {
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
        topic: format!("bench-{}", unique()),
        group: format!("bench-{}", unique()),
        own_topic: false,
        keys: options.keys,
        partitions: options.partitions,
        prefetch: options.prefetch,
        rate: options.rate,
    }
}

/// Fills a topic that every round of every contender reads.
fn shared(options: &Options, field: &Field, size: usize) -> Task {
    let filler = Contender { name: FILL, kind: Kind::Ours, way: "", publish: None, consume: None };
    task(options, field, Operation::Consume, size, &filler)
}

/// Topics and groups of other runs, and of other rounds, have other names.
fn unique() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{:x}-{}", since.as_millis(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Runs a task in a child, which gets it by its standard input: a URL may have a password in it.
async fn child(task: &Task) -> Result<Option<Figures>> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("--child")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(&serde_json::to_vec(task)?).await?;
    }
    let output = tokio::time::timeout(DEADLINE, child.wait_with_output())
        .await
        .map_err(|_| format!("not done after {} s", DEADLINE.as_secs()))??;
    if output.status.success() {
        return Ok(serde_json::from_slice(&output.stdout)?);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said.trim().lines().last().unwrap_or("it ended without a word").to_owned().into())
}
