//! Opening a consumer.

use std::sync::Arc;

use anybroker_core::kit::Session;
use anybroker_core::{
    Consumer, Error, Kind, Publisher, PublisherOptions, Requirements, Result, Start, Subscription,
};
use futures::FutureExt;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;

use crate::backend::Sqs;
use crate::deletes::Deleter;
use crate::guarantees::Facts;
use crate::held::Held;
use crate::member::{Handle, Member, Verify};
use crate::polls::Polls;
use crate::topology::{Keeper, Queue};

/// Opens a consumer of a group's queue.
pub(crate) async fn open(sqs: &Sqs, subscription: Subscription) -> Result<Box<dyn Consumer>> {
    refuse_start(subscription.start)?;
    let queue = verify(sqs, &subscription).await?;
    let dead_letters = match &subscription.dead_letter {
        Some(policy) => Some(sqs.open_publisher(PublisherOptions::new(policy.topic.clone())).await?),
        None => None,
    };
    let publisher = dead_letters.map(|publisher| publisher as Arc<dyn Publisher>);
    let config = &sqs.config;
    let session = Session::new(subscription.clone(), Some(config.lease_limit), publisher);
    let held = Arc::new(Held::new(config.visibility));
    let (deletes, asked) = mpsc::unbounded_channel();
    let (lost, lost_groups) = mpsc::unbounded_channel();
    let (close, closes) = mpsc::channel(1);
    let consumer =
        session.connect(Arc::new(Handle { deletes, close, held: held.clone(), deadline: config.deadline }));
    let deleter = Deleter {
        client: sqs.cloud.client.clone(),
        url: queue.url.clone(),
        held: held.clone(),
        session: Arc::downgrade(&session),
        lost,
    };
    let again = {
        let (sqs, subscription) = (sqs.clone(), subscription);
        let verify: Verify = Box::new(move || {
            let (sqs, subscription) = (sqs.clone(), subscription.clone());
            async move { self::verify(&sqs, &subscription).await.map(|_| ()) }.boxed()
        });
        verify
    };
    let member = Member {
        polls: Polls::new(sqs, queue.url, session.subscription().prefetch),
        session,
        held,
        close: closes,
        lost: lost_groups,
        returns: FuturesUnordered::new(),
        closing: sqs.closing.subscribe(),
        verify: again,
        visibility: config.visibility,
        deadline: config.deadline,
    };
    // The one ends with the session, the other when the session is gone.
    tokio::spawn(member.run());
    tokio::spawn(deleter.run(asked));
    Ok(Box::new(consumer))
}

/// The group's queue, checked as the mode says; and what it promises against what is needed.
async fn verify(sqs: &Sqs, subscription: &Subscription) -> Result<Queue> {
    let Subscription { topic, group, requirements, .. } = subscription;
    let queue = Keeper::new(sqs, "receive").group(topic, group).await?;
    let place = format!("group `{group}` of topic `{topic}` of {}", sqs.config.place());
    check(sqs, std::slice::from_ref(&queue), requirements, &place)?;
    Ok(queue)
}

pub(crate) fn check(sqs: &Sqs, queues: &[Queue], needs: &Requirements, place: &str) -> Result<()> {
    needs.verify(&Facts { config: &sqs.config, queues }.guarantees(), place)
}

fn refuse_start(start: Start) -> Result<()> {
    let text = match start {
        Start::Resume => return Ok(()),
        Start::Earliest => "a queue forgets what is acknowledged: there is nothing to read again",
        Start::Latest => "a queue is read from where the group left off",
    };
    Err(Error::new(Kind::Unsupported, "subscribe", text).advice("use Start::Resume; Kafka can read again"))
}
