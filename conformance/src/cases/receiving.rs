//! Receiving: an empty topic, a call that is given up, a quiet second, the window of what is held.

use std::collections::BTreeMap;
use std::time::Duration;

use anybroker_core::Settlement;

use super::flow::{Chance, next};
use super::steps::{self, ack, hold, id, numbered, open, open_as, publish, take_and_ack};
use super::{CaseResult, Context, Failure, ensure, step};
use crate::plan;
use crate::properties::Property;

/// Receiving from an empty topic can be given up at any time, takes nothing, and still gets what comes later.
pub(super) async fn empty_receive_can_be_given_up(context: Context) -> CaseResult {
    let stage = context.stage("empty", 1).await?;
    let mut consumer = open(&stage).await?;
    steps::nothing_comes(&mut consumer, Duration::from_millis(300)).await?;
    publish(&stage, numbered("m", 3, 1)).await?;
    let came = take_and_ack(&mut consumer, 3).await?;
    ensure(came == ["m0", "m1", "m2"], || format!("after an empty receive came {came:?}"))?;
    steps::nothing_comes(&mut consumer, Duration::from_millis(100)).await?;
    step("close", consumer.close()).await?;
    hold(&stage, &[Property::P1], "nothing for 300 ms, then the three that came").await
}

/// Calls that are given up in the middle of a stream neither lose a message nor settle it.
pub(super) async fn cancelled_receive_takes_nothing(context: Context) -> CaseResult {
    const COUNT: usize = 300;
    let stage = context.stage_promising("cancelled", 1, plan::at_most_once).await?;
    let mut consumer = open(&stage).await?;
    let settler = consumer.settler();
    let publishing = async {
        for part in 0..COUNT / 10 {
            publish(&stage, numbered(&format!("m{part}-"), 10, 5)).await?;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok::<_, Failure>(())
    };
    let receiving = async {
        let (mut chance, mut came, mut given_up) = (Chance::new(context.seed), BTreeMap::new(), 0);
        while came.len() < COUNT {
            let patience = Duration::from_micros(chance.below(2_000));
            let receive = tokio::time::timeout(patience, consumer.receive(7));
            let Ok(batch) = receive.await else {
                given_up += 1;
                continue;
            };
            let batch = batch?;
            batch.iter().for_each(|delivery| *came.entry(id(delivery)).or_insert(0) += 1);
            for settled in settler.settle(batch.into_iter().map(Settlement::ack).collect()).await {
                settled?;
            }
        }
        Ok::<_, Failure>((came, given_up))
    };
    let both = async { tokio::try_join!(publishing, receiving) };
    let ((), (came, given_up)) = tokio::time::timeout(super::STEP, both).await.map_err(|_| {
        format!("fewer than {COUNT} came within {:?} to a consumer that gives up receiving", super::STEP)
    })??;
    let twice: Vec<_> = came.iter().filter(|(_, times)| **times > 1).collect();
    ensure(twice.is_empty(), || format!("came more than once: {twice:?}"))?;
    ensure(given_up > 0, || "no call was given up: the case shows nothing".to_owned())?;
    step("close", consumer.close()).await?;
    hold(&stage, &[Property::P1, Property::P3], format!("{COUNT} once each, {given_up} calls given up")).await
}

/// What was acknowledged does not come again: not within a quiet second, nor to the next member.
pub(super) async fn nothing_comes_twice(context: Context) -> CaseResult {
    const COUNT: usize = 100;
    let stage = context.stage_promising("once", 1, plan::at_most_once).await?;
    let mut consumer = open(&stage).await?;
    publish(&stage, numbered("m", COUNT, 10)).await?;
    let mut came = take_and_ack(&mut consumer, COUNT).await?;
    came.sort_unstable();
    came.dedup();
    ensure(came.len() == COUNT, || format!("{COUNT} deliveries, of {} messages", came.len()))?;
    steps::nothing_comes(&mut consumer, Duration::from_secs(1)).await?;
    step("close", consumer.close()).await?;
    let mut next = open(&stage).await?;
    steps::nothing_comes(&mut next, Duration::from_millis(500)).await?;
    step("close", next.close()).await?;
    hold(&stage, &[Property::P1, Property::P3, Property::P4, Property::P7], "once each, then silence").await
}

/// Until something is settled, a consumer gets no more than its window.
pub(super) async fn window_is_bounded(context: Context) -> CaseResult {
    const COUNT: usize = 40;
    const PREFETCH: usize = 8;
    let held_to = |guarantees: &_, promises| plan::window(guarantees, PREFETCH, promises);
    let stage = context.stage_promising("window", 1, held_to).await?;
    let mut consumer = open_as(&stage, stage.subscription(0).prefetch(PREFETCH)).await?;
    publish(&stage, numbered("m", COUNT, COUNT)).await?;
    let (mut done, mut most) = (0, 0);
    while done < COUNT {
        let mut held = vec![next(&mut consumer).await?];
        held.extend(steps::rest(&mut consumer, Duration::from_millis(150)).await?);
        most = most.max(held.len());
        done += held.len();
        for delivery in held {
            ack(delivery).await?;
        }
    }
    step("close", consumer.close()).await?;
    hold(&stage, &[Property::P13], format!("a prefetch of {PREFETCH}, at most {most} held")).await
}

/// A handler that is dropped while it works settles nothing: what it held comes again.
pub(super) async fn dropped_handler_settles_nothing(context: Context) -> CaseResult {
    let stage = context.stage("dropped", 1).await?;
    if let Some(lost) = stage.keeps_nothing() {
        return Ok(lost);
    }
    publish(&stage, numbered("m", 30, 30)).await?;
    let mut consumer = open(&stage).await?;
    let mut dropped = 0;
    let mut done = 0;
    while done < 30 {
        let delivery = next(&mut consumer).await?;
        if dropped < 15 && !delivery.redelivered() {
            dropped += 1;
            // The handler is given up while it holds the delivery.
            let work = async move {
                std::future::pending::<()>().await;
                drop(delivery);
            };
            let _ = tokio::time::timeout(Duration::from_millis(1), work).await;
        } else {
            ack(delivery).await?;
            done += 1;
        }
    }
    steps::nothing_comes(&mut consumer, Duration::from_millis(200)).await?;
    step("close", consumer.close()).await?;
    hold(&stage, &[Property::P3, Property::P6], format!("{dropped} handlers dropped, 30 done")).await
}
