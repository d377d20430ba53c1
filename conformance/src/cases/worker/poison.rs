//! Messages that no attempt can help: each becomes one dead letter, and nothing waits for it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use anybroker_core::{
    DeadLetter, Delivery, Event, Guarantees, Key, Level as _, Message, MessageId, PublisherExt as _,
    ReasonClass, dead_letter,
};
use anybroker_worker::{Failure as Failed, Handling, Retry, Worker};
use serde::{Deserialize, Serialize};

use super::super::flow::{Chance, Progress};
use super::super::settling::dead_letters;
use super::super::steps::{ack, id, open_as, rest, take};
use super::super::{CaseResult, Context, Failure, Finding, Stage, ensure, step};
use super::team::{Member, Team};
use super::{WORK, conclude, seen_by_handlers};
use crate::history::{self, Drained, Promises};
use crate::plan;
use crate::properties::Property;

const KEYS: u64 = 20;
/// Of each kind.
const BAD: usize = 11;
const GOOD: usize = 120;

/// What the handler takes.
#[derive(Serialize, Deserialize)]
struct Number {
    hopeless: bool,
}

impl Event for Number {
    const TYPE: &'static str = "number";
}

/// Takes a moment; a hopeless one is hopeless.
async fn handle(number: Number, id: MessageId) -> Result<(), Failed> {
    let spread = WORK.most.as_micros() as u64;
    let mut chance = Chance::new(id.to_string().len() as u64);
    tokio::time::sleep(Duration::from_micros(chance.below(spread))).await;
    match number.hopeless {
        true => Err(Failed::permanent("no attempt can help")),
        false => Ok(()),
    }
}

/// The messages, good and bad by chance.
fn messages(seed: u64) -> Vec<Message> {
    let mut chance = Chance::new(seed);
    let mut messages: Vec<_> = (0..GOOD).map(|at| ("good", at)).collect();
    for at in 0..BAD {
        for kind in ["hopeless", "unreadable", "unknown"] {
            messages.insert(chance.below(messages.len() as u64) as usize, (kind, at));
        }
    }
    let mut message = |(kind, at): (&str, usize)| {
        let number = format!("{{\"hopeless\":{}}}", kind == "hopeless").into_bytes();
        let payload = if kind == "unreadable" { vec![0, 0xff, at as u8] } else { number };
        let name = if kind == "unknown" { "stranger" } else { Number::TYPE };
        let key = Key::from(format!("key-{}", chance.below(KEYS)));
        Message::new(payload).with_type(name).with_id(format!("{kind}-{at}")).with_key(key)
    };
    messages.into_iter().map(&mut message).collect()
}

pub(in crate::cases) async fn worker_poison(context: Context) -> CaseResult {
    let promise = |given: &Guarantees, promises: Promises| {
        plan::delivery_limit(given, LIMIT, seen_by_handlers(given, promises))
    };
    let stage = context.stage_promising("worker-poison", 1, promise).await?;
    if !stage.guarantees.dead_letter.value.satisfies(DeadLetter::AtMostOnce) {
        return Ok(Finding::NotPromised("dead-letter = none".into()));
    }
    let progress = Arc::new(Progress::default());
    let (subscription, letters) = dead_letters(&stage, None).await?;
    let mut reader = open_as(&stage, letters.clone()).await?;
    let mut team = Team::new(&stage, context.seed, &progress);
    let (tells, joined) = team.tells();
    let (recorded, begins) = stage.recorder.wrap_for_workers(stage.broker.clone());
    let worker =
        Worker::builder(recorded).handling(Handling::default().retry(Retry::never().deliveries(LIMIT)));
    let worker = worker.observe(begins).observe(tells).subscribe(subscription, handle).build()?;
    team.add(Member::run(worker, None, joined).await?);
    publish(&stage, messages(context.seed), &progress).await?;
    let mut letters_of = BTreeMap::<_, usize>::new();
    let mut come = 0;
    while come < 3 * BAD {
        come += read(take(&mut reader, 1).await?, &mut letters_of).await?;
    }
    come += read(rest(&mut reader, Duration::from_millis(300)).await?, &mut letters_of).await?;
    let once = letters_of.len() == 3 * BAD && come == 3 * BAD;
    ensure(once, || format!("the dead letters are {letters_of:?}"))?;
    step("close", reader.close()).await?;
    let drained = Drained { group: letters.group.as_str().into(), topic: letters.topic.as_str().into() };
    stage.recorder.record(&history::Event::Drained(drained));
    let exercised = [Property::P3, Property::P10];
    let held = conclude(&stage, context.quiet, team, &progress, &exercised).await?;
    stage.broker.admin().delete(&letters.topic).await?;
    Ok(held.and(format!("{} dead letters, one of each", 3 * BAD)))
}

/// Takes dead letters, each of which must be one of those that should be; says how many.
async fn read(letters: Vec<Delivery>, letters_of: &mut BTreeMap<String, usize>) -> Result<usize, Failure> {
    let count = letters.len();
    for letter in letters {
        fits(&letter)?;
        *letters_of.entry(id(&letter)).or_default() += 1;
        ack(letter).await?;
    }
    Ok(count)
}

/// More attempts than anything has here.
const LIMIT: u32 = 100;

async fn publish(stage: &Stage, messages: Vec<Message>, progress: &Progress) -> Result<(), Failure> {
    let publisher = stage.publisher().await?;
    let ids: Vec<_> = messages.iter().map(|message| message.id.to_string()).collect();
    let outcomes = step("publish", async { Ok(publisher.publish_batch(messages).await) }).await?;
    for (id, outcome) in ids.into_iter().zip(outcomes) {
        outcome?;
        progress.confirmed(id);
    }
    step("close", publisher.close()).await
}

/// Whether a dead letter is one of those that should be, and says why it is one.
fn fits(letter: &Delivery) -> Result<(), Failure> {
    let class = dead_letter::DeadLetter::read(letter).and_then(|letter| letter.reason.class());
    let kinds = HashMap::from([
        ("hopeless", ReasonClass::Permanent),
        ("unreadable", ReasonClass::Poison),
        ("unknown", ReasonClass::Poison),
    ]);
    let id = id(letter);
    let expected = id.split('-').next().and_then(|kind| kinds.get(kind)).copied();
    ensure(expected.is_some() && class == expected, || format!("the dead letter of {id} says {class:?}"))
}
