//! Opening a consumer: joining the group, and starting where the subscription says.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anybroker_core::kit::Session;
use anybroker_core::{Consumer, Error, Kind, Publisher, Result, Start, Subscription};

use crate::config::MemoryConfig;
use crate::group::Cursor;
use crate::member::Member;
use crate::store::{TopicInner, TopicState};

static NEXT_MEMBER: AtomicU64 = AtomicU64::new(1);

pub(crate) fn open(
    topic: Arc<TopicState>,
    subscription: Subscription,
    config: &MemoryConfig,
    dead_letters: Option<Arc<dyn Publisher>>,
) -> Result<(Arc<Session>, Box<dyn Consumer>)> {
    let id = NEXT_MEMBER.fetch_add(1, Ordering::Relaxed);
    let session = Session::new(subscription.clone(), config.lease, dead_letters);
    let mut inner = topic.lock();
    inner.group(&subscription.group);
    seek(&mut inner, &subscription)?;
    if let Some(group) = inner.groups.get_mut(&subscription.group) {
        group.members.push(id);
    }
    drop(inner);
    topic.changed.notify_waiters();
    let member = Arc::new(Member { id, topic, session: session.clone() });
    // The task ends with its session, which ends when the consumer is closed or dropped.
    tokio::spawn(member.clone().fetch());
    let consumer = Box::new(session.connect(member));
    Ok((session, consumer))
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
