//! The workload that most cases share: publishers, members that settle as chance has it, and the wait for the end.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anybroker_core::{
    Broker, ConsumerExt as _, Delivery, Fate, Group, Kind, Message, Publisher, Result, Settlement, Settler,
};
use futures::future;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{CaseResult, Failure, Finding, Stage, failed};
use crate::history::{Drained, Event};
use crate::properties::{Property, Verdict};

/// How messages are published.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) publishers: usize,
    /// Of each publisher.
    pub(super) messages: usize,
    pub(super) keys: usize,
    /// The most in one call.
    pub(super) batch: usize,
    /// The time between two calls of one publisher, to stretch a run over what is done meanwhile.
    pub(super) pause: Duration,
}

/// How a member settles: out of 100 deliveries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manners {
    pub(super) nack: u64,
    pub(super) release: u64,
    pub(super) prefetch: usize,
}

/// How a member works.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work {
    pub(super) manners: Manners,
    /// The most that it takes for what it received at once: meanwhile that is in flight.
    pub(super) at_most: Duration,
}

impl From<Manners> for Work {
    fn from(manners: Manners) -> Self {
        Work { manners, at_most: Duration::ZERO }
    }
}

/// Small numbers from a seed: the same every time.
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Chance(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    /// A number below `bound` (splitmix64).
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }
}

/// What has been confirmed, and what each group has acknowledged.
#[derive(Debug, Default)]
pub(super) struct Progress {
    confirmed: Mutex<HashSet<String>>,
    unknown: Mutex<usize>,
    /// The messages whose outcome is unknown.
    unheard: Mutex<Vec<Message>>,
    /// How often each message has been.
    acknowledged: Mutex<HashMap<Group, HashMap<String, usize>>>,
    moved: Notify,
}

impl Progress {
    pub(super) fn confirmed(&self, id: String) {
        lock(&self.confirmed).insert(id);
        self.moved.notify_waiters();
    }

    pub(super) fn acknowledged(&self, group: &Group, id: String) {
        *lock(&self.acknowledged).entry(group.clone()).or_default().entry(id).or_default() += 1;
        self.moved.notify_waiters();
    }

    /// An acknowledgement that was counted turned out to be none.
    pub(super) fn not_acknowledged(&self, group: &Group, id: &str) {
        if let Some(done) = lock(&self.acknowledged).get_mut(group)
            && let Some(times) = done.get_mut(id)
        {
            *times = times.saturating_sub(1);
        }
    }

    pub(super) fn unknown_count(&self) -> usize {
        *lock(&self.unknown)
    }

    pub(super) fn confirmed_count(&self) -> usize {
        lock(&self.confirmed).len()
    }

    /// The messages whose outcome is unknown.
    pub(super) fn unheard(&self) -> Vec<Message> {
        lock(&self.unheard).clone()
    }

    /// The messages that a group has acknowledged and of which the publisher has not heard yet.
    pub(super) fn acknowledged_unheard(&self, group: &Group) -> HashSet<String> {
        let confirmed = lock(&self.confirmed);
        let acknowledged = lock(&self.acknowledged);
        let done = acknowledged.get(group).into_iter().flat_map(HashMap::keys);
        done.filter(|id| !confirmed.contains(*id)).cloned().collect()
    }

    /// Waits until something holds of what has been confirmed and acknowledged.
    pub(super) async fn until(&self, holds: impl Fn(&Self) -> bool) {
        loop {
            let mut moved = std::pin::pin!(self.moved.notified());
            moved.as_mut().enable();
            if holds(self) {
                return;
            }
            moved.await;
        }
    }

    /// How many confirmed messages a group has not acknowledged.
    fn missing(&self, group: &Group) -> usize {
        let confirmed = lock(&self.confirmed);
        let acknowledged = lock(&self.acknowledged);
        let done = acknowledged.get(group);
        let missing = |id: &&String| done.and_then(|done| done.get(*id)).is_none_or(|times| *times == 0);
        confirmed.iter().filter(missing).count()
    }

    /// Waits until every group has acknowledged every confirmed message, or nothing has moved for `quiet`.
    pub(super) async fn finished(&self, groups: &[Group], quiet: Duration) {
        let mut deadline = Instant::now() + quiet;
        let mut before = usize::MAX;
        loop {
            let moved = self.moved.notified();
            let missing = groups.iter().map(|group| self.missing(group)).sum();
            if missing == 0 {
                return;
            }
            if missing != before {
                (before, deadline) = (missing, Instant::now() + quiet);
            }
            // Looked at four times a second at most: comparing the sets costs more than a message.
            let pause = tokio::time::sleep(Duration::from_millis(250));
            if tokio::time::timeout_at(deadline, async { tokio::join!(moved, pause) }).await.is_err() {
                return;
            }
        }
    }

    pub(super) fn acknowledged_count(&self, group: &Group) -> usize {
        lock(&self.acknowledged).get(group).map_or(0, HashMap::len)
    }

