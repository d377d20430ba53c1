//! How much a worker makes of its handlers, and how it goes on when workers are killed: figures, for
//! `examples/worker_kills.rs`.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anybroker_core::{Group, Topic};
use anybroker_worker::{Handling, Happening, Observer, Worker};
use serde::Serialize;
use tokio::sync::watch;

use super::super::flow::{self, Load, Progress};
use super::super::member::{MemberProcess, Role};
use super::super::steps::{self, numbered};
use super::super::{Context, Failure, SpawnMember, Stage, stream};
use super::order;
use super::team::{HandlerWork, Handlers};
use crate::history::{At, Drained, Event, History, read};
use crate::properties::{Property, check};

/// Sixteen handlers at once, of 1 to 20 ms.
const WORK: HandlerWork =
    HandlerWork { handlers: 16, least: Duration::from_millis(1), most: Duration::from_millis(20), fail: 0 };

const KEYS: usize = 64;

/// The least share of what the handlers could do at most.
pub const SHARE: f64 = 0.9;

/// How soon after a kill handlers of every key are to run again.
pub const RESUMED: Duration = Duration::from_secs(10);

/// One worker, and a backlog that nobody disturbs.
#[derive(Clone, Debug, Serialize)]
pub struct Undisturbed {
    /// Messages handled.
    pub messages: usize,
    /// From the first handler's begin to the last one's end.
    pub seconds: f64,
    /// Messages a second.
    pub rate: f64,
    /// What a handler took on average.
    pub mean_handler_ms: f64,
    /// Handlers at once ÷ mean handler time.
    pub most: f64,
    /// The rate as a share of that.
    pub share: f64,
}

impl Undisturbed {
    /// Whether it is enough.
    pub fn holds(&self) -> bool {
        self.share >= SHARE
    }
}

/// When handlers ran, and for how long.
struct Clock {
    began: Instant,
    ran: Mutex<Ran>,
    ended: watch::Sender<usize>,
}

#[derive(Default)]
struct Ran {
    first: Option<Duration>,
    last: Duration,
    took: Duration,
}

impl Observer for Clock {
    fn observe(&self, _: &Topic, _: &Group, happening: &Happening<'_>) {
        let mut ran = self.ran.lock().unwrap_or_else(PoisonError::into_inner);
        match happening {
            Happening::Begins(_) => _ = ran.first.get_or_insert(self.began.elapsed()),
            Happening::Ended { took, .. } => {
                ran.last = self.began.elapsed();
                ran.took += *took;
                self.ended.send_modify(|ended| *ended += 1);
            }
            _ => {}
        }
    }
}

/// Publishes a backlog whose keys take turns, and lets one worker handle it.
///
/// # Errors
/// Whatever the broker fails with.
///
/// # Cancel safety
/// A cancelled call may leave a topic behind.
pub async fn undisturbed(context: &Context, messages: usize) -> Result<Undisturbed, Failure> {
    let stage = context.handlers_stage("worker-undisturbed").await?;
    let mut backlog = VecDeque::from(numbered("m", messages, KEYS));
    while !backlog.is_empty() {
        let some = backlog.drain(..backlog.len().min(500)).collect();
        let publisher =
            stage.broker.publisher(anybroker_core::PublisherOptions::new(stage.topic.clone())).await?;
        steps::all_confirmed(steps::batch(&*publisher, some).await?)?;
        publisher.close().await?;
    }
    let (ended, mut all) = watch::channel(0);
    let clock = Arc::new(Clock { began: Instant::now(), ran: Mutex::default(), ended });
    let handlers = Handlers::new(WORK, context.seed);
    let worker = Worker::builder(stage.broker.clone())
        .handling(Handling::default().concurrency(WORK.handlers))
        .observe(clock.clone())
        .subscribe(stage.subscription(0).prefetch(PREFETCH), handlers.service())
        .build()?;
    worker.run_until(async { _ = all.wait_for(|ended| *ended >= messages).await }).await?;
    stage.broker.admin().delete(&stage.topic).await?;
    let ran = clock.ran.lock().unwrap_or_else(PoisonError::into_inner);
    let seconds = (ran.last - ran.first.unwrap_or_default()).as_secs_f64();
    let (rate, mean) = (messages as f64 / seconds, ran.took.as_secs_f64() / messages as f64);
    let most = WORK.handlers as f64 / mean;
    Ok(Undisturbed { messages, seconds, rate, mean_handler_ms: mean * 1e3, most, share: rate / most })
}

/// As many as hold enough keys for every handler.
const PREFETCH: usize = 1_024;

/// Workers that are killed, one after the other, while messages flow.
#[derive(Clone, Debug, Serialize)]
pub struct Disturbed {
    /// Messages confirmed.
    pub messages: usize,
    /// For how long they were published.
    pub seconds: f64,
    /// Handlers begun.
    pub begun: usize,
    /// Pairs of messages whose order P7 compared.
    pub pairs: u64,
    /// Pairs that were in the wrong order.
    pub violations: u64,
    /// Messages whose first handler began in order, marked as redelivered or not; or which two did not.
    pub in_order: Result<usize, String>,
    /// The verdict over all promises, with what broke them.
    pub verdict: String,
    /// What came of each kill.
    pub kills: Vec<Kill>,
}

/// What came of one kill.
#[derive(Clone, Debug, Serialize)]
pub struct Kill {
    /// Seconds since the begin.
    pub at: f64,
    /// How long it took until any handler began.
    pub any: f64,
    /// How long it took until a handler of every key had begun that had something to do.
    pub all_keys: f64,
}

