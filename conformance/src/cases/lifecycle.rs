//! Closing, dropping, using what is closed, refusing what is not given.

use anybroker_core::{Kind, Level, Message, PublisherExt as _, PublisherOptions, Requirements};

use super::flow::{self, next};
use super::{CaseResult, Context, Finding, Stage, ensure, failed, step};

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn publish_ten(stage: &Stage) -> Result<(), Failure> {
    let publisher = stage.publisher().await?;
    let messages = (0..10).map(|at| Message::new(format!("{at}")).with_id(format!("m{at}")).with_key("a"));
    for outcome in publisher.publish_batch(messages.collect()).await {
        outcome?;
    }
    step("close", publisher.close()).await
}

/// Takes the ten of one key from a new member, and says in which order they came.
async fn rest(stage: &Stage, count: usize) -> Result<Vec<String>, Failure> {
    let mut consumer = step("open", stage.recorded.consumer(stage.subscription(0))).await?;
    let mut ids = Vec::new();
    while ids.len() < count {
        let delivery = match next(&mut consumer).await {
            Ok(delivery) => delivery,
            Err(nothing) => {
                // It waited longer than any time-out of a broker: what has not come is lost.
                flow::drained(stage, &[])?;
                return Err(nothing);
            }
        };
        ids.push(delivery.id().map(|id| id.to_string()).unwrap_or_default());
        step("acknowledge", async { Ok(delivery.ack().await?) }).await?;
    }
    step("close", consumer.close()).await?;
    Ok(ids)
}

fn expected(from: usize) -> Vec<String> {
    (from..10).map(|at| format!("m{at}")).collect()
}

pub(super) async fn close_hands_back(context: Context) -> CaseResult {
    let stage = context.stage("close", 1).await?;
    if let Some(lost) = stage.keeps_nothing() {
        return Ok(lost);
    }
    publish_ten(&stage).await?;
    let mut consumer = step("open", stage.recorded.consumer(stage.subscription(0))).await?;
    for _ in 0..3 {
        let delivery = next(&mut consumer).await?;
        step("acknowledge", async { Ok(delivery.ack().await?) }).await?;
    }
    let held = next(&mut consumer).await?;
    step("close", consumer.close()).await?;
    let late = held.ack().await.map_err(|e| e.error().kind());
    ensure(matches!(late, Err(Kind::Closed | Kind::Fenced)), || {
        format!("settling after close gave {late:?}")
    })?;
    let came = rest(&stage, 7).await?;
    ensure(came == expected(3), || {
        format!("three were acknowledged before the close; after it came {came:?}")
    })?;
    stage.tidy().await?;
    Ok(Finding::Holds("acknowledged ones stayed away, the others came again in order".into()))
}

pub(super) async fn drop_hands_back(context: Context) -> CaseResult {
    let stage = context.stage("drop", 1).await?;
    if let Some(lost) = stage.keeps_nothing() {
        return Ok(lost);
    }
    publish_ten(&stage).await?;
    let mut consumer = step("open", stage.recorded.consumer(stage.subscription(0))).await?;
    let held = next(&mut consumer).await?;
    drop(consumer);
    drop(held);
    let came = rest(&stage, 10).await?;
    ensure(came == expected(0), || format!("nothing was acknowledged; after the drop came {came:?}"))?;
    stage.tidy().await?;
    Ok(Finding::Holds("everything came again in order".into()))
}

pub(super) async fn use_after_close(context: Context) -> CaseResult {
    let stage = context.stage("closed", 1).await?;
    let publisher = stage.publisher().await?;
    step("close", publisher.close()).await?;
    step("close twice", publisher.close()).await?;
    match step("publish", async { Ok(publisher.publish(Message::new("late")).await) }).await? {
        Err(refused) if refused.error().kind() == Kind::Closed && refused.message().payload == "late" => {}
        other => return failed(format!("publishing after close gave {other:?}")),
    }
    let broker = context.broker().await?;
    step("close the broker", broker.close()).await?;
    stage.tidy().await?;
    Ok(Finding::Holds("typed errors that hand the message back".into()))
}

/// Asks for one value more than the backend gives in each of some rows, and for all that it gives.
pub(super) async fn requirements_are_checked(context: Context) -> CaseResult {
    let stage = context.stage("requirements", 1).await?;
    let given = &stage.guarantees;
    let met = Requirements::new().ordering(given.ordering.value).delivery(given.delivery.value);
    let options = PublisherOptions::new(stage.topic.clone());
    let publisher = step("open", stage.broker.publisher(options.clone().require(met.clone()))).await?;
    step("close", publisher.close()).await?;
    let consumer = step("open", stage.broker.consumer(stage.subscription(0).require(met))).await?;
    step("close", consumer.close()).await?;

    let above = |current, all: &[anybroker_core::Durability]| all.iter().copied().find(|v| *v > current);
    let Some(more) = above(given.durability_on_confirm.value, anybroker_core::Durability::ALL) else {
        return Ok(Finding::Holds("nothing is stronger than what it gives".into()));
    };
    let unmet = Requirements::new().durability_on_confirm(more);
    let refusals = [
        stage.broker.publisher(options.require(unmet.clone())).await.err(),
        stage.broker.consumer(stage.subscription(0).require(unmet)).await.err(),
    ];
    for refusal in refusals {
        let Some(error) = refusal else {
            return failed(format!("{more} was required, not given, and not refused"));
        };
        let text = error.to_string();
        let helps =
            error.kind() == Kind::Unmet && text.contains("durability-on-confirm") && text.contains("satisfy");
        ensure(helps, || format!("the refusal says: {text}"))?;
    }
    stage.tidy().await?;
    Ok(Finding::Holds(format!("what is given is accepted, {more} is refused with the table")))
}
