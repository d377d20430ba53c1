//! What becomes of each message that is published: by many tasks, in large batches, beside one that fails.

use std::sync::Arc;
use std::time::Duration;

use anybroker_core::{
    AfterFailure, Fate, Key, Kind, Message, OnFailure, Outcome, PublisherExt as _, PublisherOptions,
};
use futures::future::try_join_all;

use super::flow::{self, Manners, Member, Progress};
use super::steps::{all_confirmed, batch, hold, numbered, open, take_and_ack};
use super::{CaseResult, Context, Failure, Finding, Stage, ensure, step};
use crate::properties::Property;

fn kinds(outcomes: &[Outcome]) -> Vec<Option<Kind>> {
    outcomes.iter().map(|outcome| outcome.as_ref().err().map(|error| error.error().kind())).collect()
}

/// A message that no broker under test takes.
fn too_large(stage: &Stage, id: &str, key: &'static str) -> Option<Message> {
    let most = stage.guarantees.limits.message_bytes?;
    Some(Message::new(vec![b'x'; most + 1]).with_id(id).with_key(key))
}

const UNKNOWN_LIMIT: &str = "limits.message_bytes is unknown: nothing is known to be refused";
/// Behind each failed message, in the same call.
const BEHIND: usize = 20;

/// One call with three keys: two of them fail in the middle, and what follows in them is held; the third goes on.
pub(super) async fn failed_publishes_stay_away(context: Context) -> CaseResult {
    let stage = context.stage("failed", 1).await?;
    let (Some(a), Some(b)) = (too_large(&stage, "a-large", "a"), too_large(&stage, "b-large", "b")) else {
        return Ok(Finding::NotPromised(UNKNOWN_LIMIT.into()));
    };
    let mut consumer = open(&stage).await?;
    let publisher = stage.publisher().await?;
    let small = |key: &'static str, at: usize| Message::new("x").with_id(format!("{key}{at}")).with_key(key);
    let mut messages = vec![small("a", 0), small("b", 0), small("c", 0), a, b];
    messages.extend((1..=BEHIND).flat_map(|at| [small("a", at), small("b", at), small("c", at)]));
    let outcomes = batch(&*publisher, messages).await?;
    let held = Some(Kind::KeyHeld);
    let mut expected = vec![None, None, None, Some(Kind::TooLarge), Some(Kind::TooLarge)];
    expected.extend((0..BEHIND).flat_map(|_| [held, held, None]));
    ensure(kinds(&outcomes) == expected, || format!("one outcome a message, and they are {outcomes:?}"))?;
    let fates: Vec<_> =
        outcomes.iter().filter_map(|it| it.as_ref().err()).map(|e| e.error().fate()).collect();
    ensure(fates.iter().all(|fate| *fate == Fate::NotApplied), || {
        format!("refused, and the fates {fates:?}")
    })?;
    for key in ["a", "b"] {
        publisher.resume(&Key::from(key));
        let last = small(key, BEHIND + 1);
        step("publish after resume", async { Ok(publisher.publish(last).await?) }).await?;
    }
    let mut came = take_and_ack(&mut consumer, 3 + BEHIND + 2).await?;
    came.sort_unstable();
    let mut confirmed: Vec<_> = (0..=BEHIND).map(|at| format!("c{at}")).collect();
    confirmed.extend(["a0", "b0"].map(str::to_owned));
    confirmed.extend(["a", "b"].map(|key| format!("{key}{}", BEHIND + 1)));
    confirmed.sort_unstable();
    ensure(came == confirmed, || format!("confirmed were {confirmed:?}, and {came:?} came"))?;
    step("close", consumer.close()).await?;
    hold(&stage, &[Property::P2], "each with its own outcome; the key of a failed one is held").await
}

/// What a failed publish means for those of its key that are published later: they wait for a word, or there is a gap.
pub(super) async fn gap_after_failed_publish(context: Context) -> CaseResult {
    let stage = context.stage("gap", 1).await?;
    let (Some(held), Some(gap)) = (too_large(&stage, "x1", "a"), too_large(&stage, "x2", "a")) else {
        return Ok(Finding::NotPromised(UNKNOWN_LIMIT.into()));
    };
    let mut consumer = open(&stage).await?;
    let small = |id: &'static str| Message::new(id).with_id(id).with_key("a");
    let options = PublisherOptions::new(stage.topic.clone()).on_failure(OnFailure::Continue);
    let publisher = step("open", stage.recorded.publisher(options)).await?;
    let outcomes = batch(&*publisher, vec![small("a0"), gap, small("a1")]).await?;
    let expected = [None, Some(Kind::TooLarge), None];
    ensure(kinds(&outcomes) == expected, || format!("told to continue, and the outcomes are {outcomes:?}"))?;
    step("close", publisher.close()).await?;
    let mut expected = vec!["a0", "a1"];
    if stage.guarantees.order_after_failed_publish.value == AfterFailure::Held {
        held_until_resumed(&stage, held, small).await?;
        expected.push("a3");
    }
    let came = take_and_ack(&mut consumer, expected.len()).await?;
    ensure(came == expected, || format!("{expected:?} were confirmed in this order, and {came:?} came"))?;
    step("close", consumer.close()).await?;
    hold(&stage, &[Property::P2], "a gap where asked for; held until resumed otherwise").await
}