    /// Waits until this many messages are confirmed, for as long as a broker may need to come back.
    pub(super) async fn reaches(&self, count: usize) -> std::result::Result<(), Failure> {
        if tokio::time::timeout(REACHED, self.confirmed_at_least(count)).await.is_ok() {
            return Ok(());
        }
        let (confirmed, unknown) = (self.confirmed_count(), lock(&self.unknown));
        failed(format!("{confirmed} messages confirmed and {unknown} unknown after {REACHED:?}, not {count}"))
    }

    /// Waits until this many messages are confirmed: the middle of a stream.
    pub(super) async fn confirmed_at_least(&self, count: usize) {
        self.until(|progress| progress.confirmed_count() >= count).await;
    }
}

/// How long a stream may take to its next mark.
const REACHED: Duration = Duration::from_secs(60);

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Publishes a load from several publishers at once; every outcome is recorded.
pub(super) async fn publish(stage: &Stage, load: Load, seed: u64, progress: &Arc<Progress>) -> Result<()> {
    publish_until(stage, load, seed, progress, &watch::Sender::new(false)).await
}

/// The same, until it is told to stop.
pub(super) async fn publish_until(
    stage: &Stage,
    load: Load,
    seed: u64,
    progress: &Arc<Progress>,
    stop: &watch::Sender<bool>,
) -> Result<()> {
    // All of them before the first message: what is done to a stream meanwhile never meets a publisher that opens.
    let publishers = future::try_join_all((0..load.publishers).map(|_| stage.publisher())).await?;
    let mut tasks = Vec::new();
    for (number, publisher) in publishers.into_iter().enumerate() {
        let chance = Chance::new(seed.wrapping_add(number as u64));
        let work = publish_one(publisher, load, number, chance, progress.clone(), stop.subscribe());
        tasks.push(tokio::spawn(work));
    }
    for task in tasks {
        task.await.unwrap_or_else(|e| Err(panicked(e)))?;
    }
    Ok(())
}

pub(super) fn panicked(error: tokio::task::JoinError) -> anybroker_core::Error {
    anybroker_core::Error::new(Kind::Unexpected, "case", "a task panicked").with_source(error)
}

/// Portions of one publisher that wait for confirmation at once.
const PIPELINE: usize = 4;

pub(super) async fn publish_one(
    publisher: Arc<dyn Publisher>,
    load: Load,
    number: usize,
    mut chance: Chance,
    progress: Arc<Progress>,
    stop: watch::Receiver<bool>,
) -> Result<()> {
    let mut waiting = std::collections::VecDeque::new();
    let mut sent = 0;
    while sent < load.messages && !*stop.borrow() {
        let size = (1 + chance.below(load.batch as u64) as usize).min(load.messages - sent);
        let batch: Vec<_> = (sent..sent + size)
            .map(|at| {
                let key = format!("key-{}", chance.below(load.keys as u64));
                let message = Message::new(format!("{number}/{at}")).with_id(format!("m{number}-{at}-{key}"));
                message.with_key(key)
            })
            .collect();
        sent += size;
        let ids: Vec<_> = batch.iter().map(|message| message.id.to_string()).collect();
        let permit = publisher.ready(batch.len(), batch.iter().map(Message::size).sum()).await?;
        waiting.push_back((ids, publisher.enqueue(permit, batch)));
        if waiting.len() > PIPELINE {
            settle(&*publisher, waiting.pop_front(), &progress).await;
        }
        if !load.pause.is_zero() {
            tokio::time::sleep(load.pause).await;
        }
    }
    while !waiting.is_empty() {
        settle(&*publisher, waiting.pop_front(), &progress).await;
    }
    publisher.close().await
}

/// Waits for a portion's outcomes. A key that is held after a failure goes on: the messages that failed are not
/// sent again, so that each is published once.
pub(super) async fn settle(
    publisher: &dyn Publisher,
    portion: Option<(Vec<String>, anybroker_core::kit::Confirmations)>,
    progress: &Progress,
) {
    let Some((ids, confirmations)) = portion else { return };
    for (id, outcome) in ids.into_iter().zip(confirmations.await) {
        match outcome {
            Ok(_) => progress.confirmed(id),
            Err(error) => {
                if error.error().fate() == Fate::Unknown {
                    *lock(&progress.unknown) += 1;
                    lock(&progress.unheard).push(error.message().clone());
                }
                if let Some(key) = &error.message().key {
                    publisher.resume(key);
                }
            }
        }
    }
}

/// A member of a group, which settles until it is told to stop and then closes.
pub(super) struct Member {
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<()>>,
}

impl Member {
    /// Joins the group.
    pub(super) async fn join(
        stage: &Stage,
        group: usize,
        manners: Manners,
        seed: u64,
        progress: &Arc<Progress>,
    ) -> Result<Self> {
        Self::join_by(&stage.recorded, stage, group, manners.into(), seed, progress).await
    }

