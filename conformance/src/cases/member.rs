//! A member in a process of its own, which can be killed as a process.

use std::time::Duration;

use anybroker_core::{Broker, Group, Result, Settlement, Subscription, Topic};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use super::flow::{Chance, Progress};
use super::{Context, Stage};
use crate::history::{Close, CloseCause, Event, Header, Promises};
use crate::recorder::Recorder;

/// The environment variable that makes a test program a member: it then calls [`run_member`].
pub const MEMBER_VARIABLE: &str = "ANYBROKER_CONFORMANCE_MEMBER";

#[derive(Debug, Serialize, Deserialize)]
struct Orders {
    topic: String,
    group: String,
    name: String,
    seed: u64,
    prefetch: usize,
}

/// Receives and acknowledges until it is killed, and writes its history to standard output, every line before its
/// effect.
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
    let recorder = Recorder::stream(Box::new(std::io::stdout()), &header, format!("{}-", orders.name))
        .map_err(|e| unreadable(&e))?;
    let group = Group::new(&orders.group)?;
    recorder.group_exists(&group);
    let subscription = Subscription::new(Topic::new(&orders.topic)?, group).prefetch(orders.prefetch);
    let mut consumer = recorder.wrap(broker).consumer(subscription).await?;
    let settler = consumer.settler();
    let mut chance = Chance::new(orders.seed);
    loop {
        let batch = consumer.receive(1 + chance.below(20) as usize).await?;
        tokio::time::sleep(Duration::from_millis(chance.below(5))).await;
        settler.settle(batch.into_iter().map(Settlement::ack).collect()).await;
    }
}

/// A member process as its parent sees it.
pub(super) struct MemberProcess {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    sessions: Vec<String>,
    /// Which message each delivery is of.
    deliveries: std::collections::HashMap<String, String>,
    group: Group,
}

impl MemberProcess {
    /// Starts a process; none if this backend lives in one process.
    pub(super) fn start(context: &Context, stage: &Stage, name: &str) -> std::io::Result<Option<Self>> {
        let Some(spawn) = &context.spawn_member else { return Ok(None) };
        let group = stage.groups[0].clone();
        let orders = Orders {
            topic: stage.topic.to_string(),
            group: group.to_string(),
            name: name.to_owned(),
            seed: context.seed,
            prefetch: 50,
        };
        let mut child = spawn(serde_json::to_string(&orders)?)?;
        let stdout =
            child.stdout.take().ok_or_else(|| std::io::Error::other("the member's output is not piped"))?;
        let lines = BufReader::new(stdout).lines();
        Ok(Some(MemberProcess { child, lines, sessions: Vec::new(), deliveries: Default::default(), group }))
    }

    /// Relays its history until it has acknowledged `count` messages, or ended.
    pub(super) async fn relay_acks(
        &mut self,
        stage: &Stage,
        progress: &Progress,
        count: usize,
    ) -> std::io::Result<()> {
        let mut acks = 0;
        while acks < count {
            let Some(line) = self.lines.next_line().await? else {
                return Err(std::io::Error::other("the member process ended by itself"));
            };
            acks += usize::from(self.relay(&line, stage, progress)?);
        }
        Ok(())
    }

    /// Kills it with SIGKILL, and relays what it had still written. It is stopped first until its pipe is empty, so
    /// that nothing that it did is recorded after what its death causes.
    pub(super) async fn kill(mut self, stage: &Stage, progress: &Progress) -> std::io::Result<()> {
        let pid = self.child.id().and_then(|id| rustix::process::Pid::from_raw(id as i32));
        let pid = pid.ok_or_else(|| std::io::Error::other("the member process has ended"))?;
        rustix::process::kill_process(pid, rustix::process::Signal::STOP)?;
        while let Ok(Some(line)) =
            tokio::time::timeout(SILENCE, self.lines.next_line()).await.unwrap_or(Ok(None))
        {
            self.relay(&line, stage, progress)?;
        }
        stage.recorder.fault("kill", "member");
        self.child.kill().await?;
        for session in &self.sessions {
            let close = Close { session: session.as_str().into(), cause: CloseCause::Killed };
            stage.recorder.record(&Event::Close(close));
        }
        Ok(())
    }

    /// Relays a line; says whether it is an acknowledgement.
    fn relay(&mut self, line: &str, stage: &Stage, progress: &Progress) -> std::io::Result<bool> {
        let event: serde_json::Value = serde_json::from_str(line)?;
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        match event["e"].as_str() {
            // The header of the member's own history.
            None => return Ok(false),
            Some("open") => self.sessions.push(text("session")),
            Some("deliver") => drop(self.deliveries.insert(text("d"), text("m"))),
            _ => {}
        }
        stage.recorder.relay(line)?;
        let acknowledged = event["e"] == "settle" && event["verdict"] == "ack";
        if let (true, Some(m)) = (acknowledged, self.deliveries.get(&text("d"))) {
            progress.acknowledged(&self.group, m.clone());
        }
        Ok(acknowledged)
    }
}

/// How long a stopped process's pipe is silent before it counts as empty.
const SILENCE: Duration = Duration::from_millis(200);
