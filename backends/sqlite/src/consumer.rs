//! Opening a consumer: joining the group, and noting what is handed out.

use std::sync::{Arc, Mutex};

use anybroker_core::kit::{Session, SessionConsumer};
use anybroker_core::{
    Consumer, Delivery, Error, Kind, Publisher, Result, Settler, Start, Subscription, async_trait,
};
use tokio::task::JoinHandle;

use crate::config::SqliteConfig;
use crate::handed::Handed;
use crate::live::Presence;
use crate::member::{Leaving, Member, Task, strike_off_the_dead};
use crate::membership;
use crate::store::Store;
use crate::topics::{self, TopicState};

/// A consumer with what keeps it going.
pub(crate) struct Opened {
    pub(crate) consumer: Box<dyn Consumer>,
    pub(crate) session: Arc<Session>,
    pub(crate) task: JoinHandle<()>,
}

pub(crate) async fn open(
    store: Arc<Store>,
    topic: Arc<TopicState>,
    subscription: Subscription,
    config: &SqliteConfig,
    dead_letters: Option<Arc<dyn Publisher>>,
) -> Result<Opened> {
    if subscription.start != Start::Resume {
        bury_the_dead(&store, &topic, &subscription).await?;
    }
    let (presence, handed) = files(&store).await?;
    let (group, id) = join(&store, &topic, &subscription, &presence).await?;
    let session = Session::new(subscription, config.lease, dead_letters);
    let member = Arc::new(Member {
        store,
        group,
        id,
        handed: Arc::new(handed),
        owned: Mutex::default(),
        leaving: Leaving::default(),
    });
    // The task ends with its session, which ends when the consumer is closed or dropped.
    let task = tokio::spawn(Task { member: member.clone(), topic, session: session.clone(), presence }.run());
    let inner = session.connect(member.clone());
    Ok(Opened { consumer: Box::new(SqliteConsumer { inner: Box::new(inner), member }), session, task })
}

/// Dead members must not keep the group from being moved.
async fn bury_the_dead(store: &Arc<Store>, topic: &TopicState, subscription: &Subscription) -> Result<()> {
    let (id, name) = (topic.id, subscription.group.clone());
    let found = store.read("subscribe", move |connection| {
        let Some(group) = topics::find_group(connection, id, &name)? else { return Ok(None) };
        Ok(Some((group, membership::members(connection, group)?)))
    });
    if let Some((group, members)) = found.await? {
        strike_off_the_dead(store, topic.id, group, members).await?;
    }
    Ok(())
}

/// The member's files, before anybody can look whether it lives.
async fn files(store: &Arc<Store>) -> Result<(Presence, Handed)> {
    let live = store.live.clone();
    let failed = |error: std::io::Error| {
        Error::new(Kind::Unexpected, "subscribe", "the member's files cannot be made")
            .with_source(error)
            .advice("this user must be able to create files beside the database")
    };
    let make = move |_: &rusqlite::Connection| {
        let presence = live.member().map_err(failed)?;
        let handed = Handed::create(live.handed(&presence.name)).map_err(failed)?;
        Ok((presence, handed))
    };
    store.read("subscribe", make).await
}

async fn join(
    store: &Arc<Store>,
    topic: &TopicState,
    subscription: &Subscription,
    presence: &Presence,
) -> Result<(i64, i64)> {
    let (id, name, group) = (topic.id, topic.topic.clone(), subscription.group.clone());
    let (start, file) = (subscription.start, presence.name.clone());
    store
        .write("subscribe", move |transaction| {
            membership::join(transaction, (id, &name), &group, start, &file)
        })
        .await
}

/// The session's consumer, which notes what is handed out before it is.
#[derive(Debug)]
struct SqliteConsumer {
    inner: Box<SessionConsumer>,
    member: Arc<Member>,
}

#[async_trait]
impl Consumer for SqliteConsumer {
    async fn receive(&mut self, max: usize) -> Result<Vec<Delivery>> {
        // Dropped while it is noted, the batch is released and comes again.
        let batch = self.inner.receive(max).await?;
        if let Err(error) = self.member.hand_out(&batch).await {
            tracing::warn!(%error, "if this process dies now, the attempts of what it holds are not counted");
        }
        Ok(batch)
    }

    fn settler(&self) -> Arc<dyn Settler> {
        self.inner.settler()
    }

    async fn close(self: Box<Self>) -> Result<()> {
        self.inner.close().await
    }
}