async fn held_until_resumed(
    stage: &Stage,
    large: Message,
    small: impl Fn(&'static str) -> Message,
) -> Result<(), Failure> {
    let publisher = stage.publisher().await?;
    for (message, expected) in [(large, Kind::TooLarge), (small("a2"), Kind::KeyHeld)] {
        let outcome = step("publish", async { Ok(publisher.publish(message).await) }).await?;
        let kind = outcome.map_err(|e| e.error().kind()).err();
        ensure(kind == Some(expected), || format!("{kind:?} in place of {expected:?}"))?;
    }
    publisher.resume(&Key::from("a"));
    step("publish after resume", async { Ok(publisher.publish(small("a3")).await?) }).await?;
    step("close", publisher.close()).await
}

const POLITE: Manners = Manners { nack: 0, release: 0, prefetch: 200 };

/// Ends a case whose messages a polite member takes.
async fn read_by_a_member(
    context: &Context,
    stage: &Stage,
    member: Member,
    progress: &Arc<Progress>,
) -> CaseResult {
    let exercised = [Property::P1, Property::P3, Property::P7];
    flow::conclude(stage, context.quiet, [member], progress, &exercised).await
}

/// A batch that is larger than what the broker takes in one request is split: all or nothing would be a limit.
pub(super) async fn batch_over_the_limit_is_split(context: Context) -> CaseResult {
    let stage = context.stage("split", 1).await?;
    let progress = Arc::new(Progress::default());
    let member = Member::join(&stage, 0, POLITE, context.seed, &progress).await?;
    let publisher = stage.publisher().await?;
    let count = stage.guarantees.limits.batch.map_or(1_003, |most| 20 * most + 3);
    let messages = numbered("m", count, 7);
    messages.iter().for_each(|message| progress.confirmed(message.id.to_string()));
    all_confirmed(batch(&*publisher, messages).await?)?;
    let found = read_by_a_member(&context, &stage, member, &progress).await?;
    let limit = stage.guarantees.limits.batch.map_or("any number".into(), |most| most.to_string());
    Ok(found.and(format!("{count} in one call, and a request takes {limit}")))
}

const TASKS: usize = 50;
const OF_EACH: usize = 8;

/// Fifty tasks share one publisher, each with a key of its own.
pub(super) async fn fifty_tasks_share_a_publisher(context: Context) -> CaseResult {
    let stage = context.stage("tasks", 1).await?;
    let progress = Arc::new(Progress::default());
    let member = Member::join(&stage, 0, POLITE, context.seed, &progress).await?;
    let publisher = stage.publisher().await?;
    let task = |number: usize| {
        let (publisher, progress) = (publisher.clone(), progress.clone());
        async move {
            for at in 0..OF_EACH {
                let id = format!("m{number}-{at}");
                let message = Message::new(id.clone()).with_id(id.as_str()).with_key(format!("k{number}"));
                publisher.publish(message).await?;
                progress.confirmed(id);
            }
            Ok::<_, anybroker_core::Error>(())
        }
    };
    step("publish", try_join_all((0..TASKS).map(task))).await?;
    read_by_a_member(&context, &stage, member, &progress).await
}

/// Closing a publisher waits for the outcome of what it has taken.
pub(super) async fn close_waits_for_confirmations(context: Context) -> CaseResult {
    let stage = context.stage("flush", 1).await?;
    let mut consumer = open(&stage).await?;
    let publisher = stage.publisher().await?;
    let messages = numbered("m", 100, 10);
    let bytes = messages.iter().map(Message::size).sum();
    let permit = step("room", publisher.ready(messages.len(), bytes)).await?;
    let confirmations = publisher.enqueue(permit, messages);
    step("close", publisher.close()).await?;
    let outcomes = tokio::time::timeout(Duration::from_millis(100), confirmations).await;
    let Ok(outcomes) = outcomes else {
        return super::failed("closed, and outcomes are still open");
    };
    all_confirmed(outcomes)?;
    take_and_ack(&mut consumer, 100).await?;
    step("close", consumer.close()).await?;
    hold(&stage, &[Property::P1, Property::P3], "100 outcomes were there when close returned").await
}

/// One connection only publishes, another only consumes.
pub(super) async fn one_publishes_another_consumes(context: Context) -> CaseResult {
    let stage = context.stage("apart", 1).await?;
    let consuming = stage.recorder.wrap(context.broker().await?);
    let publishing = stage.recorder.wrap(context.broker().await?);
    let mut consumer = step("open", consuming.consumer(stage.subscription(0))).await?;
    let publisher = step("open", publishing.publisher(PublisherOptions::new(stage.topic.clone()))).await?;
    all_confirmed(batch(&*publisher, numbered("m", 50, 5)).await?)?;
    step("close the publishing connection", publishing.close()).await?;
    take_and_ack(&mut consumer, 50).await?;
    step("close", consumer.close()).await?;
    step("close the consuming connection", consuming.close()).await?;
    hold(&stage, &[Property::P1, Property::P3, Property::P7], "50 from one connection to the other").await
}