    /// Joins the group by a connection of its own.
    pub(super) async fn join_by(
        recorded: &Broker,
        stage: &Stage,
        group: usize,
        work: Work,
        seed: u64,
        progress: &Arc<Progress>,
    ) -> Result<Self> {
        let subscription = stage.subscription(group).prefetch(work.manners.prefetch);
        let consumer = recorded.consumer(subscription).await?;
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(consume(consumer, work, Chance::new(seed), progress.clone(), stopped));
        Ok(Member { stop, task })
    }

    /// Closes in order.
    pub(super) async fn leave(self) -> Result<()> {
        let _ = self.stop.send(true);
        self.task.await.unwrap_or_else(|e| Err(panicked(e)))
    }
}

async fn consume(
    mut consumer: Box<dyn anybroker_core::Consumer>,
    Work { manners, at_most }: Work,
    mut chance: Chance,
    progress: Arc<Progress>,
    mut stopped: watch::Receiver<bool>,
) -> Result<()> {
    let settler = consumer.settler();
    loop {
        let batch = tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => break,
            batch = consumer.receive(1 + chance.below(40) as usize) => batch?,
        };
        if !at_most.is_zero() {
            tokio::time::sleep(Duration::from_micros(chance.below(at_most.as_micros() as u64))).await;
        }
        let mut done = Vec::new();
        for delivery in batch {
            match chance.below(100) {
                n if n < manners.nack => {
                    let delay = Duration::from_millis(chance.below(20));
                    // Void by now if an earlier message of its key failed in this batch: it comes again.
                    let _ = delivery.nack(delay).await;
                }
                n if n < manners.nack + manners.release => drop(delivery),
                _ => done.push(delivery),
            }
        }
        acknowledge(&*settler, done, &progress).await;
    }
    let flushed = settler.flush().await;
    match flushed.and(consumer.close().await) {
        // What it could not tell the broker any more comes again, to others; the history shows whether it does.
        Err(error) if error.is_retryable() => Ok(()),
        ended => ended,
    }
}

async fn acknowledge(settler: &dyn Settler, deliveries: Vec<Delivery>, progress: &Progress) {
    let id = |delivery: &Delivery| delivery.id().map(|id| id.to_string()).unwrap_or_default();
    let ids: Vec<_> = deliveries.iter().map(id).collect();
    let results = settler.settle(deliveries.into_iter().map(Settlement::ack).collect()).await;
    for (id, result) in ids.into_iter().zip(results) {
        if result.is_ok() {
            progress.acknowledged(settler.group(), id);
        }
    }
}

/// Waits for the end, lets the members leave, and holds the history to its promises.
pub(super) async fn conclude(
    stage: &Stage,
    quiet: Duration,
    members: impl IntoIterator<Item = Member>,
    progress: &Progress,
    exercised: &[Property],
) -> CaseResult {
    progress.finished(&stage.groups, stage.waits(quiet)).await;
    for member in members {
        member.leave().await?;
    }
    let found = judge(stage, progress, exercised)?;
    stage.tidy().await?;
    Ok(found)
}

/// Writes that nothing more will come, and holds the history to its promises.
pub(super) fn judge(stage: &Stage, progress: &Progress, exercised: &[Property]) -> CaseResult {
    let mut evidence =
        vec![format!("{} confirmed, {} unknown", progress.confirmed_count(), lock(&progress.unknown))];
    evidence.extend(drained(stage, exercised)?);
    Ok(Finding::Holds(evidence.join(", ")))
}

/// The same; says how often each property was exercised.
pub(super) fn drained(stage: &Stage, exercised: &[Property]) -> std::result::Result<Vec<String>, Failure> {
    for group in &stage.groups {
        let drained = Drained { group: group.as_str().into(), topic: stage.topic.as_str().into() };
        stage.recorder.record(&Event::Drained(drained));
    }
    let report = stage.recorder.check()?;
    let kept = || save(stage);
    if !matches!(report.verdict, Verdict::Pass) {
        return failed(format!("{report}\n{}", kept()));
    }
    let mut evidence = Vec::new();
    for (property, finding) in &report.properties {
        match finding.verdict {
            Verdict::Pass => evidence.push(format!("{property} {}", finding.opportunities)),
            Verdict::NotExercised if exercised.contains(property) => {
                return failed(format!("{property} was not exercised: the case shows nothing\n{}", kept()));
            }
            _ => {}
        }
    }
    Ok(evidence)
}

/// Keeps the history of a failed case for a person to look at.
fn save(stage: &Stage) -> String {
    let path = std::env::temp_dir().join(format!("anybroker-{}.history", stage.topic));
    match stage.recorder.save(&path) {
        Ok(()) => format!("the history is in {}: anybroker check {}", path.display(), path.display()),
        Err(error) => format!("the history could not be kept: {error}"),
    }
}

/// Takes one message with a deadline.
pub(super) async fn next(
    consumer: &mut Box<dyn anybroker_core::Consumer>,
) -> std::result::Result<Delivery, Box<dyn std::error::Error + Send + Sync>> {
    super::step("receive", consumer.next()).await
}
