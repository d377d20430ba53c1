//! A worker asks to commit, and never hears whether that was done.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anybroker_worker::{Happening, Observer};
use tokio::sync::Notify;

use super::workers::{KEYS, WORK, exactly_once, read};
use super::*;

const INPUTS: usize = 120;

/// How long the worker may take to give up waiting, and then to open everything again.
const GIVEN_UP: Duration = Duration::from_secs(60);

/// Each commit of a worker may be the one whose answer is lost. It opens its publisher and its consumer again by itself, and
/// every input has its outputs once.
pub(in crate::cases) async fn worker_commit_unanswered(context: Context) -> CaseResult {
    let (proxy, connect) = match &context.detour {
        Ok(detour) => detour().await?,
        Err(reason) => return Ok(Finding::NotApplicable((*reason).into())),
    };
    let direct = context.broker().await?;
    let context = Context { connect, ..context };
    let pipe = pipe!(context, "commit-unanswered");
    let subscription = Subscription::new(pipe.outputs.clone(), pipe.readers.clone());
    let mut reader = step("open", pipe.stage.recorder.wrap(direct.clone()).consumer(subscription)).await?;
    publish(&pipe.stage, numbered("i", INPUTS, KEYS)).await?;

    let openings = Arc::new(Openings::default());
    let (broker, subscription) = (pipe.stage.recorded.clone(), pipe.stage.subscription(0));
    let worker = exactly_once(broker, subscription, WORK, (0, "worker".into()), context.seed)?;
    let worker = worker.observe(openings.clone()).build()?;
    proxy.drop_replies_when(asks_to_commit);
    let stop = Arc::new(Notify::new());
    let stopped = stop.clone();
    let mut running = tokio::spawn(async move { worker.run_until(stopped.notified()).await });
    let lost = async {
        proxy.replies_dropped().await;
        pipe.stage.recorder.fault("drop_replies", &context.name);
        openings.second().await;
        // It mends: what would never hear anything is cut, and made anew.
        proxy.cut();
        pipe.stage.recorder.fault("heal", &context.name);
    };
    tokio::select! {
        ended = &mut running => return failed(format!("the worker ended by itself: {ended:?}")),
        lost = tokio::time::timeout(GIVEN_UP, lost) => {
            lost.map_err(|_| format!("no commit was given up within {GIVEN_UP:?}"))?;
        }
    }
    let seen = read(&pipe, &mut reader, 2 * INPUTS).await?;
    ensure(seen.values().map(Vec::len).sum::<usize>() == INPUTS, || "outputs are missing".into())?;
    nothing_comes(&mut reader, UNSEEN).await?;
    stop.notify_one();
    running.await??;
    let left = pipe.stage.broker.admin().backlog(&pipe.stage.topic, &pipe.stage.groups[0]).await?;
    ensure(left == 0, || format!("{left} inputs are not acknowledged"))?;
    drop(reader);
    let found = pipe.hold("a commit that nobody heard of is in effect once, or was never".into()).await?;
    direct.close().await?;
    Ok(found)
}

/// Whether these bytes are a request to end a transaction, in Kafka's protocol: its key 26 stands behind the length.
fn asks_to_commit(bytes: &[u8]) -> bool {
    bytes.get(4..6) == Some(&[0, 26])
}

/// How often the worker has opened its subscription.
#[derive(Default)]
struct Openings {
    count: AtomicUsize,
    opening: Notify,
}

impl Openings {
    /// Waits until it does so again.
    async fn second(&self) {
        while self.count.load(Ordering::Acquire) < 2 {
            self.opening.notified().await;
        }
    }
}

impl Observer for Openings {
    fn observe(&self, _: &Topic, _: &Group, happening: &Happening<'_>) {
        if matches!(happening, Happening::Opening) {
            self.count.fetch_add(1, Ordering::AcqRel);
            self.opening.notify_one();
        }
    }
}
