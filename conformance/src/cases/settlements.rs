//! What settling does to the message, to its siblings, and to what the broker gives out next.

use std::time::Duration;

use anybroker_core::{
    Acknowledgement, Consumer, Delivery, Exclusivity, Kept, Kind, Level as _, Scope, Settlement,
};

use super::flow::{self, next};
use super::steps::{self, ack, hold, id, numbered, open, open_as, publish, take};
use super::{CaseResult, Context, Failure, Finding, STEP, Stage, ensure, failed, step};
use crate::history::{Order, OrderScope};
use crate::properties::Property;

/// What a consumer of any number of partitions under test can have in hand, if each can have several.
const IN_HAND: usize = 32;

/// One settlement of a batch is void; the others count.
pub(super) async fn void_settlement_spares_its_siblings(context: Context) -> CaseResult {
    let stage = context.stage("siblings", 1).await?;
    if let Some(most) = stage.guarantees.limits.in_flight.filter(|most| *most < IN_HAND) {
        return Ok(Finding::NotPromised(format!("limits.in-flight = {most}: too few are in hand at once")));
    }
    if stage.guarantees.exclusivity.value == Exclusivity::Key {
        return Ok(Finding::NotPromised("exclusivity = key: one of a key may be all that is in hand".into()));
    }
    let mut consumer = open(&stage).await?;
    publish(&stage, numbered("m", 6, 3)).await?;
    let mut held = take(&mut consumer, 6).await?;
    held.sort_by_key(id);
    let nacked = held.remove(0);
    step("nack", async { Ok(nacked.nack(Duration::ZERO).await?) }).await?;
    // m3 has the key of m0, which comes first again.
    let settlements = held.into_iter().map(Settlement::ack).collect();
    let results = consumer.settler().settle(settlements).await;
    let kinds: Vec<_> = results.into_iter().map(|it| it.map_err(|e| e.error().kind()).err()).collect();
    let expected = [None, None, Some(Kind::Superseded), None, None];
    ensure(kinds == expected, || {
        format!("m1, m2, m3, m4, m5 were acknowledged after the nack of m0: {kinds:?}")
    })?;
    let again = steps::take_and_ack(&mut consumer, 2).await?;
    ensure(again == ["m0", "m3"], || format!("m0 and then m3 were to come again, and {again:?} came"))?;
    steps::nothing_comes(&mut consumer, Duration::from_millis(200)).await?;
    step("close", consumer.close()).await?;
    hold(&stage, &[Property::P3], "one void, four done").await
}

/// All but one of thirty are acknowledged; then the session ends. What comes again?
pub(super) async fn hole_in_the_acknowledgements(context: Context) -> CaseResult {
    const COUNT: usize = 30;
    const HOLE: usize = 10;
    let stage = context.stage("hole", 1).await?;
    if let Some(most) = stage.guarantees.limits.in_flight.filter(|most| *most < IN_HAND) {
        return Ok(Finding::NotPromised(format!(
            "limits.in-flight = {most}: nothing is given out behind a hole"
        )));
    }
    if let Some(lost) = stage.keeps_nothing() {
        return Ok(lost);
    }
    publish(&stage, numbered("m", COUNT, COUNT)).await?;
    let mut consumer = open(&stage).await?;
    let mut hole = None;
    let settler = consumer.settler();
    // One by one, where no more may be in hand; the one that is kept does not keep the others' lanes.
    let mut acknowledged = 0;
    while acknowledged < COUNT - 1 {
        // Joining takes what it takes; behind the hole it may be that nothing comes.
        let patience = if hole.is_none() { STEP } else { Duration::from_secs(3) };
        let wait = tokio::time::timeout(patience, consumer.receive(COUNT));
        let Ok(batch) = wait.await else { break };
        for delivery in batch? {
            if hole.is_none() && acknowledged == HOLE {
                hole = Some(delivery);
            } else {
                ack(delivery).await?;
                acknowledged += 1;
            }
        }
    }
    let Some(hole) = hole else { return failed("fewer than ten came") };
    let (kept, place) = (id(&hole), hole.position());
    let held = step("flush", settler.flush()).await?;
    step("close", consumer.close()).await?;
    drop(hole);
    let mut consumer = open(&stage).await?;
    let first = next(&mut consumer).await?;
    let mut again = vec![first];
    again.extend(steps::rest(&mut consumer, Duration::from_secs(1)).await?);
    let behind = |delivery: &Delivery| match (delivery.position(), place) {
        (Some(here), Some(hole)) => here.partition == hole.partition && here.offset > hole.offset,
        _ => true,
    };
    let untaken = COUNT - 1 - acknowledged;
    let more: Vec<_> = again.iter().filter(|delivery| id(delivery) != kept).collect();
    ensure(more.len() < again.len(), || format!("{kept} was not acknowledged, and did not come again"))?;
    let cumulative = stage.guarantees.acknowledgement.value == Acknowledgement::Cumulative;
    let excused = more.len() <= untaken || cumulative && more.iter().all(|delivery| behind(delivery));
    ensure(excused, || {
        let more: Vec<_> = more.iter().map(|delivery| id(delivery)).collect();
        format!("only {kept} was not acknowledged, and besides it came {more:?}")
    })?;
    let (more, waiting) = (more.len(), held.messages);
    for delivery in again {
        ack(delivery).await?;
    }
    step("close", consumer.close()).await?;
    let text = format!(
        "{acknowledged} acknowledged but one, {waiting} waiting behind it: it came again, and {more} besides"
    );
    hold(&stage, &[Property::P3, Property::P6], text).await
}

