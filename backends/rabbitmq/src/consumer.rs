//! Opening a consumer.

use std::sync::Arc;

use anybroker_core::kit::Session;
use anybroker_core::{Consumer, Error, Kind, Publisher, PublisherOptions, Result, Start, Subscription};
use futures::FutureExt;
use tokio::sync::mpsc;

use crate::backend::{Rabbit, verify_group};
use crate::guarantees::share_of_prefetch;
use crate::limit;
use crate::member::{Handle, Member, Place};
use crate::sending::Verify;

/// Commands that wait for the task; each caller waits for its answer.
const COMMANDS: usize = 16;

/// Opens a consumer, which has joined its group when this returns.
pub(crate) async fn open(rabbit: &Rabbit, subscription: Subscription) -> Result<Box<dyn Consumer>> {
    refuse_start(subscription.start)?;
    let live = rabbit.link.now().await?;
    let (topic, group) = (&subscription.topic, &subscription.group);
    let known = verify_group(&rabbit.config, &live, topic, group, &subscription.requirements).await?;
    let dead_letters = match &subscription.dead_letter {
        Some(policy) => Some(rabbit.open_publisher(PublisherOptions::new(policy.topic.clone())).await?),
        None => None,
    };
    let publisher = dead_letters.clone().map(|publisher| publisher as Arc<dyn Publisher>);
    let session = Session::new(subscription.clone(), None, publisher);
    let (commands, receiver) = mpsc::channel(COMMANDS);
    let layout = known.layout;
    let place = Place {
        link: rabbit.link.clone(),
        session: session.clone(),
        prefetch: share_of_prefetch(subscription.prefetch, layout.count()),
        layout: layout.clone(),
        locks: rabbit.locks.clone(),
        verify: again(rabbit, &subscription),
    };
    let joined = place.join(live).await?;
    let member = Member { place, commands: receiver, closing: rabbit.closing.subscribe() };
    if let Some(publisher) = dead_letters {
        let names = layout.names.clone();
        // It ends with the session.
        tokio::spawn(limit::run(rabbit.link.clone(), names, session.clone(), publisher));
    }
    // It ends when the session does: when the consumer is closed or dropped, or the broker handle is closed.
    tokio::spawn(member.run(joined));
    Ok(Box::new(session.connect(Arc::new(Handle { commands, deadline: rabbit.config.deadline }))))
}

/// What is looked at again after every reconnect.
fn again(rabbit: &Rabbit, subscription: &Subscription) -> Verify {
    let (config, subscription) = (rabbit.config.clone(), subscription.clone());
    Box::new(move |live| {
        let (config, subscription) = (config.clone(), subscription.clone());
        async move {
            let Subscription { topic, group, requirements, .. } = &subscription;
            verify_group(&config, &live, topic, group, requirements).await.map(|_| ())
        }
        .boxed()
    })
}

/// Queues forget what is acknowledged, so there is nothing to start from but where the group left off.
fn refuse_start(start: Start) -> Result<()> {
    let (asked, advice) = match start {
        Start::Resume => return Ok(()),
        Start::Earliest => (
            "earliest",
            "use Start::Resume: a group gets every message from its declaration on; for replay use a broker with a log",
        ),
        Start::Latest => {
            ("latest", "declare a new group instead: it starts with what is published from then on")
        }
    };
    let text = format!("RabbitMQ's queues cannot start at {asked}: they have no replay");
    Err(Error::new(Kind::Unsupported, "receive", text).advice(advice))
}
