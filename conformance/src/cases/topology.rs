//! Topics that are missing, different, or without anybody who listens.

use anybroker_core::{
    Fate, Kind, Message, PublisherExt as _, PublisherOptions, Subscription, Topic, Topology, Unsubscribed,
};

use super::flow::next;
use super::{CaseResult, Context, Finding, ensure, failed, step};

pub(super) async fn publish_before_any_group(context: Context) -> CaseResult {
    let stage = context.stage("unsubscribed", 0).await?;
    let publisher = stage.publisher().await?;
    let outcome =
        step("publish", async { Ok(publisher.publish(Message::new("early").with_id("early")).await) })
            .await?;
    let group = anybroker_core::Group::new("late")?;
    let found = match (stage.guarantees.unsubscribed_publish.value, outcome) {
        (Unsubscribed::Dropped, _) => {
            return Ok(Finding::NotPromised("unsubscribed-publish = dropped".into()));
        }
        (Unsubscribed::Refused, Err(error)) => {
            let fate = error.error().fate();
            ensure(fate == Fate::NotApplied, || format!("refused, yet its fate is {fate:?}: {error}"))?;
            "refused, not applied"
        }
        (Unsubscribed::Kept, Ok(_)) => {
            let subscription = Subscription::new(stage.topic.clone(), group);
            stage
                .broker
                .admin()
                .declare(&Topology::new(stage.topic.clone()).group(subscription.group.clone()))
                .await?;
            let mut consumer = step("open", stage.recorded.consumer(subscription)).await?;
            let delivery = next(&mut consumer).await?;
            ensure(delivery.payload() == "early", || format!("the new group got {delivery:?}"))?;
            step("acknowledge", async { Ok(delivery.ack().await?) }).await?;
            step("close", consumer.close()).await?;
            "kept for the group that came later"
        }
        (promised, outcome) => {
            return failed(format!("promised {promised}, and the publish gave {outcome:?}"));
        }
    };
    stage.tidy().await?;
    Ok(Finding::Holds(found.into()))
}

pub(super) async fn missing_topic(context: Context) -> CaseResult {
    let broker = context.broker().await?;
    let topic = Topic::new(format!("missing-{}", context.seed))?;
    let group = anybroker_core::Group::new("g")?;
    let opened =
        step("open", async { Ok(broker.publisher(PublisherOptions::new(topic.clone())).await) }).await?;
    if context.creates_topics().await? {
        return Ok(Finding::NotPromised("topology = create: a missing topic is created".into()));
    }
    let consumed =
        step("open", async { Ok(broker.consumer(Subscription::new(topic.clone(), group)).await) }).await?;
    let deleted = step("delete", async { Ok(broker.admin().delete(&topic).await) }).await?;
    for error in [opened.err(), consumed.err(), deleted.err()] {
        let kind = error.as_ref().map(anybroker_core::Error::kind);
        ensure(kind == Some(Kind::NotFound), || format!("a missing topic gave {error:?}"))?;
    }
    Ok(Finding::Holds("not found: at opening a publisher, a consumer, at deleting".into()))
}

pub(super) async fn different_topology(context: Context) -> CaseResult {
    let stage = context.stage("different", 1).await?;
    // Not empty: some brokers let an empty group change.
    let publisher = stage.publisher().await?;
    step("publish", async { Ok(publisher.publish(Message::new("kept")).await?) }).await?;
    let topics = step("list", async { Ok(stage.broker.admin().topics().await) }).await?;
    let existing =
        topics.ok().and_then(|all| all.into_iter().find(|t| t.topic == stage.topic.as_str())?.partitions);
    // A number that no configuration under test has.
    let wanted = existing.unwrap_or(0) + 7;
    let topology = Topology::new(stage.topic.clone()).group(stage.groups[0].clone()).partitions(wanted);
    let refused = step("declare", async { Ok(stage.broker.admin().declare(&topology).await) }).await?;
    let Err(error) = refused else {
        return failed(format!("declaring {wanted} partitions over others was accepted"));
    };
    let readable =
        error.kind() == Kind::InvalidConfiguration && error.to_string().contains(&wanted.to_string());
    ensure(readable, || format!("the difference is told as: {error}"))?;
    let again = Topology::new(stage.topic.clone()).group(stage.groups[0].clone());
    step("declare again", stage.broker.admin().declare(&again)).await?;
    stage.tidy().await?;
    Ok(Finding::Holds("refused with the difference; declaring the same again is fine".into()))
}

impl Context {
    /// Whether this configuration creates what is missing.
    async fn creates_topics(&self) -> anybroker_core::Result<bool> {
        let broker = self.broker().await?;
        let topic = Topic::new(format!("created-{}", self.seed))?;
        let created = broker.publisher(PublisherOptions::new(topic.clone())).await.is_ok();
        if created {
            broker.admin().delete(&topic).await?;
        }
        Ok(created)
    }
}
