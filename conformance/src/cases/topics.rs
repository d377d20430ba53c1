//! Many topics at the same time.

use anybroker_core::{Message, PublisherExt as _, PublisherOptions, Subscription, Topic, Topology};
use futures::future::try_join_all;

use super::flow::next;
use super::steps::numbered;
use super::{CaseResult, Context, Failure, Finding, Stage, ensure, step};
use crate::history::{Drained, Event};
use crate::properties::Verdict;

const TOPICS: usize = 6;
const MESSAGES: usize = 20;

/// Several topics with a group of the same name and the same keys, all at once on one connection: each gets its own.
pub(super) async fn many_topics_at_once(context: Context) -> CaseResult {
    let stage = context.stage("topics", 1).await?;
    let topics = (0..TOPICS).map(|at| Topic::new(format!("{}-{at}", stage.topic)));
    let topics = topics.collect::<anybroker_core::Result<Vec<_>>>()?;
    let admin = stage.broker.admin();
    for topic in &topics {
        let topology = Topology::new(topic.clone()).group(stage.groups[0].clone());
        step("declare", admin.declare(&topology)).await?;
    }
    let ended = try_join_all(topics.iter().enumerate().map(|(at, topic)| one(&stage, at, topic))).await;
    let report = stage.recorder.check()?;
    for topic in &topics {
        step("delete", admin.delete(topic)).await?;
    }
    ended?;
    ensure(matches!(report.verdict, Verdict::Pass), || report.to_string())?;
    stage.tidy().await?;
    Ok(Finding::Holds(format!("{TOPICS} topics, {MESSAGES} messages each, none in another's")))
}

async fn one(stage: &Stage, number: usize, topic: &Topic) -> Result<(), Failure> {
    let group = stage.groups[0].clone();
    let subscription = Subscription::new(topic.clone(), group.clone());
    let mut consumer = step("open", stage.recorded.consumer(subscription)).await?;
    let publisher = step("open", stage.recorded.publisher(PublisherOptions::new(topic.clone()))).await?;
    let prefix = format!("t{number}-");
    let messages: Vec<Message> = numbered(&prefix, MESSAGES, 3);
    for outcome in step("publish", async { Ok(publisher.publish_batch(messages).await) }).await? {
        outcome?;
    }
    for _ in 0..MESSAGES {
        // Each is done before the next: some brokers have no more of a key under way.
        let delivery = next(&mut consumer).await?;
        let id = super::steps::id(&delivery);
        ensure(id.starts_with(&prefix), || format!("{id} came from topic {number}"))?;
        super::steps::ack(delivery).await?;
    }
    step("close", consumer.close()).await?;
    step("close", publisher.close()).await?;
    let drained = Drained { group: group.as_str().into(), topic: topic.as_str().into() };
    stage.recorder.record(&Event::Drained(drained));
    Ok(())
}