/// What is put back, or left behind by a session, comes again before what follows it in its key.
pub(super) async fn redelivery_keeps_its_place(context: Context) -> CaseResult {
    const COUNT: usize = 45;
    let kept = |guarantees: &anybroker_core::Guarantees, promises: crate::history::Promises| {
        // With one member a key's place is kept even where several would share its messages.
        let ordered = guarantees.ordering.value.satisfies(Scope::Key);
        let order = Some(Order { scope: OrderScope::Key }).filter(|_| !ordered);
        let p7r = order.filter(|_| guarantees.order_after_redelivery.value == Kept::Yes).or(promises.p7r);
        crate::history::Promises { p7r, ..promises }
    };
    let stage = context.stage_promising("place", 1, kept).await?;
    if stage.guarantees.order_after_redelivery.value == Kept::No {
        return Ok(Finding::NotPromised("order-after-redelivery = no".into()));
    }
    let keeps = stage.keeps_nothing().is_none();
    let mut consumer = open(&stage).await?;
    publish(&stage, numbered("m", COUNT, COUNT / 3)).await?;
    if keeps {
        let held = steps::rest(&mut consumer, Duration::from_millis(300)).await?;
        step("close", consumer.close()).await?;
        drop(held);
        consumer = open(&stage).await?;
    }
    put_back_each_once(&mut consumer, COUNT).await?;
    step("close", consumer.close()).await?;
    let exercised = [Property::P6, Property::P7, Property::P7r, Property::P12];
    hold(&stage, &exercised, "each put back once, and none overtaken in its key").await
}

/// Nacks what comes for the first time, with one of several delays, and acknowledges what comes again.
async fn put_back_each_once(consumer: &mut Box<dyn Consumer>, count: usize) -> Result<(), Failure> {
    let mut seen = std::collections::BTreeSet::new();
    let mut done = 0;
    while done < count {
        let delivery = next(consumer).await?;
        if seen.insert(id(&delivery)) {
            let delay = Duration::from_millis(60 * (seen.len() as u64 % 3));
            // Void if an earlier one of its key was put back after it had been received.
            let _ = delivery.nack(delay).await;
        } else {
            match delivery.ack().await {
                Err(error) if error.error().kind() == Kind::Superseded => {}
                settled => {
                    settled?;
                    done += 1;
                }
            }
        }
    }
    Ok(())
}

/// Members that put everything back and leave, again and again, lose nothing.
pub(super) async fn nacks_over_closing_members(context: Context) -> CaseResult {
    const COUNT: usize = 60;
    const NACKS: usize = 110;
    let stage = context.stage("nacks", 1).await?;
    if let Some(lost) = stage.keeps_nothing() {
        return Ok(lost);
    }
    publish(&stage, numbered("m", COUNT, COUNT)).await?;
    let mut nacks = 0;
    for _ in 0..3 {
        let mut consumer = open(&stage).await?;
        for _ in 0..NACKS {
            let delivery = next(&mut consumer).await?;
            step("nack", async { Ok(delivery.nack(Duration::ZERO).await?) }).await?;
            nacks += 1;
        }
        step("close", consumer.close()).await?;
    }
    let mut consumer = open(&stage).await?;
    let mut came = match steps::take_and_ack(&mut consumer, COUNT).await {
        Ok(came) => came,
        Err(nothing) => {
            // It waited longer than any time-out of a broker: what has not come is lost.
            flow::drained(&stage, &[])?;
            return Err(nothing);
        }
    };
    came.sort_unstable();
    came.dedup();
    ensure(came.len() == COUNT, || format!("{} of {COUNT} came after {nacks} nacks", came.len()))?;
    steps::nothing_comes(&mut consumer, Duration::from_millis(200)).await?;
    step("close", consumer.close()).await?;
    hold(&stage, &[Property::P3, Property::P6], format!("{nacks} nacks by three members that left")).await
}

