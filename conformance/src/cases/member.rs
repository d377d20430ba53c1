//! A member, or a publisher, in a process of its own, which can be killed as a process.

use std::collections::HashMap;
use std::io::Read as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anybroker_core::{Broker, Group, PublisherOptions, Result, Settlement, Subscription, Topic};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::flow::{Chance, Progress, publish_one};
use super::stream::{self, LOAD};
use super::transactions::handle_exactly_once;
use super::worker::{HandlerWork, handle};
use super::{Failure, SpawnMember, Stage};
use crate::history::{Close, CloseCause, Event, Header, Promises};
use crate::recorder::Recorder;

/// The environment variable that makes a test program a member: it then calls [`run_member`].
pub const MEMBER_VARIABLE: &str = "ANYBROKER_CONFORMANCE_MEMBER";

/// Longer than a process is stopped for: what it holds meanwhile is not taken from it because it did not settle, which no
/// history would show.
const DRAIN: Duration = Duration::from_secs(30);

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Role {
    /// It receives and acknowledges, and holds so many messages at most.
    Member(usize),
    /// It runs a worker.
    Worker(HandlerWork),
    /// It runs a worker that handles exactly once, the so manieth.
    ExactlyOnce(HandlerWork, usize),
    /// It publishes; its messages are numbered from here.
    Publisher(usize),
}

#[derive(Debug, Serialize, Deserialize)]
struct Orders {
    role: Role,
    topic: String,
    group: String,
    name: String,
    seed: u64,
    prefetch: usize,
}

/// Receives and acknowledges, or publishes, until it is killed, and writes its history to standard output, every line before its
/// effect: it goes on when a byte of standard input says that the line has been read.
///
/// # Errors
/// Whatever the broker fails with; the text of [`MEMBER_VARIABLE`] does not read.
///
/// # Cancel safety
/// As a crash.
pub async fn run_member(broker: Broker, orders: &str) -> Result<()> {
    let unreadable = |e: &dyn std::fmt::Display| {
        anybroker_core::Error::new(anybroker_core::Kind::Unexpected, "member", e.to_string())
    };
    let orders: Orders = serde_json::from_str(orders).map_err(|e| unreadable(&e))?;
    let header = Header::new("member", Promises::default());
    let recorder = Recorder::stream(Box::new(Told::default()), &header, format!("{}-", orders.name))
        .map_err(|e| unreadable(&e))?;
    let group = Group::new(&orders.group)?;
    let topic = Topic::new(&orders.topic)?;
    recorder.group_exists(&topic, &group);
    let recorded = recorder.wrap(broker.clone());
    let subscription = Subscription::new(topic.clone(), group).prefetch(orders.prefetch).drain(DRAIN);
    match orders.role {
        Role::Publisher(first) => publish(&recorded, topic, first, orders.seed).await,
        Role::Worker(work) => handle(&recorder, broker, subscription, work, orders.seed).await,
        Role::ExactlyOnce(work, place) => {
            handle_exactly_once(&recorder, broker, subscription, work, (place, orders.name), orders.seed)
                .await
        }
        Role::Member(_) => receive(&recorded, subscription, orders.seed).await,
    }
}

/// Receives and acknowledges.
async fn receive(recorded: &Broker, subscription: Subscription, seed: u64) -> Result<()> {
    let mut consumer = recorded.consumer(subscription).await?;
    let settler = consumer.settler();
    let mut chance = Chance::new(seed);
    loop {
        let batch = consumer.receive(1 + chance.below(20) as usize).await?;
        tokio::time::sleep(Duration::from_millis(chance.below(10))).await;
        settler.settle(batch.into_iter().map(Settlement::ack).collect()).await;
    }
}

/// Publishes from several publishers at once.
async fn publish(recorded: &Broker, topic: Topic, first: usize, seed: u64) -> Result<()> {
    let progress = Arc::new(Progress::default());
    let never = watch::Sender::new(false);
    let mut work = Vec::new();
    for number in first..first + LOAD.publishers {
        let publisher = recorded.publisher(PublisherOptions::new(topic.clone())).await?;
        let chance = Chance::new(seed.wrapping_add(number as u64));
        work.push(publish_one(publisher, LOAD, number, chance, progress.clone(), never.subscribe()));
    }
    futures::future::try_join_all(work).await.map(drop)
}

/// Standard output whose reader answers each line with a byte, for which flushing waits. What another process sees
/// because of what a line says is then never recorded before it.
#[derive(Default)]
struct Told {
    unanswered: usize,
}

impl std::io::Write for Told {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.unanswered += bytes.iter().filter(|byte| **byte == b'\n').count();
        std::io::stdout().lock().write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stdout().lock().flush()?;
        let mut answers = vec![0; std::mem::take(&mut self.unanswered)];
        std::io::stdin().lock().read_exact(&mut answers)
    }
}

