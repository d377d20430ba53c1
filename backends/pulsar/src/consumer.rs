//! Opening a consumer.

use std::sync::Arc;

use anybroker_core::kit::Session;
use anybroker_core::{
    Consumer, Error, Kind, MessageId, Publisher, PublisherOptions, Result, Start, Subscription, TopologyMode,
};
use futures::FutureExt;
use tokio::sync::mpsc;

use crate::backend::PulsarBackend;
use crate::connections::Connections;
use crate::guarantees::Facts;
use crate::member::{Handle, Member, Place, Reopen};
use crate::topology::{Context, View};

/// Commands that wait for the task; each caller waits for its answer.
const COMMANDS: usize = 16;

/// Opens a consumer, which has joined its group when this returns.
pub(crate) async fn open(backend: &PulsarBackend, subscription: Subscription) -> Result<Box<dyn Consumer>> {
    let context = backend.context.clone();
    let connections = Connections::open(context.config.clone()).await?;
    let view = verify(&context, &connections, &subscription).await?;
    start(&context, &view, &subscription).await?;
    let dead_letters = match &subscription.dead_letter {
        Some(policy) => Some(backend.open_publisher(PublisherOptions::new(policy.topic.clone())).await?),
        None => None,
    };
    let session = Session::new(
        subscription.clone(),
        None,
        dead_letters.map(|publisher| publisher as Arc<dyn Publisher>),
    );
    let name = format!("{}-{}", context.config.name, MessageId::new());
    let deadline = context.config.deadline;
    let place = Place { context: context.clone(), session: session.clone(), name };
    let joined = place.join(connections, &view).await?;
    let (commands, receiver) = mpsc::channel(COMMANDS);
    let reopen = again(context, subscription);
    let member = Member { place, reopen, commands: receiver, closing: backend.closing.subscribe() };
    // It ends when the session does: when the consumer is closed or dropped, or the broker handle is closed.
    tokio::spawn(member.run(joined));
    Ok(Box::new(session.connect(Arc::new(Handle { commands, deadline }))))
}

/// The topic and the group as the mode says, and the guarantees against what is needed.
async fn verify(context: &Context, connections: &Connections, subscription: &Subscription) -> Result<View> {
    let Subscription { topic, group, requirements, .. } = subscription;
    let (config, wire) = (&context.config, connections.base());
    let view = context.topic("receive", config.topology, wire, topic, config.partitions).await?;
    context.group("receive", config.topology, topic, group).await?;
    let facts = Facts::ask(context, "receive", wire, Some(&view)).await?;
    let place = format!("group `{group}` of topic `{topic}` of {}", config.place());
    requirements.verify(&facts.guarantees(config), &place)?;
    Ok(view)
}

fn again(context: Arc<Context>, subscription: Subscription) -> Reopen {
    Box::new(move || {
        let (context, subscription) = (context.clone(), subscription.clone());
        async move {
            let connections = Connections::open(context.config.clone()).await?;
            let view = verify(&context, &connections, &subscription).await?;
            Ok((connections, view))
        }
        .boxed()
    })
}

/// Moves the group to where it is to start.
async fn start(context: &Context, view: &View, subscription: &Subscription) -> Result<()> {
    let Subscription { topic, group, .. } = subscription;
    let keeps = view.retention.is_some_and(|retention| retention.keeps());
    match subscription.start {
        Start::Resume => Ok(()),
        _ if context.config.topology == TopologyMode::Ignore => {
            let text = "a group is moved by the admin interface, which topology=ignore leaves alone";
            Err(Error::new(Kind::Unsupported, "receive", text).advice("use topology=check"))
        }
        Start::Earliest if !keeps => {
            let text = format!("topic `{topic}` keeps nothing that was acknowledged: it has no retention");
            Err(Error::new(Kind::Unsupported, "receive", text)
                .advice("set one: pulsar-admin topics set-retention; topology=create does, by retention="))
        }
        Start::Earliest => context.manager.rewind("receive", &view.names(), group).await,
        Start::Latest => context.manager.skip("receive", topic, group).await,
    }
}
