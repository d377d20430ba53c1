//! Worker processes that handle exactly once are killed at each step of a transaction.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anybroker_core::{Broker, Delivery, Result};
use anybroker_worker::{Builder, Context as Lent, Failure as Failed, HandlerError, Handling, Retry, Worker};

use super::super::flow::Progress;
use super::super::member::{MemberProcess, Role};
use super::super::worker::{HandlerWork, seen_by_handlers};
use super::super::{STEP, SpawnMember, ensure};
use super::*;
use crate::recorder::Recorder;

/// Eight handlers at once, of which some fail after they have published.
pub(super) const WORK: HandlerWork =
    HandlerWork { handlers: 8, least: Duration::from_millis(1), most: Duration::from_millis(6), fail: 4 };

/// What a process is killed at, just before it does it; at the last one, just after it was told that it is committed.
const STEPS: [&str; 4] = ["publish", "settle", "commit", "transaction_end"];

/// As many are published at a time, and then again after a pause, until a process has come to its step; in another turn, another.
const PORTION: usize = 24;
const PORTIONS: usize = 24;
const TURNS: usize = 6;
const PAUSE: Duration = Duration::from_millis(500);
pub(super) const KEYS: usize = 12;

/// So long may a transaction take.
const LIMIT: Duration = Duration::from_secs(10);

/// As often a broker looks for those that take longer, and then some.
const SWEEP: Duration = Duration::from_secs(12);

/// How long a process may take to end that cannot go on.
const ENDS: Duration = Duration::from_secs(10);

/// Two processes handle what is published; one after the other is killed by SIGKILL amid a transaction, and started again.
pub(in crate::cases) async fn worker_exactly_once(context: Context) -> CaseResult {
    let spawn = match context.spawn_member.clone() {
        Ok(spawn) => spawn,
        Err(reason) => return Ok(Finding::NotApplicable(reason.into())),
    };
    let stage = context.stage_promising("exactly-once", 1, seen_by_handlers).await?;
    let pipe = match Pipe::lay_on(stage).await? {
        Ok(pipe) => pipe,
        Err(not_promised) => return Ok(not_promised),
    };
    let mut reader = pipe.reader().await?;
    let mut team =
        Team { spawn, pipe: &pipe, seed: context.seed, started: 0, published: 0, running: VecDeque::new() };
    team.start(0)?;
    team.start(1)?;
    for step in STEPS {
        team.kill_at(step).await?;
    }
    let came_to = team.pause().await?;
    let published = team.published;
    let seen = read(&pipe, &mut reader, 2 * published).await?;
    in_order(&seen, published)?;
    nothing_comes(&mut reader, UNSEEN).await?;
    let left = pipe.stage.broker.admin().backlog(&pipe.stage.topic, &pipe.stage.groups[0]).await?;
    ensure(left == 0, || {
        format!("the outputs of all inputs are there, and {left} inputs are not acknowledged")
    })?;
    team.end().await?;
    drop(reader);
    pipe.hold(format!("{published} inputs handled, processes killed at {STEPS:?}; one stood still past its time-out, and {came_to}")).await
}

/// The processes.
struct Team<'a> {
    spawn: SpawnMember,
    pipe: &'a Pipe,
    seed: u64,
    started: usize,
    published: usize,
    /// With their places: the next one in a place has the same transactional id.
    running: VecDeque<(usize, MemberProcess)>,
}

impl Team<'_> {
    fn start(&mut self, place: usize) -> std::io::Result<()> {
        let name = format!("process-{}", self.started);
        let who = (name.as_str(), Role::ExactlyOnce(WORK, place));
        let seed = self.seed.wrapping_add(self.started as u64);
        let process =
            MemberProcess::start(&self.spawn, &self.pipe.stage, who, seed, &Arc::new(Progress::default()))?;
        self.running.push_back((place, process));
        self.started += 1;
        Ok(())
    }

    /// Kills one as soon as it is at that step, and starts it again.
    async fn kill_at(&mut self, step: &'static str) -> Result<(), Failure> {
        let (place, process) = self.held_at(step).await?;
        process.kill_amid(&self.pipe.stage, async {}).await?;
        Ok(self.start(place)?)
    }

    /// Lets one stand still, about to commit, until the broker has aborted its transaction; says what came of it.
    async fn pause(&mut self) -> Result<&'static str, Failure> {
        let (place, mut process) = self.held_at("commit").await?;
        self.pipe.stage.recorder.fault("member_pause", "process");
        tokio::time::sleep(LIMIT + SWEEP).await;
        self.pipe.stage.recorder.fault("resume", "process");
        if process.let_go(ENDS).await? {
            self.start(place)?;
            return Ok("ended, fenced");
        }
        self.running.push_back((place, process));
        Ok("went on")
    }

    /// One that is at that step: the one that is here longest, or else the next, since of one partition only one has anything to
    /// do. One that is held never goes on as if nothing had been: it records nothing meanwhile.
    async fn held_at(&mut self, step: &'static str) -> Result<(usize, MemberProcess), Failure> {
        for _ in 0..TURNS {
            let (place, mut process) = self.running.pop_front().ok_or("there is no process")?;
            process.hold_at(step);
            for _ in 0..PORTIONS {
                self.publish_portion().await?;
                if let Ok(held) = tokio::time::timeout(PAUSE, process.held()).await {
                    held?;
                    return Ok((place, process));
                }
            }
            if process.is_held_after_all() {
                process.held().await?;
                return Ok((place, process));
            }
            self.running.push_back((place, process));
        }
        failed(format!("no process came to {step} in {TURNS} turns of {PORTIONS} portions"))
    }

    async fn publish_portion(&mut self) -> Result<(), Failure> {
        let portion = numbered("i", self.published + PORTION, KEYS).split_off(self.published);
        self.published += PORTION;
        publish(&self.pipe.stage, portion).await
    }

    async fn end(self) -> std::io::Result<()> {
        for (_, process) in self.running {
            process.end(&self.pipe.stage).await?;
        }
        Ok(())
    }
}