impl Disturbed {
    /// Whether all bounds are met.
    pub fn holds(&self, messages: usize) -> bool {
        let resumed = |kill: &Kill| kill.all_keys <= RESUMED.as_secs_f64();
        self.messages >= messages
            && (self.violations, self.verdict.as_str()) == (0, "pass")
            && self.in_order.is_ok()
            && !self.kills.is_empty()
            && self.kills.iter().all(resumed)
    }
}

/// Publishes at a rate, and kills one of two worker processes every so often, another joining for it. `told` hears of it.
///
/// # Errors
/// Whatever the broker fails with; there can be no other processes.
///
/// # Cancel safety
/// A cancelled call may leave a topic behind.
pub async fn disturbed(
    context: &Context,
    messages: usize,
    rate: f64,
    every: Duration,
    told: impl Fn(String),
) -> Result<Disturbed, Failure> {
    let spawn = context.spawn_member.clone()?;
    let stage = context.handlers_stage("worker-kills").await?;
    let progress = Arc::new(Progress::default());
    let mut team = Processes {
        spawn,
        stage: &stage,
        progress: &progress,
        seed: context.seed,
        running: VecDeque::new(),
        started: 0,
    };
    team.start()?;
    team.start()?;
    // Two publishers, each of half of a portion's mean in every pause.
    let pause = Duration::from_secs_f64(2.0 * (1.0 + BATCH as f64) / 2.0 / rate);
    let load = Load { publishers: 2, messages: messages.div_ceil(2), keys: KEYS, batch: BATCH, pause };
    let began = Instant::now();
    let publishing = flow::publish(&stage, load, context.seed, &progress);
    let mut publishing = std::pin::pin!(publishing);
    loop {
        tokio::select! {
            published = &mut publishing => break published?,
            () = tokio::time::sleep(every) => {}
        }
        // Published on while one is killed.
        let killing = async {
            team.kill_one().await?;
            told(format!(
                "killed one at {:.0} s, {} confirmed",
                began.elapsed().as_secs_f64(),
                progress.confirmed_count()
            ));
            Ok::<_, Failure>(())
        };
        let mut killing = std::pin::pin!(killing);
        tokio::select! {
            published = &mut publishing => {
                published?;
                killing.await?;
                break;
            }
            killed = &mut killing => killed?,
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    stream::heal(&stage, &progress).await?;
    progress.finished(&stage.groups, context.quiet).await;
    team.end().await?;
    let figures = figures(&stage, progress.confirmed_count(), seconds)?;
    stage.broker.admin().delete(&stage.topic).await?;
    Ok(figures)
}

/// The most messages in one call.
const BATCH: usize = 16;

/// The worker processes.
struct Processes<'a> {
    spawn: SpawnMember,
    stage: &'a Stage,
    progress: &'a Arc<Progress>,
    seed: u64,
    running: VecDeque<MemberProcess>,
    started: u64,
}

impl Processes<'_> {
    fn start(&mut self) -> std::io::Result<()> {
        let (name, seed) = (format!("worker-{}", self.started), self.seed.wrapping_add(self.started));
        let who = (name.as_str(), Role::Worker(WORK));
        self.running.push_back(MemberProcess::start(&self.spawn, self.stage, who, seed, self.progress)?);
        self.started += 1;
        Ok(())
    }

    /// Kills the oldest, and starts another.
    async fn kill_one(&mut self) -> Result<(), Failure> {
        if let Some(oldest) = self.running.pop_front() {
            oldest.kill(self.stage).await?;
        }
        Ok(self.start()?)
    }

    /// Everything is done.
    async fn end(self) -> std::io::Result<()> {
        for process in self.running {
            process.end(self.stage).await?;
        }
        Ok(())
    }
}

/// Judges the merged history.
fn figures(stage: &Stage, messages: usize, seconds: f64) -> Result<Disturbed, Failure> {
    for group in &stage.groups {
        let drained = Drained { group: group.as_str().into(), topic: stage.topic.as_str().into() };
        stage.recorder.record(&Event::Drained(drained));
    }
    let history = read(std::io::BufReader::new(&stage.recorder.history()[..]))?;
    let report = check(&history);
    let p7 = report.properties.get(&Property::P7);
    let verdict = match report.verdict {
        crate::properties::Verdict::Pass => "pass".to_owned(),
        _ => report.to_string(),
    };
    Ok(Disturbed {
        messages,
        seconds,
        begun: history.delivery_count(),
        pairs: p7.map_or(0, |found| found.opportunities),
        violations: p7.map_or(0, |found| found.violation_count()),
        in_order: order::check(&stage.recorder).map_err(|broken| broken.to_string()),
        verdict,
        kills: kills(&history),
    })
}

fn kills(history: &History) -> Vec<Kill> {
    let killed = history.faults().iter().filter(|fault| history.name(fault.kind) == "member_kill");
    let kill = |killed: At| {
        let mut next = HashMap::new();
        for (_, begun) in history.all_deliveries().filter(|(_, begun)| begun.at > killed) {
            let key = history.message(begun.message).key;
            next.entry(key).or_insert_with(|| history.elapsed(killed, begun.at) as f64 / 1e9);
        }
        let resumed = |than: fn(f64, f64) -> f64| next.values().copied().reduce(than).unwrap_or(0.0);
        Kill { at: history.time(killed) as f64 / 1e9, any: resumed(f64::min), all_keys: resumed(f64::max) }
    };
    killed.map(|fault| kill(fault.at)).collect()
}
