//! How long a delivery may be held, and what becomes of it when that is over.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use anybroker_core::{Delivery, Kind, Lease, Level as _, Message, PublisherExt as _};
use tokio::time::Instant;

use super::flow::{self, Progress, next};
use super::{CaseResult, Context, Failure, Finding, Stage, ensure, failed, step};
use crate::history::Promises;
use crate::properties::Property;

const MESSAGES: usize = 40;

async fn publish(stage: &Stage) -> Result<(), Failure> {
    let publisher = stage.publisher().await?;
    let message = |at| Message::new(format!("{at}")).with_id(format!("m{at}")).with_key(format!("k{at}"));
    let messages = (0..MESSAGES).map(message).collect();
    for outcome in step("publish", async { Ok(publisher.publish_batch(messages).await) }).await? {
        outcome?;
    }
    step("close", publisher.close()).await
}

/// Longer than any lease that a client extends under test, or than a member may be silent.
fn held(lease: Lease) -> Duration {
    Duration::from_secs(if lease == Lease::Extendable { 18 } else { 8 })
}

/// A handler takes longer than a delivery may be held at once.
pub(super) async fn lease_is_extended(context: Context) -> CaseResult {
    let stage = context.stage("long-handler", 1).await?;
    let lease = stage.guarantees.lease.value;
    if !lease.satisfies(Lease::Extendable) {
        return Ok(Finding::NotPromised(format!("lease = {lease}")));
    }
    if let Some(limit) = stage.guarantees.limits.lease.filter(|limit| *limit < held(lease)) {
        return Ok(Finding::NotPromised(format!("limits.lease = {limit:?}: it is extended no further")));
    }
    let mut consumer = step("open", stage.recorded.consumer(stage.subscription(0))).await?;
    publish(&stage).await?;
    let until = Instant::now() + held(lease);
    let mut hand = Vec::new();
    while let Ok(batch) = tokio::time::timeout_at(until, consumer.receive(MESSAGES)).await {
        hand.extend(batch?);
    }
    let (count, mut ids) = (hand.len(), HashMap::<String, usize>::new());
    hand.iter().for_each(|delivery| *ids.entry(id(delivery)).or_default() += 1);
    ensure(count > 0 && ids.len() == count, || format!("while {count} were held, some came again: {ids:?}"))?;
    for delivery in hand {
        step("acknowledge after all", async { Ok(delivery.ack().await?) }).await?;
    }
    // What there was no room for.
    for _ in count..MESSAGES {
        let delivery = next(&mut consumer).await?;
        ensure(!ids.contains_key(&id(&delivery)), || format!("{} came again", id(&delivery)))?;
        step("acknowledge", async { Ok(delivery.ack().await?) }).await?;
    }
    step("close", consumer.close()).await?;
    let kept = stage.keeps_nothing().is_none();
    let found = flow::judge(&stage, &Progress::default(), if kept { &[Property::P3] } else { &[] })?;
    stage.tidy().await?;
    Ok(found.and(format!("{count} held for {:?}, then acknowledged", held(lease))))
}

fn id(delivery: &Delivery) -> String {
    delivery.id().map(|id| id.to_string()).unwrap_or_default()
}

/// How long a member that keeps what it holds is waited for.
const DRAIN: Duration = Duration::from_millis(200);
/// How long a share takes to move.
const MOVED: Duration = Duration::from_secs(8);

/// A member that joins gets what another one holds and does not let go of in time. What that one says of it afterwards is refused,
/// or changes nothing: the new owner puts it back, and has it again.
pub(super) async fn stale_acknowledgement(context: Context) -> CaseResult {
    // Until the drain deadline is over, the promise says; here it is.
    let stage = context.stage_held_to("stale", 1, |promises| Promises { p8: None, ..promises }).await?;
    if let Some(lost) = stage.keeps_nothing() {
        return Ok(lost);
    }
    publish(&stage).await?;
    let subscription = stage.subscription(0).drain(DRAIN);
    let mut holder = step("open", stage.recorded.consumer(subscription)).await?;
    let mut hand = HashMap::new();
    let mut named = |batch: Vec<Delivery>| {
        hand.extend(batch.into_iter().map(|delivery| (id(&delivery), delivery)));
    };
    named(step("receive", holder.receive(MESSAGES)).await?);
    while let Ok(batch) = tokio::time::timeout(Duration::from_secs(1), holder.receive(MESSAGES)).await {
        named(batch?);
    }
    let mut holder = Some(holder);
    let mut heir = step("open", stage.recorded.consumer(stage.subscription(0))).await?;
    let moved = tokio::time::timeout(MOVED, heir.receive(1)).await;
    let how = if moved.is_ok() { "a share moved" } else { "the first member ended" };
    let mut taken = match moved {
        Ok(batch) => batch?,
        Err(_) => {
            drop(holder.take());
            vec![next(&mut heir).await?]
        }
    };
    let (mut refused, mut harmless) = (0, 0);
    // Whatever comes to the new owner first, it puts back once.
    let (mut again, mut done) = (HashSet::new(), HashSet::new());
    loop {
        for delivery in std::mem::take(&mut taken) {
            let id = id(&delivery);
            if !again.insert(id.clone()) {
                step("acknowledge", async { Ok(delivery.ack().await?) }).await?;
                done.insert(id);
                continue;
            }
            if let Some(stale) = hand.remove(&id) {
                match stale.ack().await.map_err(|refused| refused.error().kind()) {
                    Ok(_) => harmless += 1,
                    Err(Kind::Fenced | Kind::Superseded | Kind::LeaseExpired | Kind::Closed) => refused += 1,
                    Err(kind) => return failed(format!("a stale acknowledgement gave {kind:?}")),
                }
            }
            step("nack", async { Ok(delivery.nack(Duration::ZERO).await?) }).await?;
        }
        if done.len() < again.len() {
            taken = step("receive what was put back", heir.receive(MESSAGES)).await?;
        } else if holder.is_none() && done.len() < MESSAGES {
            // All of it moves, share by share, as the leases of the one that ended run out.
            taken = step("receive what the first member left", heir.receive(MESSAGES)).await?;
        } else if let Ok(batch) = tokio::time::timeout(Duration::from_secs(1), heir.receive(MESSAGES)).await {
            taken = batch?;
        } else {
            break;
        }
    }
    ensure(refused + harmless > 0, || "nothing that was held came to the new owner".to_owned())?;
    for (id, kept) in hand {
        step("acknowledge what was kept", async { Ok(kept.ack().await?) }).await?;
        done.insert(id);
    }
    if let Some(holder) = holder {
        step("close", holder.close()).await?;
    }
    while done.len() < MESSAGES {
        let delivery = next(&mut heir).await?;
        done.insert(id(&delivery));
        step("acknowledge", async { Ok(delivery.ack().await?) }).await?;
    }
    step("close", heir.close()).await?;
    let found = flow::judge(&stage, &Progress::default(), &[Property::P3, Property::P6])?;
    stage.tidy().await?;
    Ok(found.and(format!("{how}: {refused} stale acknowledgements refused, {harmless} harmless")))
}