/// A member process as its parent sees it. Its history is relayed as it comes, so that nothing that others see because
/// of it is recorded first.
pub(super) struct MemberProcess {
    name: String,
    role: Role,
    child: Child,
    relayed: watch::Receiver<Relayed>,
    relay: JoinHandle<std::io::Result<()>>,
    hold: Arc<Mutex<Option<&'static str>>>,
    go_on: Arc<Notify>,
}

/// How far the relay is.
#[derive(Clone, Debug, Default)]
struct Relayed {
    lines: usize,
    acknowledged: usize,
    sessions: Vec<String>,
    held: bool,
}

impl MemberProcess {
    /// Starts a process.
    pub(super) fn start(
        spawn: &SpawnMember,
        stage: &Stage,
        (name, role): (&str, Role),
        seed: u64,
        progress: &Arc<Progress>,
    ) -> std::io::Result<Self> {
        let prefetch = match role {
            Role::Member(prefetch) => prefetch,
            // It receives nothing.
            Role::Publisher(_) => 1,
            // Of many keys, so that there is always one that is free.
            Role::Worker(work) => 64 * work.handlers,
            Role::ExactlyOnce(work, _) => 8 * work.handlers,
        };
        let orders = Orders {
            role,
            topic: stage.topic.to_string(),
            group: stage.groups[0].to_string(),
            name: name.to_owned(),
            seed,
            prefetch,
        };
        let mut child = spawn(serde_json::to_string(&orders)?)?;
        let stdout =
            child.stdout.take().ok_or_else(|| std::io::Error::other("the member's output is not piped"))?;
        let answers =
            child.stdin.take().ok_or_else(|| std::io::Error::other("the member's input is not piped"))?;
        let (told, relayed) = watch::channel(Relayed::default());
        let (hold, go_on) = (Arc::new(Mutex::new(None)), Arc::new(Notify::new()));
        let relay = Relay {
            hold: hold.clone(),
            go_on: go_on.clone(),
            recorder: stage.recorder.clone(),
            progress: progress.clone(),
            group: stage.groups[0].clone(),
            deliveries: HashMap::new(),
            told,
            answers,
        };
        let relay = tokio::spawn(relay.run(BufReader::new(stdout).lines()));
        Ok(MemberProcess { name: name.to_owned(), role, child, relayed, relay, hold, go_on })
    }

    /// Holds it when it is about to do this in a transaction: it will not be told that its line was read.
    pub(super) fn hold_at(&self, step: &'static str) {
        *self.hold.lock().unwrap_or_else(PoisonError::into_inner) = Some(step);
    }

    /// Holds it nowhere any more, unless it is held by now: says whether it is.
    pub(super) fn is_held_after_all(&self) -> bool {
        self.hold.lock().unwrap_or_else(PoisonError::into_inner).take().is_none()
    }

    /// Lets one go on that is held, as if no time had passed; says whether it ends by itself within this time.
    pub(super) async fn let_go(&mut self, within: Duration) -> std::io::Result<bool> {
        self.go_on.notify_one();
        match tokio::time::timeout(within, self.child.wait()).await {
            Ok(ended) => ended.map(|_| true),
            Err(_) => Ok(false),
        }
    }

    /// Waits until it is held.
    pub(super) async fn held(&mut self) -> std::io::Result<()> {
        let held = self.relayed.wait_for(|relayed| relayed.held).await;
        held.map(|_| ()).map_err(|_| std::io::Error::other("the member process ended by itself"))
    }

    /// Waits until it has acknowledged this many messages.
    pub(super) async fn acknowledged(&mut self, count: usize) -> std::io::Result<()> {
        let enough = self.relayed.wait_for(|relayed| relayed.acknowledged >= count).await;
        enough.map(|_| ()).map_err(|_| std::io::Error::other("the member process ended by itself"))
    }

    /// The same, within the time that a process has for its part.
    pub(super) async fn works(&mut self, count: usize) -> std::result::Result<(), Failure> {
        let worked = tokio::time::timeout(WORKED, self.acknowledged(count)).await;
        let text = || format!("the member process acknowledged fewer than {count} in {WORKED:?}");
        Ok(worked.map_err(|_| text())??)
    }

    /// How many messages it has acknowledged.
    pub(super) fn acknowledged_so_far(&self) -> usize {
        self.relayed.borrow().acknowledged
    }

    /// Stops it with SIGSTOP until [`MemberProcess::resume`]: it lives, and does nothing.
    pub(super) async fn pause(&mut self, stage: &Stage) -> std::result::Result<(), Failure> {
        self.stop().await?;
        stream::in_flight(stage, "member_pause", &self.name).await
    }

    /// Lets it go on, as if no time had passed.
    pub(super) fn resume(&self, stage: &Stage) -> std::io::Result<()> {
        stage.recorder.fault("resume", &self.name);
        self.signal(Signal::CONT)
    }

    /// Stops it, and waits until its pipe is empty: nothing that it did is recorded after what its silence causes.
    async fn stop(&mut self) -> std::io::Result<()> {
        self.signal(Signal::STOP)?;
        while let Ok(Ok(())) = tokio::time::timeout(SILENCE, self.relayed.changed()).await {}
        Ok(())
    }

