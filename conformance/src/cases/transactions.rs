//! Transactions: what is read, published and acknowledged together, or not at all.

use std::time::Duration;

use anybroker_core::{
    Consumer, Delivery, Fate, Group, Kind, Level as _, Message, Settlement, Settler, Subscription, Topic,
    Topology, Transaction, TransactionOptions, TransactionalId, TransactionalPublisher, Transactions,
};

use super::flow::{self, Chance, next};
use super::steps::{id, nothing_comes, numbered, open, publish, take};
use super::{CaseResult, Context, Failure, Finding, Stage, ensure, failed, step};
use crate::history::{Drained, Event};
use crate::properties::Property;

/// For so long nothing may come of what was aborted.
const UNSEEN: Duration = Duration::from_secs(1);

/// More transactions than that are not needed for what one could do.
const ROUNDS: usize = 100;

/// For so long nothing may come of what is open.
const MOMENT: Duration = Duration::from_millis(50);

/// A topic that is read, and one that is written.
struct Pipe {
    stage: Stage,
    outputs: Topic,
    readers: Group,
}

impl Pipe {
    async fn lay(context: &Context, case: &str) -> Result<Result<Self, Finding>, Failure> {
        Self::lay_on(context.stage(case, 1).await?).await
    }

    async fn lay_on(stage: Stage) -> Result<Result<Self, Finding>, Failure> {
        if !stage.guarantees.transactions.value.satisfies(Transactions::ReadProcessWrite) {
            return Ok(Err(Finding::NotPromised("transactions = none".into())));
        }
        let (outputs, readers) = (Topic::new(format!("{}-out", stage.topic))?, Group::new("readers")?);
        super::declare(&stage.broker, &Topology::new(outputs.clone()).group(readers.clone())).await?;
        Ok(Ok(Pipe { stage, outputs, readers }))
    }

    async fn holder(&self) -> Result<Box<dyn TransactionalPublisher>, Failure> {
        self.holder_within(Duration::from_secs(30)).await
    }

    async fn holder_within(&self, timeout: Duration) -> Result<Box<dyn TransactionalPublisher>, Failure> {
        let id = TransactionalId::new(format!("{}-0", self.stage.topic))?;
        let options = TransactionOptions::new(id).timeout(timeout);
        step("open a transactional publisher", self.stage.recorded.transactional_publisher(options)).await
    }

    async fn reader(&self) -> Result<Box<dyn Consumer>, Failure> {
        let subscription = Subscription::new(self.outputs.clone(), self.readers.clone());
        step("open", self.stage.recorded.consumer(subscription)).await
    }

    /// Takes deliveries in, and publishes two messages for each.
    async fn fill(
        &self,
        transaction: &dyn Transaction,
        round: usize,
        batch: Vec<Delivery>,
    ) -> Result<(), Failure> {
        let output = |delivery: &Delivery| {
            let (id, key) = (id(delivery), delivery.to_key());
            outputs_of(delivery, round).map(|name| {
                let message = Message::new(id.clone()).with_id(name);
                Message { key: key.clone(), ..message }
            })
        };
        let outputs = batch.iter().flat_map(output).collect();
        step("publish", transaction.publish(&self.outputs, outputs)).await?;
        step("settle", transaction.settle(batch)).await
    }

    /// Takes so many inputs through transactions, however many it takes.
    async fn through(
        &self,
        holder: &mut Box<dyn TransactionalPublisher>,
        members: &mut Box<dyn Consumer>,
        count: usize,
        name: usize,
    ) -> Result<(), Failure> {
        let mut done = 0;
        for round in 0.. {
            ensure(round < ROUNDS, || format!("of {ROUNDS} transactions most were refused"))?;
            let batch = self.or_lost(step("receive", members.receive(count - done)).await)?;
            let taken = batch.len();
            let transaction = step("begin", holder.begin()).await?;
            self.fill(&*transaction, ROUNDS * name + round, batch).await?;
            done += if committed(transaction).await? { taken } else { 0 };
            if done == count {
                break;
            }
        }
        Ok(())
    }

    /// Takes so many of what was committed. If they do not come, the history shows what is missing.
    async fn read(&self, reader: &mut Box<dyn Consumer>, count: usize) -> Result<(), Failure> {
        let mut come = Vec::new();
        while come.len() < count {
            come.push(next(reader).await.inspect_err(|_| self.outputs_drained())?);
        }
        acknowledge(&*reader.settler(), come).await
    }

    fn outputs_drained(&self) {
        let (group, topic) = (self.readers.as_str().into(), self.outputs.as_str().into());
        self.stage.recorder.record(&Event::Drained(Drained { group, topic }));
    }

