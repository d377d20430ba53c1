//! The broker is killed while a transaction is open, and while one is being committed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anybroker_core::{Consumer, Delivery, Fate, TransactionalPublisher};

use super::super::{Faults, STEP};
use super::*;
use crate::recorder::Recorder;

const INPUTS: usize = 60;
const KILLS: usize = 3;

/// So long may a transaction take.
const LIMIT: Duration = Duration::from_secs(10);

/// At some moment of about the time that a commit takes.
const COMMIT_MICROS: u64 = 20_000;

/// The broker is killed and comes up again, at a moment of a transaction. What it did not answer is ended as the contract
/// says: the publisher is opened again, and then the consumer.
pub(in crate::cases) async fn transactions_broker_killed(context: Context) -> CaseResult {
    if let Some(reason) = context.volatile {
        return Ok(Finding::NotApplicable(reason.into()));
    }
    let faults = match context.faults.clone() {
        Ok(faults) => faults,
        Err(reason) => return Ok(Finding::NotApplicable(reason.into())),
    };
    let pipe = pipe!(context, "transactions-killed");
    publish(&pipe.stage, numbered("i", INPUTS, 6)).await?;
    let mut line = Line::open(pipe, faults, &context).await?;
    while line.kills < KILLS {
        let batch = step("receive", line.members.receive(5)).await?;
        line.pass(batch, true).await?;
    }
    line.finish(context.quiet).await?;
    let text = format!("killed {KILLS} times, {} outcomes unknown", line.unknown);
    drop((line.members, line.reader, line.holder));
    line.pipe.hold(text).await
}

/// Breaks the broker, and writes it down.
struct Breaker {
    faults: Arc<dyn Faults>,
    recorder: Arc<Recorder>,
    target: String,
}

impl Breaker {
    async fn kill(&self) -> Result<(), Failure> {
        self.recorder.fault("kill", &self.target);
        Ok(self.faults.kill().await?)
    }

    async fn restart(&self) -> Result<(), Failure> {
        self.faults.restart().await?;
        self.recorder.fault("restart", &self.target);
        Ok(())
    }
}

/// Reads, publishes and acknowledges, and reads what comes of it.
struct Line {
    pipe: Pipe,
    breaker: Breaker,
    chance: Chance,
    holder: Box<dyn TransactionalPublisher>,
    members: Box<dyn Consumer>,
    reader: Box<dyn Consumer>,
    round: usize,
    kills: usize,
    unknown: usize,
}

impl Line {
    async fn open(pipe: Pipe, faults: Arc<dyn Faults>, context: &Context) -> Result<Self, Failure> {
        let (holder, members, reader) =
            (pipe.holder_within(LIMIT).await?, open(&pipe.stage).await?, pipe.reader().await?);
        let breaker = Breaker { faults, recorder: pipe.stage.recorder.clone(), target: context.name.clone() };
        let chance = Chance::new(context.seed);
        Ok(Line { pipe, breaker, chance, holder, members, reader, round: 0, kills: 0, unknown: 0 })
    }

    /// Takes a batch through a transaction, in which the broker may be killed; whatever becomes of it.
    async fn pass(&mut self, batch: Vec<Delivery>, kill: bool) -> Result<(), Failure> {
        self.round += 1;
        let fate = match self.attempt(batch, kill).await? {
            Ok(()) => return Ok(()),
            Err(error) => error.fate(),
        };
        self.unknown += usize::from(fate == Fate::Unknown);
        self.holder = self.pipe.holder_within(LIMIT).await?;
        self.members = open(&self.pipe.stage).await?;
        Ok(())
    }

    async fn attempt(
        &mut self,
        batch: Vec<Delivery>,
        kill: bool,
    ) -> Result<anybroker_core::Result<()>, Failure> {
        let transaction = match tokio::time::timeout(2 * STEP, self.holder.begin()).await? {
            Ok(transaction) => transaction,
            Err(error) => return Ok(Err(error)),
        };
        self.pipe.fill(&*transaction, self.round, batch).await?;
        let commit = tokio::time::timeout(2 * STEP, transaction.commit());
        if !kill {
            return Ok(commit.await?);
        }
        self.kills += 1;
        let (breaker, kills) = (&self.breaker, self.kills);
        if kills % 3 == 1 {
            breaker.kill().await?;
            breaker.restart().await?;
            return Ok(commit.await?);
        }
        let moment = Duration::from_micros(self.chance.below(COMMIT_MICROS));
        let crash = async {
            tokio::time::sleep(moment).await;
            breaker.kill().await?;
            if kills % 3 == 2 { breaker.restart().await } else { Ok(()) }
        };
        let (committed, crashed) = tokio::join!(commit, crash);
        crashed?;
        if kills % 3 == 0 {
            // Nobody waits for the broker's answer any longer.
            breaker.restart().await?;
        }
        Ok(committed?)
    }

    /// Until both outputs of each input have come.
    async fn finish(&mut self, quiet: Duration) -> Result<(), Failure> {
        let mut seen = BTreeSet::new();
        while seen.len() < 2 * INPUTS {
            tokio::select! {
                batch = self.members.receive(5) => self.pass(batch?, false).await?,
                outputs = self.reader.receive(100) => {
                    let outputs = outputs?;
                    seen.extend(outputs.iter().map(id));
                    acknowledge(&*self.reader.settler(), outputs).await?;
                }
                () = tokio::time::sleep(quiet) => {
                    self.pipe.drained()?;
                    return failed(format!("{} of {} outputs have come, and nothing moves", seen.len(), 2 * INPUTS));
                }
            }
        }
        nothing_comes(&mut self.reader, UNSEEN).await?;
        nothing_comes(&mut self.members, UNSEEN).await
    }
}