/// How soon a partition is taken from a member that does not settle.
const DRAIN: Duration = Duration::from_millis(300);
/// How long a partition may take to its next owner.
const HANDED_OVER: Duration = Duration::from_secs(20);
/// How long it is waited for where it is not known whether there is more than one.
const PERHAPS: Duration = Duration::from_secs(8);

/// A member holds on to what it was given until its partition is another's; then its acknowledgement is refused, and it
/// is told.
pub(super) async fn acknowledgement_after_handover(context: Context) -> CaseResult {
    // What is held past the drain is given to another: the subscription asks for that.
    let apart = |promises| crate::history::Promises { p8: None, ..promises };
    let stage = context.stage_held_to("stale", 1, apart).await?;
    if let Some(lost) = stage.keeps_nothing() {
        return Ok(lost);
    }
    let exclusivity = stage.guarantees.exclusivity.value;
    if matches!(exclusivity, Exclusivity::None | Exclusivity::Key) {
        let text = format!("exclusivity = {exclusivity}: it has no partitions that change hands");
        return Ok(Finding::NotPromised(text));
    }
    let partitions = partitions(&stage).await?;
    let one_stays =
        || Finding::NotApplicable("one partition stays with its member for as long as that lives".into());
    if partitions.is_some_and(|count| count < 2) {
        return Ok(one_stays());
    }
    publish(&stage, numbered("m", 48, 24)).await?;
    let mut slow = open_as(&stage, stage.subscription(0).drain(DRAIN)).await?;
    let mut held = step("receive", slow.receive(100)).await?;
    held.extend(steps::rest(&mut slow, Duration::from_secs(1)).await?);
    let mut other = open_as(&stage, stage.subscription(0).drain(DRAIN)).await?;
    let patience = if partitions.is_some() { HANDED_OVER } else { PERHAPS };
    let taken = match tokio::time::timeout(patience, taken_over(&mut slow, &mut other, &mut held)).await {
        Ok(taken) => taken?,
        Err(_) if partitions.is_none() => return Ok(one_stays()),
        Err(_) => return failed(format!("no partition changed hands within {HANDED_OVER:?}")),
    };
    let mut refused = 0;
    let settler = slow.settler();
    for delivery in held {
        let id = id(&delivery);
        let stale = id == taken;
        match delivery.ack().await.map_err(|e| e.error().kind()) {
            Ok(_) if stale => {
                return failed(format!("{id} is another's, and its acknowledgement was accepted"));
            }
            Ok(_) => {}
            Err(Kind::Fenced | Kind::Superseded | Kind::LeaseExpired | Kind::Closed) => refused += 1,
            Err(other) => return failed(format!("the acknowledgement of {id} gave {other:?}")),
        }
    }
    step("flush", settler.flush()).await?;
    step("close", slow.close()).await?;
    let mut left = steps::rest(&mut other, Duration::from_secs(2)).await?;
    while !left.is_empty() {
        for delivery in left {
            ack(delivery).await?;
        }
        left = steps::rest(&mut other, Duration::from_secs(1)).await?;
    }
    step("close", other.close()).await?;
    hold(&stage, &[Property::P3, Property::P6], format!("{refused} stale acknowledgements, all told")).await
}

async fn partitions(stage: &Stage) -> Result<Option<u32>, Failure> {
    let topics = step("list", async { Ok(stage.broker.admin().topics().await) }).await?;
    let own = topics.ok().and_then(|all| all.into_iter().find(|info| info.topic == stage.topic.as_str()));
    Ok(own.and_then(|info| info.partitions))
}

/// Waits until the other member is given something that the first one holds; says what.
async fn taken_over(
    slow: &mut Box<dyn Consumer>,
    other: &mut Box<dyn Consumer>,
    held: &mut Vec<Delivery>,
) -> Result<String, Failure> {
    loop {
        let batch = tokio::select! {
            // It goes on receiving, so that it takes part in the handing over.
            more = slow.receive(1) => {
                held.extend(more?);
                continue;
            }
            batch = other.receive(1) => batch?,
        };
        for delivery in batch {
            let id = id(&delivery);
            ack(delivery).await?;
            if held.iter().any(|held| steps::id(held) == id) {
                return Ok(id);
            }
        }
    }
}
