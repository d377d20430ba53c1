//! Opening a consumer.

use std::sync::Arc;

use anybroker_core::kit::Session;
use anybroker_core::{Consumer, Publisher, PublisherOptions, Result, Settled, Start, Subscription};
use futures::FutureExt;
use tokio::sync::mpsc;

use crate::backend::{Nats, verify_group};
use crate::bucket::{self, Bucket};
use crate::groups::From;
use crate::handle::Handle;
use crate::lane::Shared;
use crate::lanes::Lanes;
use crate::member::{Member, Verify};

/// Opens a consumer, which has joined its group when this returns.
pub(crate) async fn open(nats: &Nats, subscription: Subscription) -> Result<Box<dyn Consumer>> {
    let link = nats.link.clone();
    let epoch = link.up("receive", nats.config.deadline).await?;
    let known = verify_group(&link, &nats.config, &subscription).await?;
    let timeout = bucket::declare(&link, "receive", &nats.config, nats.config.topology).await?;
    let dead_letters = match &subscription.dead_letter {
        Some(policy) => Some(nats.open_publisher(PublisherOptions::new(policy.topic.clone())).await?),
        None => None,
    };
    let publisher = dead_letters.map(|publisher| publisher as Arc<dyn Publisher>);
    let session = Session::new(subscription.clone(), None, publisher);
    let shared = Arc::new(Shared::default());
    let last = known.topic.info.as_ref().map_or(0, |info| info.state.last_sequence);
    let from = match subscription.start {
        Start::Resume => None,
        Start::Earliest => Some(From::First),
        Start::Latest => Some(From::Sequence(last + 1)),
    };
    let settled = if known.confirms_settlements() { Settled::Confirmed } else { Settled::Recorded };
    let prefix = known.topic.names.members(&subscription.group);
    let place = (known.topic, known.layout);
    let lanes =
        Lanes::new(link.clone(), session.clone(), place, (Bucket::new(timeout), from), shared.clone());
    let (commands, receiver) = mpsc::channel(1);
    let mut member =
        Member::new(lanes, prefix, again(nats, &subscription), receiver, nats.closing.subscribe());
    member.join().await?;
    // It ends when the session does: when the consumer is closed or dropped, or the broker handle is closed.
    tokio::spawn(member.run(epoch));
    let deadline = nats.config.deadline;
    Ok(Box::new(session.connect(Arc::new(Handle { link, shared, commands, deadline, settled }))))
}

/// What is looked at again after every reconnect.
fn again(nats: &Nats, subscription: &Subscription) -> Verify {
    let (link, config, subscription) = (nats.link.clone(), nats.config.clone(), subscription.clone());
    Box::new(move || {
        let (link, config, subscription) = (link.clone(), config.clone(), subscription.clone());
        async move { verify_group(&link, &config, &subscription).await.map(|_| ()) }.boxed()
    })
}
