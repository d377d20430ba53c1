//! A stream of messages that lasts while something is done to it: when it is done, and how it shows that everything moves
//! again afterwards.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use anybroker_core::{Broker, Message, PublisherExt as _, Result};
use tokio::sync::watch;
use tokio::time::Instant;

use super::flow::{self, Chance, Load, Manners, Member, Progress, Work};
use super::{Failure, STEP, Stage, failed};
use crate::properties::Property;
use crate::proxy::Proxy;
use crate::recorder::SENTINEL;
use crate::run::IN_FLIGHT;

/// Publishers that go on until they are told to stop, as many messages as the group can keep up with.
pub(super) fn load(stage: &Stage) -> Load {
    if stage.one_at_a_time() { Load { pause: 4 * LOAD.pause, ..LOAD } } else { LOAD }
}

/// The same, for a group whose members take their time.
pub(super) const LOAD: Load =
    Load { publishers: 3, messages: 20_000, keys: KEYS, batch: 16, pause: Duration::from_millis(50) };

const KEYS: usize = 40;

/// Members that fail at times, and take their time, so that something is always in hand: but where they have one message
/// of a partition at a time.
pub(super) fn work(stage: &Stage) -> Work {
    if stage.one_at_a_time() { Work { at_most: Duration::ZERO, ..WORK } } else { WORK }
}

pub(super) const WORK: Work =
    Work { manners: Manners { nack: 3, release: 2, prefetch: 50 }, at_most: Duration::from_millis(10) };

/// What a stream that was disturbed must have exercised.
pub(super) const EXERCISED: [Property; 3] = [Property::P3, Property::P6, Property::P7];

/// Publishes for as long as `work` takes.
pub(super) async fn publish_while<T>(
    stage: &Stage,
    seed: u64,
    progress: &Arc<Progress>,
    work: impl Future<Output = std::result::Result<T, Failure>>,
) -> std::result::Result<T, Failure> {
    let stop = watch::Sender::new(false);
    let work = async {
        let done = work.await;
        stop.send_replace(true);
        done
    };
    let publish = async { Ok(flow::publish_until(stage, load(stage), seed, progress, &stop).await?) };
    let (done, ()) = tokio::try_join!(work, publish)?;
    Ok(done)
}

/// Two members of the first group.
pub(super) async fn two_members(
    recorded: &Broker,
    stage: &Stage,
    seed: u64,
    progress: &Arc<Progress>,
) -> Result<[Member; 2]> {
    Ok([
        Member::join_by(recorded, stage, 0, work(stage), seed, progress).await?,
        Member::join_by(recorded, stage, 0, work(stage), seed + 1, progress).await?,
    ])
}

/// The moments at which something is done, as chance has it.
pub(super) struct Moments<'a> {
    pub(super) stage: &'a Stage,
    pub(super) progress: &'a Progress,
    pub(super) chance: Chance,
}

impl Moments<'_> {
    /// Waits for the next moment of a stream, and records what is done then: now it is to be done.
    pub(super) async fn strike(&mut self, kind: &str, target: &str) -> std::result::Result<(), Failure> {
        self.pass().await?;
        in_flight(self.stage, kind, target).await
    }

    /// Waits for the next moment of a stream at which a connection leads through the proxy, and cuts all that do; says
    /// how many.
    pub(super) async fn cut(&mut self, proxy: &Proxy, target: &str) -> std::result::Result<usize, Failure> {
        self.pass().await?;
        cut(self.stage, proxy, target).await
    }

    /// Waits until some more messages are confirmed.
    pub(super) async fn pass(&mut self) -> std::result::Result<(), Failure> {
        let more = 60 + self.chance.below(240) as usize;
        self.progress.reaches(self.progress.confirmed_count() + more).await
    }
}

/// Waits until a connection leads through the proxy: clients that lost theirs may still handle what came before.
pub(super) async fn connected(proxy: &Proxy) -> std::result::Result<(), Failure> {
    match tokio::time::timeout(STEP, proxy.connected()).await {
        Ok(()) => Ok(()),
        Err(_) => failed("messages flow, and no connection leads through the proxy".to_owned()),
    }
}

/// Cuts what leads through the proxy as soon as enough is in flight; says how many, never none.
pub(super) async fn cut(stage: &Stage, proxy: &Proxy, target: &str) -> std::result::Result<usize, Failure> {
    loop {
        connected(proxy).await?;
        in_flight(stage, "cut", target).await?;
        let open = proxy.cut();
        if open > 0 {
            return Ok(open);
        }
    }
}

/// Records what is done as soon as enough is in flight.
pub(super) async fn in_flight(stage: &Stage, kind: &str, target: &str) -> std::result::Result<(), Failure> {
    let recorded = stage.recorder.fault_in_flight(kind, target, IN_FLIGHT as usize);
    match tokio::time::timeout(STEP, recorded).await {
        Ok(()) => Ok(()),
        Err(_) => failed(format!("{kind}: {} in flight, and never {IN_FLIGHT}", stage.recorder.in_flight())),
    }
}

/// Records what is done as soon as enough is in flight, or after a while whatever is.
pub(super) async fn soon_in_flight(stage: &Stage, kind: &str, target: &str) {
    let recorded = stage.recorder.fault_in_flight(kind, target, IN_FLIGHT as usize);
    if tokio::time::timeout(SOON, recorded).await.is_err() {
        stage.recorder.fault(kind, target);
    }
}

/// How long members may take to get something in hand.
const SOON: Duration = Duration::from_secs(2);

/// Opens something over a connection that may not have heard yet that it was cut: again, as a service would, after every
/// failure that may pass.
pub(super) async fn opened<T, F: Future<Output = Result<T>>>(open: impl Fn() -> F) -> Result<T> {
    let deadline = Instant::now() + STEP;
    loop {
        match open().await {
            Err(error) if error.is_retryable() && Instant::now() < deadline => {
                tokio::time::sleep(AGAIN).await;
            }
            opened => return opened,
        }
    }
}

/// How long to wait before something is tried again over a connection that is on its way back.
const AGAIN: Duration = Duration::from_millis(200);

/// Records that nothing is broken any more, and publishes one message of every key, by which it shows that everything
/// moves again. A publish that fails is done again under another id.
pub(super) async fn heal(stage: &Stage, progress: &Progress) -> std::result::Result<(), Failure> {
    stage.recorder.fault("heal", "everything");
    let publisher = opened(|| stage.publisher()).await?;
    let deadline = Instant::now() + STEP;
    let mut missing: HashSet<usize> = (0..KEYS).collect();
    for round in 0.. {
        let message = |at: &usize| {
            let key = format!("key-{at}");
            Message::new(format!("{round}")).with_id(format!("{SENTINEL}{round}-{at}")).with_key(key)
        };
        let keys: Vec<_> = missing.iter().copied().collect();
        let outcomes = publisher.publish_batch(keys.iter().map(message).collect()).await;
        for (at, outcome) in keys.into_iter().zip(outcomes) {
            match outcome {
                Ok(_) => {
                    progress.confirmed(format!("{SENTINEL}{round}-{at}"));
                    missing.remove(&at);
                }
                Err(error) if Instant::now() > deadline => {
                    return failed(format!("after the last fault nothing can be published: {error}"));
                }
                Err(error) => error.message().key.iter().for_each(|key| publisher.resume(key)),
            }
        }
        if missing.is_empty() {
            break;
        }
        tokio::time::sleep(AGAIN).await;
    }
    Ok(publisher.close().await?)
}
