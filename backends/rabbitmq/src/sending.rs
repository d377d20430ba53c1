//! The task behind a publisher: one channel after another, each until it breaks.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use anybroker_core::kit::{Pending, within};
use anybroker_core::{Error, Fate, Kind, Result, Topic};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use lapin::Channel;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::connect::{Link, Live};
use crate::error::typed;
use crate::outcomes::{Answered, Outcomes};
use crate::publisher::refuse;
use crate::record::{header_bytes, properties};
use crate::slots::slot;

/// Messages in call order.
pub(crate) type Batch = Vec<Pending>;
/// Looks at the topic and the requirements again on a new connection.
pub(crate) type Verify = Box<dyn Fn(Live) -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// Publishes what comes, until nobody can send any more.
pub(crate) async fn run(
    link: Arc<Link>,
    topic: Topic,
    mut batches: mpsc::UnboundedReceiver<Batch>,
    abandon: Arc<Notify>,
    patience: Duration,
    verify: Verify,
) {
    let mut waiting: VecDeque<Pending> = VecDeque::new();
    let mut verified = None;
    loop {
        if waiting.is_empty() {
            let Some(batch) = batches.recv().await else { return };
            waiting.extend(batch);
        }
        match open(&link, patience, &verify, &mut verified).await {
            Ok((live, channel)) => {
                let lane = Lane { link: &link, live, channel, topic: &topic, abandon: &abandon, patience };
                lane.publish(&mut waiting, &mut batches).await;
            }
            Err(error) => {
                refuse(waiting.drain(..), &error);
                while let Ok(batch) = batches.try_recv() {
                    refuse(batch, &error);
                }
            }
        }
    }
}

async fn open(
    link: &Link,
    patience: Duration,
    verify: &Verify,
    verified: &mut Option<u64>,
) -> Result<(Live, Channel)> {
    let started = Instant::now();
    loop {
        let live = link.live(patience.saturating_sub(started.elapsed())).await?;
        match open_on(&live, verify, verified).await {
            // The connection broke under us, or the server is still starting.
            Err(error) if !is_final(&error) && started.elapsed() < patience => {
                link.suspect();
                let _ = tokio::time::timeout(RETRY, link.lost(live.epoch)).await;
            }
            result => return result.map(|channel| (live, channel)),
        }
    }
}

fn is_final(error: &Error) -> bool {
    matches!(error.kind(), Kind::Unmet | Kind::InvalidConfiguration | Kind::Unsupported | Kind::Closed)
}

/// How long to wait before trying a connection again that stands, but does not answer.
const RETRY: Duration = Duration::from_millis(200);

async fn open_on(live: &Live, verify: &Verify, verified: &mut Option<u64>) -> Result<Channel> {
    // The first connection has been verified when the publisher was opened.
    if verified.is_some_and(|epoch| epoch != live.epoch) {
        verify(live.clone()).await?;
    }
    *verified = Some(live.epoch);
    let channel = live.channel("publish").await?;
    within(live.deadline, "publish", async {
        let confirm = channel.confirm_select(ConfirmSelectOptions::default()).await;
        confirm.map_err(|e| typed("publish", e))
    })
    .await?;
    Ok(channel)
}

struct Lane<'a> {
    link: &'a Link,
    live: Live,
    channel: Channel,
    topic: &'a Topic,
    abandon: &'a Notify,
    patience: Duration,
}

/// What became of one step on the channel.
enum Step {
    Answered(Answered),
    NotSent(Pending),
    Failed,
    Mark,
}

impl Lane<'_> {
    /// Publishes until the channel breaks or nobody can send any more; what was not sent stays in `waiting`.
    async fn publish(&self, waiting: &mut VecDeque<Pending>, batches: &mut mpsc::UnboundedReceiver<Batch>) {
        let mut steps = FuturesUnordered::new();
        let mut outcomes = Outcomes::default();
        let mut unsent = VecDeque::new();
        let mut progress = Instant::now();
        let mut open = true;
        loop {
            steps.extend(waiting.drain(..).map(|pending| self.step(Some(pending))));
            if !self.channel.status().connected() && steps.is_empty() || !open && steps.is_empty() {
                break;
            }
            tokio::select! {
                biased;
                Some(step) = steps.next(), if !steps.is_empty() => {
                    progress = Instant::now();
                    match step {
                        Step::Answered(answered) => {
                            if outcomes.add(answered) {
                                steps.push(self.step(None));
                            }
                        }
                        Step::Mark => if outcomes.decide() { steps.push(self.step(None)) },
                        Step::NotSent(pending) => unsent.push_back(pending),
                        Step::Failed => {}
                    }
                }
                batch = batches.recv(), if open => match batch {
                    Some(batch) => waiting.extend(batch),
                    None => open = false,
                },
                () = self.link.lost(self.live.epoch), if steps.is_empty() => break,
                () = self.abandon.notified() => break,
                () = tokio::time::sleep_until(progress + self.patience), if !steps.is_empty() => break,
            }
        }
        // Steps that are dropped here end as unknown. Then the channel closes, so that no late answer meets a
        // later message.
        drop(steps);
        drop(outcomes);
        *waiting = unsent;
        let _ = within(self.live.deadline, "publish", async {
            self.channel.close(200, "".into()).await.map_err(|e| typed("publish", e))
        })
        .await;
    }

    /// Publishes one message and waits for the answer. Without one it is a mark: see [`Outcomes`].
    ///
    /// Sending happens when it is first polled, and that in the order in which the steps were made.
    async fn step(&self, pending: Option<Pending>) -> Step {
        let Some(pending) = pending else { return Step::Mark };
        if let Some(error) = pending.refusal() {
            pending.fail(error);
            return Step::Failed;
        }
        if !self.channel.status().connected() {
            return Step::NotSent(pending);
        }
        let Some(message) = pending.message() else { return Step::Failed };
        let properties = properties(message);
        let frame = self.live.connection.configuration().frame_max() as usize;
        let header = header_bytes(&properties);
        if header > frame {
            pending.fail(headers_too_large(header, frame));
            return Step::Failed;
        }
        let exchange = self.topic.as_str().into();
        let slot = slot(message).to_string().into();
        let mandatory = BasicPublishOptions { mandatory: true, immediate: false };
        let sent = self.channel.basic_publish(exchange, slot, mandatory, &message.payload, properties);
        match sent.await {
            // lapin hands an error out here only for a frame that it has not written to the end.
            Err(error) => {
                pending.fail(typed("publish", error).with_fate(Fate::NotApplied));
                Step::Failed
            }
            Ok(confirmation) => match confirmation.await {
                Ok(confirmation) => Step::Answered(Answered::new(pending, confirmation)),
                Err(error) => {
                    pending.fail(broken(error));
                    Step::Failed
                }
            },
        }
    }
}

/// The connection or channel ended before the answer: the broker may have it.
fn broken(error: lapin::Error) -> Error {
    typed("publish", error).with_fate(Fate::Unknown)
}

fn headers_too_large(bytes: usize, frame: usize) -> Error {
    let text = format!("key, headers and attributes take {bytes} bytes; a frame holds {frame}");
    Error::new(Kind::TooLarge, "publish", text)
        .advice("put large values into the payload, or raise frame_max")
}
