//! Negative acknowledgement, attempts, leases, dead letters.

use std::time::Duration;

use anybroker_core::{
    DeadLetter, DeadLetterPolicy, Delay, Group, Kind, Lease, Level as _, Message, PublisherExt as _,
    Redelivery, Subscription, Topic, Topology,
};
use tokio::time::Instant;

use super::flow::next;
use super::steps::{ack, id, take};
use super::{CaseResult, Context, Failure, Finding, Stage, ensure, step};

/// What a consumer of any number of partitions under test can have in hand, if each can have several.
const IN_HAND: usize = 32;

async fn publish(stage: &Stage, messages: &[(&'static str, &'static str)]) -> Result<(), Failure> {
    let publisher = stage.publisher().await?;
    for (id, key) in messages {
        let message = Message::new(*id).with_id(*id).with_key(*key);
        step("publish", async { Ok(publisher.publish(message).await?) }).await?;
    }
    step("close", publisher.close()).await
}

pub(super) async fn nack_comes_before_later_messages_of_its_key(context: Context) -> CaseResult {
    let stage = context.stage("nack-order", 1).await?;
    // It has three of one key in hand.
    if let Some(most) = stage.guarantees.limits.in_flight.filter(|most| *most < IN_HAND) {
        let row =
            format!("limits.in-flight = {most}: a partition has too few in hand for one to be superseded");
        return Ok(Finding::NotPromised(row));
    }
    if let Some(lost) = stage.keeps_nothing() {
        return Ok(lost);
    }
    publish(&stage, &[("a1", "a"), ("b1", "b"), ("a2", "a"), ("a3", "a")]).await?;
    let mut consumer = step("open", stage.recorded.consumer(stage.subscription(0))).await?;
    let mut first = take(&mut consumer, 4).await?;
    first.sort_by_key(id);
    let mut first = first.into_iter();
    let (a1, a2) = (first.next(), first.next());
    let (Some(a1), Some(a2)) = (a1, a2) else { return super::failed("a message is missing") };
    step("nack", async { Ok(a1.nack(Duration::from_millis(50)).await?) }).await?;
    let void = a2.ack().await.map_err(|e| e.error().kind());
    ensure(void == Err(Kind::Superseded), || format!("settling a2 after a1 was put back gave {void:?}"))?;
    let b1 = first.nth(1);
    drop(first);
    if let Some(b1) = b1 {
        ack(b1).await?;
    }
    let mut again = Vec::new();
    for delivery in take(&mut consumer, 3).await? {
        again.push((id(&delivery), delivery.attempt()));
        ack(delivery).await?;
    }
    let order: Vec<_> = again.iter().map(|(id, _)| id.as_str()).collect();
    ensure(order == ["a1", "a2", "a3"], || format!("after the nack of a1 came {order:?}"))?;
    ensure(again[0].1 == 2, || format!("the second delivery of a1 is attempt {}", again[0].1))?;
    step("close", consumer.close()).await?;
    stage.tidy().await?;
    Ok(Finding::Holds("a1 again as attempt 2, then a2, a3; b went on".into()))
}

pub(super) async fn nack_waits_for_its_delay(context: Context) -> CaseResult {
    let stage = context.stage("nack-delay", 1).await?;
    if let Some(lost) = stage.keeps_nothing() {
        return Ok(lost);
    }
    if !stage.guarantees.delay.value.satisfies(Delay::Redelivery) {
        return Ok(Finding::NotPromised("delay = none".into()));
    }
    publish(&stage, &[("a1", "a")]).await?;
    let mut consumer = step("open", stage.recorded.consumer(stage.subscription(0))).await?;
    let delivery = next(&mut consumer).await?;
    let (delay, began) = (Duration::from_millis(700), Instant::now());
    step("nack", async { Ok(delivery.nack(delay).await?) }).await?;
    let again = next(&mut consumer).await?;
    let waited = began.elapsed();
    ensure(waited >= delay, || format!("a delay of {delay:?}, and it came after {waited:?}"))?;
    ack(again).await?;
    step("close", consumer.close()).await?;
    stage.tidy().await?;
    Ok(Finding::Holds(format!("asked for {delay:?}, came after {} ms", waited.as_millis())))
}

pub(super) async fn redelivery_is_counted(context: Context) -> CaseResult {
    let stage = context.stage("attempts", 1).await?;
    if let Some(lost) = stage.keeps_nothing() {
        return Ok(lost);
    }
    publish(&stage, &[("a1", "a")]).await?;
    let mut expected = 1;
    for session in 0..3 {
        let mut consumer = step("open", stage.recorded.consumer(stage.subscription(0))).await?;
        for _ in 0..2 {
            let delivery = next(&mut consumer).await?;
            let attempt = delivery.attempt();
            let across = stage.guarantees.redelivery.value == Redelivery::Count || session == 0;
            ensure(!across || attempt >= expected, || {
                format!("delivery {expected} says that it is attempt {attempt}")
            })?;
            expected += 1;
            step("nack", async { Ok(delivery.nack(Duration::ZERO).await?) }).await?;
        }
        step("close", consumer.close()).await?;
    }
    stage.tidy().await?;
    Ok(match stage.guarantees.redelivery.value {
        Redelivery::Count => Finding::Holds("six deliveries over three sessions, counted through".into()),
        weaker => Finding::Holds(format!("counted within a session; across sessions redelivery = {weaker}")),
    })
}

