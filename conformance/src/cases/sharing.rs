//! Many members of one group.

use std::sync::Arc;
use std::time::Duration;

use anybroker_core::{Consumer, Exclusivity, Settlement};
use futures::future::try_join_all;
use tokio::sync::watch;

use super::flow::{self, Chance, Load, Manners, Member, Progress};
use super::steps::{hold, numbered, open, publish};
use super::{CaseResult, Context, Failure, Finding, step};
use crate::properties::Property;

const MEMBERS: u64 = 12;
const POLITE: Manners = Manners { nack: 0, release: 0, prefetch: 100 };

/// Many members, more than there are partitions, get everything between them, and nothing twice without a cause.
pub(super) async fn many_members_share(context: Context) -> CaseResult {
    let stage = context.stage("many", 1).await?;
    let progress = Arc::new(Progress::default());
    let join = |number| Member::join(&stage, 0, POLITE, context.seed.wrapping_add(number), &progress);
    let members = step("join", try_join_all((0..MEMBERS).map(join))).await?;
    let load = Load { publishers: 2, messages: 600, keys: 100, batch: 25, pause: Duration::ZERO };
    flow::publish(&stage, load, context.seed, &progress).await?;
    let found =
        flow::conclude(&stage, context.quiet, members, &progress, &[Property::P1, Property::P3]).await?;
    Ok(found.and(format!("{MEMBERS} members")))
}

/// While members come and go, and hold what they got for a while, nobody else is given anything that is exclusive to
/// its holder.
pub(super) async fn held_deliveries_keep_others_out(context: Context) -> CaseResult {
    const COUNT: usize = 240;
    let stage = context.stage("held", 1).await?;
    let exclusivity = stage.guarantees.exclusivity.value;
    if matches!(exclusivity, Exclusivity::None | Exclusivity::Fenced) {
        return Ok(Finding::NotPromised(format!("exclusivity = {exclusivity}")));
    }
    publish(&stage, numbered("m", COUNT, 12)).await?;
    let (done, finished) = watch::channel(0);
    let done = Arc::new(done);
    let member = async |from: usize, until: usize, seed: u64| {
        finished.clone().wait_for(|done| *done >= from).await?;
        let consumer = open(&stage).await?;
        hold_and_settle(consumer, (until, seed), &done).await
    };
    let seed = context.seed;
    let all = async {
        tokio::try_join!(
            member(0, COUNT / 2, seed),
            member(COUNT / 6, COUNT, seed + 1),
            member(COUNT / 3, COUNT, seed + 2)
        )
    };
    tokio::time::timeout(super::STEP, all)
        .await
        .map_err(|_| format!("{} of {COUNT} were settled within {:?}", *finished.borrow(), super::STEP))??;
    hold(&stage, &[Property::P3, Property::P8], format!("three members, exclusivity = {exclusivity}")).await
}

/// Holds each batch for a moment, until so many have been settled by all members.
async fn hold_and_settle(
    mut consumer: Box<dyn Consumer>,
    (until, seed): (usize, u64),
    done: &watch::Sender<usize>,
) -> Result<(), Failure> {
    let (mut chance, mut finished) = (Chance::new(seed), done.subscribe());
    let settler = consumer.settler();
    loop {
        let batch = tokio::select! {
            finished = finished.wait_for(|done| *done >= until) => {
                finished?;
                break;
            }
            batch = consumer.receive(1 + chance.below(5) as usize) => batch?,
        };
        tokio::time::sleep(Duration::from_millis(chance.below(20))).await;
        let results = settler.settle(batch.into_iter().map(Settlement::ack).collect()).await;
        let settled = results.iter().filter(|result| result.is_ok()).count();
        done.send_modify(|done| *done += settled);
    }
    step("close", consumer.close()).await
}
