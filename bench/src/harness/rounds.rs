//! Interleaved rounds: A B C A B C …, each in a child process, so that its processor time, allocations and memory are its own.

use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::figures::Figures;
use crate::Result;
use crate::contenders::DEADLINE;
use crate::progress::Progress;
use crate::task::Task;

/// One of those that take turns.
pub(super) struct Turn {
    /// What it is called.
    pub(super) name: String,
    /// What it does in each round, under a group of its own, and a topic of its own if it has one.
    pub(super) task: Task,
    /// Why it cannot have a turn.
    pub(super) failure: Option<String>,
}

/// What came of its rounds; after a failure there are no more of them.
pub(super) struct Outcome {
    pub(super) rounds: Vec<Figures>,
    pub(super) failure: Option<String>,
}

/// Lets each have its turn, so many times.
pub(super) async fn interleave(turns: &[Turn], rounds: u32, progress: &Progress) -> Vec<Outcome> {
    let begin = |turn: &Turn| Outcome { rounds: Vec::new(), failure: turn.failure.clone() };
    let mut outcomes: Vec<_> = turns.iter().map(begin).collect();
    for round in 1..=rounds {
        for (turn, outcome) in turns.iter().zip(&mut outcomes) {
            if outcome.failure.is_some() {
                continue;
            }
            let Task { operation, size, .. } = turn.task;
            progress.say(&format!(
                "{} {size} B, round {round} of {rounds}: {}",
                operation.as_str(),
                turn.name
            ));
            match child(&anew(&turn.task)).await {
                Ok(Some(measured)) => outcome.rounds.push(measured),
                Ok(None) => outcome.failure = Some("it measured nothing".to_owned()),
                Err(error) => outcome.failure = Some(error.to_string()),
            }
        }
    }
    outcomes
}

fn anew(task: &Task) -> Task {
    let mut task = Task { group: unique(), ..task.clone() };
    if task.own_topic {
        task.topic = unique();
    }
    task
}

/// A name for a topic or a group. Those of other runs, and of other rounds, have other names.
pub(super) fn unique() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("bench-{:x}-{}", since.as_millis(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Runs a task in a child, which gets it by its standard input: a URL may have a password in it.
pub(super) async fn child(task: &Task) -> Result<Option<Figures>> {
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