pub(super) async fn lease_lapses(context: Context) -> CaseResult {
    let stage = context.stage("lease", 1).await?;
    if stage.guarantees.lease.value == Lease::Session {
        return Ok(Finding::NotPromised(
            "lease = session: a delivery may be held for as long as its consumer lives".into(),
        ));
    }
    if let Some(lease) = stage.guarantees.limits.lease.filter(|lease| *lease > super::STEP / 2) {
        return Ok(Finding::NotPromised(format!(
            "lease = {lease:?}: longer than a case can wait for it to lapse"
        )));
    }
    publish(&stage, &[("a1", "a")]).await?;
    let mut consumer = step("open", stage.recorded.consumer(stage.subscription(0))).await?;
    let held = next(&mut consumer).await?;
    let again = next(&mut consumer).await?;
    ensure(again.attempt() == 2, || format!("after the lease it is attempt {}", again.attempt()))?;
    let late = held.ack().await.map_err(|e| e.error().kind());
    let refused = matches!(late, Err(Kind::LeaseExpired | Kind::Superseded));
    ensure(refused, || format!("settling after the lease gave {late:?}"))?;
    ack(again).await?;
    step("close", consumer.close()).await?;
    stage.tidy().await?;
    Ok(Finding::Holds("delivered again after the lease; the late acknowledgement was refused".into()))
}

/// A dead letter topic with a group that reads it.
pub(super) async fn dead_letters(
    stage: &Stage,
    max_attempts: Option<u32>,
) -> Result<(Subscription, Subscription), Failure> {
    let topic = Topic::new(format!("{}-dead", stage.topic))?;
    let reader = Group::new("reader")?;
    stage.broker.admin().declare(&Topology::new(topic.clone()).group(reader.clone())).await?;
    let policy = DeadLetterPolicy { topic: topic.clone(), max_attempts };
    Ok((stage.subscription(0).dead_letter(policy), Subscription::new(topic, reader)))
}

async fn dead_letter_of(stage: &Stage, letters: Subscription) -> Result<Message, Failure> {
    let topic = letters.topic.clone();
    let mut consumer = step("open", stage.broker.consumer(letters)).await?;
    let letter = next(&mut consumer).await?;
    let message = letter.to_message();
    ack(letter).await?;
    let more = tokio::time::timeout(Duration::from_millis(500), consumer.receive(1)).await;
    ensure(more.is_err(), || "there is a second dead letter".to_owned())?;
    step("close", consumer.close()).await?;
    stage.broker.admin().delete(&topic).await?;
    Ok(message)
}

pub(super) async fn dead_letter_keeps_the_message(context: Context) -> CaseResult {
    let stage = context.stage("dead-letter", 1).await?;
    if let Some(lost) = stage.keeps_nothing() {
        return Ok(lost);
    }
    if !stage.guarantees.dead_letter.value.satisfies(DeadLetter::AtMostOnce) {
        return Ok(Finding::NotPromised("dead-letter = none".into()));
    }
    let (subscription, letters) = dead_letters(&stage, None).await?;
    let publisher = stage.publisher().await?;
    let original = Message::new(&b"\x00poison\xff"[..])
        .with_key(&b"\xffk"[..])
        .with_header("tenant", "acme")
        .with_extension("subject", "order-7");
    let published = original.clone();
    step("publish", async { Ok(publisher.publish(published).await?) }).await?;
    let mut consumer = step("open", stage.recorded.consumer(subscription)).await?;
    let delivery = next(&mut consumer).await?;
    step("dead-letter", async { Ok(delivery.dead_letter("it cannot be read").await?) }).await?;
    step("close", consumer.close()).await?;
    let letter = dead_letter_of(&stage, letters).await?;
    let kept = letter.payload == original.payload
        && letter.key == original.key
        && letter.id == original.id
        && letter.extensions == original.extensions;
    ensure(kept, || format!("the dead letter of {original:#?} is {letter:#?}"))?;
    for (name, value) in [("tenant", "acme"), ("dead-letter-reason", "it cannot be read")] {
        let found = letter.headers.get(name).map(|v| v.to_vec());
        ensure(found == Some(value.into()), || format!("the header {name} of the dead letter is {found:?}"))?;
    }
    stage.tidy().await?;
    Ok(Finding::Holds("one dead letter: key, payload, id, headers, extensions, reason".into()))
}

pub(super) async fn used_up_attempts_are_dead_lettered(context: Context) -> CaseResult {
    let stage = context.stage("poison", 1).await?;
    if let Some(lost) = stage.keeps_nothing() {
        return Ok(lost);
    }
    if !stage.guarantees.dead_letter.value.satisfies(DeadLetter::AtMostOnce) {
        return Ok(Finding::NotPromised("dead-letter = none".into()));
    }
    let (subscription, letters) = dead_letters(&stage, Some(3)).await?;
    publish(&stage, &[("a1", "a"), ("a2", "a")]).await?;
    let mut consumer = step("open", stage.recorded.consumer(subscription)).await?;
    for attempt in 1..=3 {
        let delivery = next(&mut consumer).await?;
        ensure(id(&delivery) == "a1", || format!("attempt {attempt} is of {}", id(&delivery)))?;
        step("nack", async { Ok(delivery.nack(Duration::ZERO).await?) }).await?;
    }
    let second = next(&mut consumer).await?;
    ensure(id(&second) == "a2", || format!("after three attempts of a1 came {}", id(&second)))?;
    ack(second).await?;
    step("close", consumer.close()).await?;
    let letter = dead_letter_of(&stage, letters).await?;
    ensure(letter.id.to_string() == "a1", || format!("the dead letter is {}", letter.id))?;
    stage.tidy().await?;
    Ok(Finding::Holds("three attempts, one dead letter, then the key went on".into()))
}