    /// Nothing has come for longer than any time-out of a broker: what is missing is lost.
    fn or_lost<T>(&self, come: Result<T, Failure>) -> Result<T, Failure> {
        match come {
            Ok(come) => Ok(come),
            Err(nothing) => {
                self.drained()?;
                Err(nothing)
            }
        }
    }

    fn drained(&self) -> Result<Vec<String>, Failure> {
        self.outputs_drained();
        flow::drained(&self.stage, &[Property::P15])
    }

    /// Everything that is to come has come, and been acknowledged.
    async fn hold(self, text: String) -> CaseResult {
        let evidence = self.drained()?.join(", ");
        self.stage.broker.admin().delete(&self.outputs).await?;
        self.stage.tidy().await?;
        Ok(Finding::Holds(format!("{text}, {evidence}")))
    }
}

/// Whether it was committed. Refused because the members of a group share out anew at that moment, it has changed nothing,
/// and its inputs come again.
async fn committed(transaction: Box<dyn Transaction + '_>) -> Result<bool, Failure> {
    match step("commit", async { Ok(transaction.commit().await) }).await? {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == Kind::Fenced && error.fate() == Fate::NotApplied => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The ids of what a transaction publishes for a delivery.
fn outputs_of(delivery: &Delivery, round: usize) -> [String; 2] {
    ["x", "y"].map(|name| format!("{name}-{}-{round}", id(delivery)))
}

async fn acknowledge(settler: &dyn Settler, batch: Vec<Delivery>) -> Result<(), Failure> {
    let settlements = batch.into_iter().map(Settlement::ack).collect();
    for settled in settler.settle(settlements).await {
        settled?;
    }
    Ok(())
}

/// Whether an end was refused as it had to be: certainly not applied.
fn refused(ended: anybroker_core::Result<()>, kinds: &[Kind]) -> Result<(), Failure> {
    match ended {
        Err(error) if kinds.contains(&error.kind()) && error.fate() == Fate::NotApplied => Ok(()),
        other => {
            failed(format!("the commit had to fail as one of {kinds:?}, not applied, and gave {other:?}"))
        }
    }
}

macro_rules! pipe {
    ($context:expr, $case:literal) => {
        match Pipe::lay(&$context, $case).await? {
            Ok(pipe) => pipe,
            Err(not_promised) => return Ok(not_promised),
        }
    };
}

mod killed;
mod unanswered;
mod workers;

pub(super) use killed::transactions_broker_killed;
pub(super) use unanswered::worker_commit_unanswered;
pub(super) use workers::{handle_exactly_once, worker_exactly_once};

/// Reads, publishes and acknowledges in many transactions, some of which are aborted or dropped, while a member reads what
/// comes of it.
pub(super) async fn transactions_are_atomic(context: Context) -> CaseResult {
    const INPUTS: usize = 200;
    let pipe = pipe!(context, "transactions");
    publish(&pipe.stage, numbered("i", INPUTS, 6)).await?;
    let (mut members, mut reader) = (open(&pipe.stage).await?, pipe.reader().await?);
    let (mut holder, mut chance) = (pipe.holder().await?, Chance::new(context.seed));
    let (mut done, mut aborted) = (0, 0);
    while done < INPUTS {
        let round = done + aborted;
        let most = 1 + chance.below(9) as usize;
        let batch = pipe.or_lost(step("receive", members.receive(most)).await)?;
        let transaction = step("begin", holder.begin()).await?;
        let count = batch.len();
        pipe.fill(&*transaction, round, batch).await?;
        nothing_comes(&mut reader, MOMENT).await?;
        match chance.below(5) {
            0 => step("abort", transaction.abort()).await?,
            1 => drop(transaction),
            _ if committed(transaction).await? => {
                pipe.read(&mut reader, 2 * count).await?;
                done += count;
                continue;
            }
            _ => {}
        }
        aborted += 1;
        ensure(aborted < INPUTS, || {
            format!("only {done} inputs are done, as most transactions are refused")
        })?;
    }
    step("close", holder.close()).await?;
    nothing_comes(&mut reader, UNSEEN).await?;
    nothing_comes(&mut members, UNSEEN).await?;
    ensure(aborted > 0, || "nothing was aborted: the case shows nothing".into())?;
    pipe.hold(format!("{done} inputs done, {aborted} transactions undone")).await
}

/// A second holder of the id begins while the first has a transaction open.
pub(super) async fn transactions_fence_zombies(context: Context) -> CaseResult {
    let pipe = pipe!(context, "transactions-fenced");
    publish(&pipe.stage, numbered("i", 4, 1)).await?;
    let (mut members, mut reader) = (open(&pipe.stage).await?, pipe.reader().await?);
    let mut zombie = pipe.holder().await?;
    let transaction = step("begin", zombie.begin()).await?;
    pipe.fill(&*transaction, 0, take(&mut members, 4).await?).await?;
    let mut holder = pipe.holder().await?;
    refused(transaction.commit().await, &[Kind::Fenced])?;
    let again = step("begin", zombie.begin()).await.is_err();
    ensure(again, || "a fenced holder could begin again".into())?;
    let batch = pipe.or_lost(take(&mut members, 4).await)?;
    let order: Vec<_> = batch.iter().map(id).collect();
    ensure(order == ["i0", "i1", "i2", "i3"], || format!("they came again as {order:?}"))?;
    drop(batch);
    pipe.through(&mut holder, &mut members, 4, 1).await?;
    pipe.read(&mut reader, 8).await?;
    nothing_comes(&mut reader, UNSEEN).await?;
    pipe.hold("the zombie's commit was refused".into()).await
}

/// A transaction takes longer than it may.
pub(super) async fn transactions_time_out(context: Context) -> CaseResult {
    const LIMIT: Duration = Duration::from_secs(2);
    let pipe = pipe!(context, "transactions-late");
    publish(&pipe.stage, numbered("i", 2, 1)).await?;
    let (mut members, mut reader) = (open(&pipe.stage).await?, pipe.reader().await?);
    let mut holder = pipe.holder_within(LIMIT).await?;
    let batch = take(&mut members, 2).await?;
    let transaction = step("begin", holder.begin()).await?;
    pipe.fill(&*transaction, 0, batch).await?;
    nothing_comes(&mut reader, 2 * LIMIT).await?;
    refused(transaction.commit().await, &[Kind::TimedOut, Kind::Fenced])?;
    let mut holder = pipe.holder().await?;
    pipe.through(&mut holder, &mut members, 2, 1).await?;
    pipe.read(&mut reader, 4).await?;
    nothing_comes(&mut reader, UNSEEN).await?;
    pipe.hold("what came too late was aborted".into()).await
}

/// Members come and go while a transaction is open.
pub(super) async fn transactions_over_rebalances(context: Context) -> CaseResult {
    let pipe = pipe!(context, "transactions-moved");
    publish(&pipe.stage, numbered("i", 30, 10)).await?;
    let (mut first, mut reader) = (open(&pipe.stage).await?, pipe.reader().await?);
    let mut holder = pipe.holder().await?;
    for round in 0.. {
        ensure(round < ROUNDS, || "no transaction outlives a member that joins".into())?;
        let batch = pipe.or_lost(take(&mut first, 30).await)?;
        let transaction = step("begin", holder.begin()).await?;
        pipe.fill(&*transaction, round, batch).await?;
        // It gets nothing of what the transaction has in hand.
        let second = open(&pipe.stage).await?;
        let committed = committed(transaction).await?;
        step("close", second.close()).await?;
        if committed {
            break;
        }
    }
    pipe.read(&mut reader, 60).await?;
    publish(&pipe.stage, numbered("j", 30, 10)).await?;
    let transaction = step("begin", holder.begin()).await?;
    pipe.fill(&*transaction, 1, pipe.or_lost(take(&mut first, 30).await)?).await?;
    drop(first);
    refused(transaction.commit().await, &[Kind::Fenced, Kind::Closed])?;
    let mut third = open(&pipe.stage).await?;
    pipe.through(&mut holder, &mut third, 30, 2).await?;
    pipe.read(&mut reader, 60).await?;
    nothing_comes(&mut reader, UNSEEN).await?;
    nothing_comes(&mut third, UNSEEN).await?;
    pipe.hold("a member joined and one died in the middle of a transaction".into()).await
}

/// Where there are none, the call says so and what to use instead.
pub(super) async fn transactions_are_refused(context: Context) -> CaseResult {
    let stage = context.stage("transactions-none", 1).await?;
    if stage.guarantees.transactions.value.satisfies(Transactions::ReadProcessWrite) {
        stage.tidy().await?;
        return Ok(Finding::NotApplicable("there are transactions".into()));
    }
    let options = TransactionOptions::new(TransactionalId::new("none-0")?);
    let Err(error) = stage.broker.transactional_publisher(options).await else {
        return failed("it promises no transactions, and opened a transactional publisher");
    };
    let helps = error.kind() == Kind::Unsupported && error.to_string().contains("outbox");
    ensure(helps, || format!("the refusal says: {error}"))?;
    stage.tidy().await?;
    Ok(Finding::Holds("refused, with what to use instead".into()))
}
