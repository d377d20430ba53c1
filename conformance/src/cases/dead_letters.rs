//! A message is tried as often as the subscription says, and then put into the dead letter topic as it was.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use anybroker_core::{
    Consumer, ConsumerExt as _, DeadLetter, Delivery, DeliveryLevel, Guarantees, Level as _, Message,
    PublisherExt as _, Redelivery, Result, Subscription,
};
use tokio::sync::Mutex;

use super::flow::{self, Chance, Progress, next};
use super::settling::dead_letters;
use super::{CaseResult, Context, Failure, Finding, Stage, ensure, step};
use crate::history::{Drained, Event, Promises};
use crate::plan;
use crate::properties::Property;

/// As many are always nacked, and as many are acknowledged.
const EACH: usize = 40;
/// Two of a key or so are to be given up, and two not.
const KEYS: usize = 20;

/// How often each message has been delivered.
type Tries = Arc<Mutex<HashMap<String, u64>>>;

pub(super) async fn delivery_limit(context: Context) -> CaseResult {
    let limit = 2 + Chance::new(context.seed).below(3) as u32;
    // While a message is given up, its key waits and other keys of the partition go on: positions go back (P16).
    let promise =
        |given: &Guarantees, promises| Promises { p16: None, ..plan::delivery_limit(given, limit, promises) };
    let stage = context.stage_promising("limit", 1, promise).await?;
    if !stage.guarantees.dead_letter.value.satisfies(DeadLetter::AtMostOnce) {
        return Ok(Finding::NotPromised("dead-letter = none".into()));
    }
    let (subscription, letters) = dead_letters(&stage, Some(limit)).await?;
    let mut reader = step("open", stage.recorded.consumer(letters.clone())).await?;
    let first = step("open", stage.recorded.consumer(subscription.clone())).await?;
    let originals: HashMap<_, _> = messages().into_iter().map(|it| (it.id.to_string(), it)).collect();
    let tries = Tries::default();
    let ends = across_members(&stage);
    let work = tokio::spawn(work(stage.recorded.clone(), subscription, first, ends, tries.clone()));
    let publisher = stage.publisher().await?;
    for outcome in step("publish", async { Ok(publisher.publish_batch(messages()).await) }).await? {
        outcome?;
    }
    step("close", publisher.close()).await?;
    let mut arrived = HashSet::new();
    while arrived.len() < EACH {
        let letter = match next(&mut reader).await {
            Ok(letter) => letter,
            Err(nothing) => {
                // It waited longer than any time-out of a broker: what has not come is lost.
                work.abort();
                read_to_the_end(&stage, &letters);
                flow::drained(&stage, &[])?;
                return Err(nothing);
            }
        };
        take(&stage, letter, &originals, limit, &mut arrived).await?;
    }
    while let Ok(more) = tokio::time::timeout(Duration::from_millis(500), reader.next()).await {
        take(&stage, more?, &originals, limit, &mut arrived).await?;
    }
    work.abort();
    step("close", reader.close()).await?;
    let tries = tries.lock().await;
    for (id, message) in &originals {
        let (expected, tried) = (if hopeless(message) { limit.into() } else { 1 }, tries.get(id).copied());
        // What a member had in hand when it ended comes once more.
        let fits = tried == Some(expected) || ends && !hopeless(message) && tried == Some(2);
        ensure(fits, || format!("{id} was tried {tried:?} times, not {expected}"))?;
    }
    read_to_the_end(&stage, &letters);
    let found = flow::judge(&stage, &Progress::default(), &[Property::P10])?;
    stage.tidy().await?;
    stage.broker.admin().delete(&letters.topic).await?;
    let across = if ends { "across the end of a member" } else { "within a session" };
    Ok(found.and(format!("{EACH} tried {limit} times, counted {across}, and dead-lettered")))
}