    fn signal(&self, signal: Signal) -> std::io::Result<()> {
        let pid = self.child.id().and_then(|id| Pid::from_raw(id as i32));
        let pid = pid.ok_or_else(|| std::io::Error::other("the member process has ended"))?;
        Ok(kill_process(pid, signal)?)
    }

    /// Kills it with SIGKILL, in the middle of what it does.
    pub(super) async fn kill(mut self, stage: &Stage) -> std::result::Result<(), Failure> {
        match self.role {
            Role::Member(_) | Role::Worker(_) | Role::ExactlyOnce(..) => {
                // What others get because of its death must not be recorded before what it did.
                self.stop().await?;
                stream::in_flight(stage, "member_kill", &self.name).await?;
                Ok(self.end_stopped(stage).await?)
            }
            Role::Publisher(_) => {
                stream::in_flight(stage, "publisher_kill", &self.name).await?;
                Ok(self.end(stage).await?)
            }
        }
    }

    /// Kills a member at the moment at which `amid` is done, whatever is in flight.
    pub(super) async fn kill_amid(
        mut self,
        stage: &Stage,
        amid: impl Future<Output = ()>,
    ) -> std::io::Result<()> {
        self.stop().await?;
        amid.await;
        stream::soon_in_flight(stage, "member_kill", &self.name).await;
        self.end_stopped(stage).await
    }

    /// Kills it while it is stopped. Nothing of it is left in the pipe, and what it held is free at once: others may have
    /// it before this one knows that it has ended.
    async fn end_stopped(mut self, stage: &Stage) -> std::io::Result<()> {
        self.child.start_kill()?;
        self.closed(stage);
        self.child.wait().await?;
        self.relay.await?
    }

    /// Kills it, whatever it does.
    pub(super) async fn end(mut self, stage: &Stage) -> std::io::Result<()> {
        self.child.kill().await?;
        (&mut self.relay).await??;
        self.closed(stage);
        Ok(())
    }

    fn closed(&self, stage: &Stage) {
        for session in &self.relayed.borrow().sessions {
            let close = Close { session: session.as_str().into(), cause: CloseCause::Killed };
            stage.recorder.record(&Event::Close(close));
        }
    }
}

/// How long a process has for its part.
const WORKED: Duration = Duration::from_secs(60);

/// How long a stopped process's pipe is silent before it counts as empty.
const SILENCE: Duration = Duration::from_millis(200);

/// Passes a member's lines on to the recorder.
struct Relay {
    recorder: Arc<Recorder>,
    progress: Arc<Progress>,
    group: Group,
    /// Which message each delivery is of.
    deliveries: HashMap<String, String>,
    told: watch::Sender<Relayed>,
    answers: ChildStdin,
    /// What it is held at, and until when.
    hold: Arc<Mutex<Option<&'static str>>>,
    go_on: Arc<Notify>,
}

impl Relay {
    async fn run(mut self, mut lines: Lines<BufReader<ChildStdout>>) -> std::io::Result<()> {
        let mut is_held = false;
        loop {
            let line = tokio::select! {
                line = lines.next_line() => line?,
                () = self.go_on.notified(), if is_held => {
                    is_held = false;
                    self.answer().await;
                    continue;
                }
            };
            let Some(line) = line else { return Ok(()) };
            if self.line(&line)? {
                // It waits for this answer, however many lines it had written at once.
                is_held = true;
                self.told.send_modify(|relayed| relayed.held = true);
            } else {
                self.answer().await;
            }
        }
    }

    /// Says that a line has been read. A member that was killed reads no more.
    async fn answer(&mut self) {
        let _ = self.answers.write_all(b".").await;
    }

    /// Whether it is held here.
    fn line(&mut self, line: &str) -> std::io::Result<bool> {
        let event: serde_json::Value = serde_json::from_str(line)?;
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        // The header of the member's own history has no kind.
        if event["e"].is_string() {
            self.recorder.relay(line)?;
        }
        if event["e"] == "deliver" {
            self.deliveries.insert(text("d"), text("m"));
        }
        if event["e"] == "published" && event["outcome"] == "ok" {
            self.progress.confirmed(text("m"));
        }
        let refused = event["e"] == "settled" && event["outcome"] != "ok";
        if let (true, Some(m)) = (refused, self.deliveries.get(&text("d"))) {
            self.progress.not_acknowledged(&self.group, m);
        }
        let acknowledged = event["e"] == "settle" && event["verdict"] == "ack";
        if let (true, Some(m)) = (acknowledged, self.deliveries.get(&text("d"))) {
            self.progress.acknowledged(&self.group, m.clone());
        }
        self.told.send_modify(|relayed| {
            relayed.lines += 1;
            relayed.acknowledged += usize::from(acknowledged);
            if event["e"] == "open" {
                relayed.sessions.push(text("session"));
            }
        });
        let mut hold = self.hold.lock().unwrap_or_else(PoisonError::into_inner);
        let in_transaction = event["transaction"].is_string();
        Ok(in_transaction && hold.take_if(|step| event["e"] == **step).is_some())
    }
}
