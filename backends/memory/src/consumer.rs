//! Opening a consumer: joining the group, and starting where the subscription says.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anybroker_core::kit::Session;
use anybroker_core::{Consumer, Error, Kind, Publisher, Result, Start, Subscription, TopologyMode};

use crate::direct;
use crate::group::Cursor;
use crate::member::{Member, fetches_when_asked};
use crate::setup::Setup;
use crate::store::{TopicInner, TopicState};

static NEXT_MEMBER: AtomicU64 = AtomicU64::new(1);

pub(crate) fn open(
    topic: Arc<TopicState>,
    mut subscription: Subscription,
    setup: &Setup,
    dead_letters: Option<Arc<dyn Publisher>>,
) -> Result<(Arc<Session>, Box<dyn Consumer>)> {
    refuse_start(&subscription, setup)?;
    if let Some(adversary) = &setup.adversary {
        adversary.opening()?;
    }
    subscription.prefetch = subscription.prefetch.min(setup.semantics.in_flight);
    let id = NEXT_MEMBER.fetch_add(1, Ordering::Relaxed);
    let session = Session::new(subscription.clone(), setup.semantics.lease, dead_letters);
    if !setup.semantics.stores {
        let consumer = direct::open(id, &topic, &session, setup);
        return Ok((session, consumer));
    }
    let mut inner = topic.lock();
    refuse_undeclared(&inner, &subscription, setup)?;
    inner.group(&subscription.group, setup)?;
    seek(&mut inner, &subscription)?;
    if let Some(group) = inner.groups.get_mut(&subscription.group) {
        group.members.push(id);
    }
    if fetches_when_asked(setup) {
        inner.add_asking(id, &session);
    }
    drop(inner);
    topic.regrouped.notify_waiters();
    let member = Arc::new(Member::new(id, topic, session.clone(), setup.clone()));
    // The task ends with its session, which ends when the consumer is closed or dropped.
    tokio::spawn(member.clone().run());
    let consumer = Box::new(session.connect(member));
    Ok((session, consumer))
}

fn refuse_start(subscription: &Subscription, setup: &Setup) -> Result<()> {
    if setup.semantics.has_start(subscription.start) {
        return Ok(());
    }
    let text = format!("there is nothing to start from at {:?}", subscription.start);
    Err(Error::new(Kind::Unsupported, "subscribe", text).advice("use Start::Resume; Kafka can read again"))
}

fn refuse_undeclared(inner: &TopicInner, subscription: &Subscription, setup: &Setup) -> Result<()> {
    let Subscription { topic, group, .. } = subscription;
    let made = setup.config.topology == TopologyMode::Create || !setup.semantics.declared_groups;
    // The only group that there may be is another one.
    let taken = setup.semantics.one_group && !inner.groups.is_empty();
    if made || taken || inner.groups.contains_key(group) {
        return Ok(());
    }
    Err(Error::new(Kind::NotFound, "subscribe", format!("topic `{topic}` has no group `{group}`"))
        .advice("declare it first, or add topology=create to the URL"))
}

/// Moves the group to where the subscription starts.
fn seek(inner: &mut TopicInner, subscription: &Subscription) -> Result<()> {
    let TopicInner { logs, groups, .. } = inner;
    let Some(group) = groups.get_mut(&subscription.group) else { return Ok(()) };
    if subscription.start == Start::Resume {
        return Ok(());
    }
    if !group.members.is_empty() {
        let text = "the group has members, and starting elsewhere would move them too";
        return Err(Error::new(Kind::InvalidConfiguration, "subscribe", text)
            .on(format!("group `{}`", subscription.group))
            .advice("close them first, use another group, or start with Start::Resume"));
    }
    for (cursor, log) in group.cursors.iter_mut().zip(logs) {
        *cursor = Cursor::at(if subscription.start == Start::Earliest { log.start() } else { log.end() });
    }
    Ok(())
}
