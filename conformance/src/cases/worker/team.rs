//! Workers of one group, and the handlers that they run.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anybroker_core::{Broker, Delivery, Group, Key, Result, Subscription, Topic};
use anybroker_worker::{
    Failure as Failed, HandlerError, Handling, Happening, Observer, Outcome, Retry, Worker,
};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower::Service;

use super::super::flow::{self, Chance, Progress};
use super::super::{Failure, STEP, Stage, ensure, failed};
use crate::recorder::Recorder;

/// What handlers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cases) struct HandlerWork {
    /// So many at once.
    pub(in crate::cases) handlers: usize,
    /// The least and the most that one takes.
    pub(in crate::cases) least: Duration,
    pub(in crate::cases) most: Duration,
    /// So many of 100 attempts fail, retryably.
    pub(in crate::cases) fail: u64,
}

/// The handlers of one worker: each takes as long, and fails, as chance has it.
pub(in crate::cases) struct Handlers {
    work: HandlerWork,
    seed: u64,
    /// The keys that are being handled.
    keys: Mutex<HashSet<Key>>,
    most: AtomicUsize,
    ended: AtomicUsize,
    /// What no handler may see.
    broken: Mutex<Option<String>>,
}

impl Handlers {
    pub(in crate::cases) fn new(work: HandlerWork, seed: u64) -> Arc<Self> {
        Arc::new(Handlers {
            work,
            seed,
            keys: Mutex::default(),
            most: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
            broken: Mutex::default(),
        })
    }

    /// What a worker is given.
    pub(super) fn service(
        self: &Arc<Self>,
    ) -> impl Service<Delivery, Response = (), Error = HandlerError, Future: Send> + Clone + Send + Sync + use<>
    {
        let handlers = self.clone();
        tower::service_fn(move |delivery| handlers.clone().handle(delivery))
    }

    async fn handle(self: Arc<Self>, delivery: Delivery) -> std::result::Result<(), HandlerError> {
        let key = delivery.to_key();
        self.begin(&key);
        let mut chance = self.chance(&delivery);
        let spread = self.work.most.saturating_sub(self.work.least).as_micros() as u64;
        tokio::time::sleep(self.work.least + Duration::from_micros(chance.below(spread + 1))).await;
        self.end(&key);
        match chance.below(100) < self.work.fail {
            true => Err(HandlerError(Failed::retryable("as chance has it"))),
            false => Ok(()),
        }
    }

    /// The same for the same attempt of a message.
    fn chance(&self, delivery: &Delivery) -> Chance {
        let mut hasher = DefaultHasher::new();
        (self.seed, delivery.id().map(|id| id.to_string()), delivery.attempt()).hash(&mut hasher);
        Chance::new(hasher.finish())
    }

    fn begin(&self, key: &Option<Key>) {
        let mut keys = lock(&self.keys);
        if let Some(key) = key.as_ref().filter(|key| !keys.insert((*key).clone())) {
            let text = format!("two handlers of key {key} at once in one worker");
            lock(&self.broken).get_or_insert(text);
        }
        self.most.fetch_max(keys.len(), Ordering::Relaxed);
    }