/// The numbers of the inputs whose first outputs came, by key, in order.
pub(super) type Seen = BTreeMap<String, Vec<usize>>;

pub(super) async fn read(pipe: &Pipe, reader: &mut Box<dyn Consumer>, count: usize) -> Result<Seen, Failure> {
    let (mut seen, mut come) = (Seen::new(), 0);
    while come < count {
        let patience = tokio::time::timeout(2 * STEP, reader.receive(100)).await;
        let Ok(batch) = patience else {
            pipe.drained()?;
            return failed(format!("{come} of {count} outputs have come, and nothing moves"));
        };
        let batch = batch?;
        come += batch.len();
        for delivery in batch.iter().filter(|delivery| id(delivery).starts_with('x')) {
            let key = delivery.to_key().map(|key| key.to_string()).unwrap_or_default();
            let number = String::from_utf8_lossy(delivery.payload()).trim_start_matches('i').parse()?;
            seen.entry(key).or_default().push(number);
        }
        acknowledge(&*reader.settler(), batch).await?;
    }
    Ok(seen)
}

/// Each input has one output, in the order of its key.
fn in_order(seen: &Seen, published: usize) -> Result<(), Failure> {
    for (key, numbers) in seen {
        let first = key.trim_start_matches('k').parse::<usize>()?;
        let wanted: Vec<_> = (first..published).step_by(KEYS).collect();
        ensure(*numbers == wanted, || format!("outputs of key {key}: {numbers:?}"))?;
    }
    Ok(())
}

/// Handles exactly once until the process is killed: two outputs for each input.
///
/// # Errors
/// As [`Worker::run_until`].
pub(in crate::cases) async fn handle_exactly_once(
    recorder: &Arc<Recorder>,
    broker: Broker,
    subscription: Subscription,
    work: HandlerWork,
    (place, name): (usize, String),
    seed: u64,
) -> Result<()> {
    // What is received and not begun counts for nothing: when that was, among the handlers that end meanwhile, nobody can tell.
    let (recorded, begins) = recorder.wrap_for_workers(broker);
    let worker = exactly_once(recorded, subscription, work, (place, name), seed)?.observe(begins).build()?;
    worker.run_until(std::future::pending()).await
}

/// A worker that does so.
///
/// # Errors
/// A name is too long.
pub(super) fn exactly_once(
    broker: Broker,
    subscription: Subscription,
    work: HandlerWork,
    (place, name): (usize, String),
    seed: u64,
) -> Result<Builder> {
    let id = TransactionalId::new(format!("{}-{place}", subscription.topic))?;
    let handling = Handling::default()
        .concurrency(work.handlers)
        .retry(Retry::default().backoff(Duration::from_millis(2), Duration::from_millis(20)).for_ever())
        .exactly_once(TransactionOptions::new(id).timeout(LIMIT));
    let outputs = Outputs {
        topic: Topic::new(format!("{}-out", subscription.topic))?,
        name,
        attempts: AtomicUsize::new(0),
        chance: std::sync::Mutex::new(Chance::new(seed)),
        work,
    };
    let outputs = Arc::new(outputs);
    let handler = tower::service_fn(move |delivery: Delivery| {
        let outputs = outputs.clone();
        async move { outputs.of(delivery).await.map_err(HandlerError) }
    });
    Ok(Worker::builder(broker).handling(handling).subscribe(subscription, handler))
}

/// What a process publishes.
struct Outputs {
    topic: Topic,
    name: String,
    attempts: AtomicUsize,
    chance: std::sync::Mutex<Chance>,
    work: HandlerWork,
}

impl Outputs {
    async fn of(&self, delivery: Delivery) -> Result<(), Failed> {
        let lent = Lent::of(&delivery).ok_or_else(|| Failed::fatal("no worker lends anything"))?;
        let (publishers, id) = (lent.publishers(), id(&delivery));
        let attempt = self.attempts.fetch_add(1, Ordering::Relaxed);
        for output in ["x", "y"] {
            let message = Message::new(id.clone()).with_id(format!("{output}-{id}-{}-{attempt}", self.name));
            publishers.publish(&self.topic, Message { key: delivery.to_key(), ..message }).await?;
        }
        let (wait, fails) = self.draw();
        tokio::time::sleep(wait).await;
        if fails { Err(Failed::retryable("as chance has it")) } else { Ok(()) }
    }

    fn draw(&self) -> (Duration, bool) {
        let mut chance = self.chance.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let spread = self.work.most.saturating_sub(self.work.least).as_micros() as u64;
        let wait = self.work.least + Duration::from_micros(chance.below(spread + 1));
        (wait, chance.below(100) < self.work.fail)
    }
}