/// Takes a dead letter, which must be what it was. It comes twice only where a member ended while it gave the message up,
/// and the guarantee allows that.
async fn take(
    stage: &Stage,
    letter: Delivery,
    originals: &HashMap<String, Message>,
    limit: u32,
    arrived: &mut HashSet<String>,
) -> std::result::Result<(), Failure> {
    let ends = across_members(stage);
    kept(&letter, originals, limit, ends)?;
    let id = letter.id().map(|id| id.to_string()).unwrap_or_default();
    let twice = ends && stage.guarantees.dead_letter.value == DeadLetter::AtLeastOnce;
    ensure(arrived.insert(id.clone()) || twice, || format!("there is a second dead letter of {id}"))?;
    step("acknowledge", async { Ok(letter.ack().await?) }).await?;
    Ok(())
}

/// No more dead letters will come.
fn read_to_the_end(stage: &Stage, letters: &Subscription) {
    let drained = Drained { group: letters.group.as_str().into(), topic: letters.topic.as_str().into() };
    stage.recorder.record(&Event::Drained(drained));
}

/// Whether attempts are counted on when a member ends.
fn across_members(stage: &Stage) -> bool {
    stage.guarantees.redelivery.value.satisfies(Redelivery::Count)
        && stage.guarantees.delivery.value.satisfies(DeliveryLevel::AtLeastOnce)
}

fn messages() -> Vec<Message> {
    let message = |at: usize| {
        let (kind, key) = (if at.is_multiple_of(2) { "bad" } else { "good" }, (at / 2) % KEYS);
        Message::new(vec![0, at as u8, 0xff])
            .with_id(format!("{kind}-{at}"))
            .with_key(format!("k{key}"))
            .with_header("tenant", format!("acme {at}"))
            .with_header("binary", vec![0xff, 0, at as u8])
    };
    (0..2 * EACH).map(message).collect()
}

fn hopeless(message: &Message) -> bool {
    message.id.to_string().starts_with("bad")
}

/// Fails with the hopeless and succeeds with the others, for ever; if the member `ends`, in the middle of it, and another
/// goes on.
async fn work(
    recorded: anybroker_core::Broker,
    subscription: Subscription,
    mut consumer: Box<dyn Consumer>,
    ends: bool,
    tries: Tries,
) -> Result<()> {
    let mut left = if ends { EACH } else { usize::MAX };
    loop {
        // One at a time: a message that is handed out behind one that fails is void, and was none the less handed out.
        for delivery in consumer.receive(1).await? {
            let id = delivery.id().map(|id| id.to_string()).unwrap_or_default();
            let settled = if id.starts_with("bad") {
                delivery.nack(Duration::ZERO).await.is_ok()
            } else {
                delivery.ack().await.is_ok()
            };
            if settled {
                *tries.lock().await.entry(id).or_default() += 1;
            }
            left = left.saturating_sub(1);
        }
        if left == 0 {
            left = usize::MAX;
            consumer.close().await?;
            consumer = recorded.consumer(subscription.clone()).await?;
        }
    }
}

/// Whether a dead letter is what it was, and says why it is one.
fn kept(
    letter: &Delivery,
    originals: &HashMap<String, Message>,
    limit: u32,
    ends: bool,
) -> Result<(), Failure> {
    let message = letter.to_message();
    let original = originals.get(&message.id.to_string()).filter(|original| hopeless(original));
    let Some(original) = original else {
        return super::failed(format!(
            "{} was acknowledged or never published, and is a dead letter",
            message.id
        ));
    };
    let headers = original.headers.iter().all(|(name, value)| message.headers.get(name) == Some(value));
    let same = message.payload == original.payload && message.key == original.key && headers;
    ensure(same, || format!("the dead letter of {original:#?} is {message:#?}"))?;
    let says = |name: &str| message.headers.get(name).map(|text| String::from_utf8_lossy(text).into_owned());
    let (reason, attempts) = (says("dead-letter-reason"), says("dead-letter-attempts"));
    // A member that ends while it gives a message up has handed it out once more.
    let most = limit + u32::from(ends);
    let counts =
        attempts.as_deref().and_then(|text| text.parse().ok()).is_some_and(|n| (limit..=most).contains(&n));
    let told = counts && reason.as_ref().is_some_and(|reason| !reason.is_empty());
    ensure(told, || format!("after {limit} attempts a dead letter says {attempts:?} and {reason:?}"))
}
