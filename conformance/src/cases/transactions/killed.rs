//! The broker is killed while a transaction is open, and while one is being committed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anybroker_core::{Consumer, Delivery, Fate, TransactionalPublisher};

use super::super::{Faults, STEP};
use super::*;
use crate::recorder::Recorder;

const INPUTS: usize = 60;
/// Before the commit and amid it: each takes some 25 s, until groups and transactions are there again.
const KILLS: usize = 2;

/// So long may a transaction take.
const LIMIT: Duration = Duration::from_secs(10);

/// The broker is killed and comes up again, at a moment of a transaction: while it is open, and while the broker is asked to
/// commit it. What it did not answer is ended as the contract says: the publisher is opened again, and then the consumer.
///
/// Between its decision and its end a transaction is safe from a broker's death only where others have the partition too
/// (the row `transactions`); so the one before has ended when the broker is killed, and it has not read that it is to commit.
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
    for kill in 0..=KILLS {
        // A broker that was killed has its groups and its transactions again only when their own time-outs are over.
        let batch = tokio::time::timeout(2 * STEP, line.members.receive(5)).await;
        let batch = batch.map_err(|_| format!("receive: nothing within {:?}", 2 * STEP))??;
        line.pass(batch, kill).await?;
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
    async fn pause(&self) -> Result<(), Failure> {
        self.recorder.fault("pause", &self.target);
        Ok(self.faults.pause().await?)
    }

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
    unknown: usize,
    /// The outputs that have come.
    seen: BTreeSet<String>,
    /// How long a commit takes that nothing disturbs.
    commit: Duration,
}

impl Line {
    async fn open(pipe: Pipe, faults: Arc<dyn Faults>, context: &Context) -> Result<Self, Failure> {
        let (holder, members, reader) =
            (pipe.holder_within(LIMIT).await?, open(&pipe.stage).await?, pipe.reader().await?);
        let breaker = Breaker { faults, recorder: pipe.stage.recorder.clone(), target: context.name.clone() };
        let chance = Chance::new(context.seed);
        let (seen, commit) = (BTreeSet::new(), Duration::ZERO);
        Ok(Line { pipe, breaker, chance, holder, members, reader, round: 0, unknown: 0, seen, commit })
    }

    /// Takes a batch through a transaction, in which the broker may be killed for the first, second, … time; whatever becomes
    /// of it.
    async fn pass(&mut self, batch: Vec<Delivery>, kill: usize) -> Result<(), Failure> {
        self.round += 1;
        let outputs = batch.iter().flat_map(|delivery| outputs_of(delivery, self.round)).collect();
        let fate = match self.attempt(batch, kill).await? {
            Ok(()) => return self.ended(outputs).await,
            Err(error) => error.fate(),
        };
        self.unknown += usize::from(fate == Fate::Unknown);
        self.holder = self.pipe.holder_within(LIMIT).await?;
        self.members = open(&self.pipe.stage).await?;
        Ok(())
    }

    /// A commit is answered when it is decided; what it published is seen when it has ended.
    async fn ended(&mut self, outputs: BTreeSet<String>) -> Result<(), Failure> {
        while !outputs.is_subset(&self.seen) {
            let come = tokio::time::timeout(2 * STEP, self.reader.receive(100)).await;
            let come =
                come.map_err(|_| format!("what was committed has not come within {:?}", 2 * STEP))??;
            self.read(come).await?;
        }
        Ok(())
    }

    async fn read(&mut self, outputs: Vec<Delivery>) -> Result<(), Failure> {
        self.seen.extend(outputs.iter().map(id));
        acknowledge(&*self.reader.settler(), outputs).await
    }

    async fn attempt(
        &mut self,
        batch: Vec<Delivery>,
        kill: usize,
    ) -> Result<anybroker_core::Result<()>, Failure> {
        let transaction = match tokio::time::timeout(2 * STEP, self.holder.begin()).await? {
            Ok(transaction) => transaction,
            Err(error) => return Ok(Err(error)),
        };
        self.pipe.fill(&*transaction, self.round, batch).await?;
        let began = Instant::now();
        let breaker = &self.breaker;
        if kill == 1 {
            // Before the commit has its time: a broker may take most of that to come up.
            breaker.kill().await?;
            breaker.restart().await?;
        }
        if kill == 2 {
            breaker.pause().await?;
        }
        let commit = tokio::time::timeout(2 * STEP, transaction.commit());
        if kill < 2 {
            let committed = commit.await?;
            self.commit = if kill == 0 { began.elapsed() } else { self.commit };
            return Ok(committed);
        }
        let restarted_at_once = self.chance.below(2) == 0;
        let moment = self.commit.mul_f64(self.chance.below(100) as f64 / 100.0);
        let crash = async {
            tokio::time::sleep(moment).await;
            breaker.kill().await?;
            if restarted_at_once { breaker.restart().await } else { Ok(()) }
        };
        let (committed, crashed) = tokio::join!(commit, crash);
        crashed?;
        if !restarted_at_once {
            // Nobody waits for the broker's answer any longer.
            breaker.restart().await?;
        }
        Ok(committed?)
    }

    /// Until both outputs of each input have come.
    async fn finish(&mut self, quiet: Duration) -> Result<(), Failure> {
        while self.seen.len() < 2 * INPUTS {
            tokio::select! {
                batch = self.members.receive(5) => self.pass(batch?, 0).await?,
                outputs = self.reader.receive(100) => self.read(outputs?).await?,
                () = tokio::time::sleep(quiet) => {
                    self.pipe.drained()?;
                    return failed(format!("{} of {} outputs have come, and nothing moves", self.seen.len(), 2 * INPUTS));
                }
            }
        }
        nothing_comes(&mut self.reader, UNSEEN).await?;
        nothing_comes(&mut self.members, UNSEEN).await
    }
}