    fn end(&self, key: &Option<Key>) {
        key.iter().for_each(|key| _ = lock(&self.keys).remove(key));
        self.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// Tells the progress of a case what was settled, and when the worker has joined.
struct Tells {
    progress: Arc<Progress>,
    opened: watch::Sender<bool>,
}

impl Observer for Tells {
    fn observe(&self, _: &Topic, group: &Group, happening: &Happening<'_>) {
        match happening {
            Happening::Opened => _ = self.opened.send_replace(true),
            Happening::Settled { delivery, outcome, result: Ok(_) } if *outcome != Outcome::Retried => {
                let id = delivery.id().map(|id| id.to_string()).unwrap_or_default();
                self.progress.acknowledged(group, id);
            }
            _ => {}
        }
    }
}

/// Failed messages come again soon, before the later ones of their key, and for as long as it takes.
pub(super) fn retry() -> Retry {
    Retry::default().backoff(Duration::from_millis(2), Duration::from_millis(20)).for_ever()
}

/// A worker over a broker whose deliveries count when a handler begins.
pub(in crate::cases) fn worker(
    recorder: &Arc<Recorder>,
    broker: Broker,
    subscription: Subscription,
    handlers: &Arc<Handlers>,
    observer: Option<Arc<dyn Observer>>,
) -> Result<Worker> {
    let (recorded, begins) = recorder.wrap_for_workers(broker);
    let handling = Handling::default().concurrency(handlers.work.handlers).retry(retry());
    let builder = Worker::builder(recorded).handling(handling).observe(begins);
    let builder = observer.into_iter().fold(builder, |builder, observer| builder.observe(observer));
    builder.subscribe(subscription, handlers.service()).build()
}

/// Runs handlers until the process is killed.
///
/// # Errors
/// As [`Worker::run_until`].
pub(in crate::cases) async fn handle(
    recorder: &Arc<Recorder>,
    broker: Broker,
    subscription: Subscription,
    work: HandlerWork,
    seed: u64,
) -> Result<()> {
    let handlers = Handlers::new(work, seed);
    worker(recorder, broker, subscription, &handlers, None)?.run_until(std::future::pending()).await
}

/// A worker at work in this process.
pub(super) struct Member {
    handlers: Option<Arc<Handlers>>,
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<()>>,
}

impl Member {
    /// Runs a worker, and waits until it has joined the group.
    pub(super) async fn run(
        worker: Worker,
        handlers: Option<Arc<Handlers>>,
        mut opened: watch::Receiver<bool>,
    ) -> std::result::Result<Self, Failure> {
        let (stop, mut stopped) = watch::channel(false);
        let until = async move { _ = stopped.wait_for(|stop| *stop).await };
        let task = tokio::spawn(worker.run_until(until));
        let opened = async { opened.wait_for(|opened| *opened).await.is_ok() };
        match tokio::time::timeout(STEP, opened).await {
            Ok(true) => Ok(Member { handlers, stop, task }),
            // It has ended before.
            Ok(false) => Err(task.await?.err().map_or("the worker ended by itself".into(), Failure::from)),
            Err(_) => failed(format!("no worker joins within {STEP:?}")),
        }
    }

    /// Drains and leaves; says how many handlers have ended, and how many ran at once.
    async fn leave(self) -> std::result::Result<(usize, usize), Failure> {
        let _ = self.stop.send(true);
        match self.task.await.unwrap_or_else(|e| Err(flow::panicked(e))) {
            // What it could not tell the broker any more comes again, to others; the history shows whether it does.
            Err(error) if error.is_retryable() => {}
            ended => ended?,
        }
        let Some(handlers) = self.handlers else { return Ok((0, 0)) };
        let broken = lock(&handlers.broken).take();
        ensure(broken.is_none(), || broken.unwrap_or_default())?;
        let [ended, most] = [&handlers.ended, &handlers.most].map(|count| count.load(Ordering::Relaxed));
        Ok((ended, most))
    }
}

/// The workers of a case.
pub(super) struct Team<'a> {
    stage: &'a Stage,
    progress: Arc<Progress>,
    seed: u64,
    members: Vec<Member>,
    joined: u64,
    ended: usize,
    most: usize,
}

impl<'a> Team<'a> {
    pub(super) fn new(stage: &'a Stage, seed: u64, progress: &Arc<Progress>) -> Self {
        Team { stage, progress: progress.clone(), seed, members: Vec::new(), joined: 0, ended: 0, most: 0 }
    }

    /// What tells the progress of the case, and whether the worker has joined.
    pub(super) fn tells(&self) -> (Arc<dyn Observer>, watch::Receiver<bool>) {
        let (opened, joined) = watch::channel(false);
        (Arc::new(Tells { progress: self.progress.clone(), opened }), joined)
    }

    /// A worker joins.
    pub(super) async fn join(&mut self, work: HandlerWork) -> std::result::Result<(), Failure> {
        let handlers = Handlers::new(work, self.seed.wrapping_add(self.joined));
        let (tells, joined) = self.tells();
        let (recorder, broker) = (&self.stage.recorder, self.stage.broker.clone());
        let worker = worker(recorder, broker, self.stage.subscription(0), &handlers, Some(tells))?;
        self.joined += 1;
        self.add(Member::run(worker, Some(handlers), joined).await?);
        Ok(())
    }

    /// One that runs already.
    pub(super) fn add(&mut self, member: Member) {
        self.members.push(member);
    }

    /// The one that is here longest leaves.
    pub(super) async fn leave_one(&mut self) -> std::result::Result<(), Failure> {
        let (ended, most) = self.members.remove(0).leave().await?;
        self.ended += ended;
        self.most = self.most.max(most);
        Ok(())
    }

    /// All leave; says what they did.
    pub(super) async fn leave(mut self) -> std::result::Result<String, Failure> {
        while !self.members.is_empty() {
            self.leave_one().await?;
        }
        Ok(format!("{} handlers, up to {} at once in a worker", self.ended, self.most))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
