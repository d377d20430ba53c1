//! Consuming: a task fills the session in the log's order, as long as its member is the first of the group.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anybroker_core::kit::{Ack, Incoming, Link, Session};
use anybroker_core::{Error, Kind, Result, Settled, async_trait};

use crate::shelf::Log;

static NEXT: AtomicU64 = AtomicU64::new(0);

#[derive(Debug)]
pub(crate) struct Member {
    id: u64,
    log: Arc<Log>,
    session: Arc<Session>,
}

impl Member {
    pub(crate) fn join(log: Arc<Log>, session: Arc<Session>) -> Self {
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let group = session.subscription().group.clone();
        log.lock().groups.entry(group).or_default().members.push_back(id);
        Member { id, log, session }
    }

    pub(crate) async fn fetch(self: Arc<Self>) {
        // The generation, once the log is ours, and what is handed over next.
        let mut ours = None;
        while self.session.ended().is_none() {
            let mut changed = std::pin::pin!(self.log.changed.notified());
            changed.as_mut().enable();
            if let Err(error) = self.fill(&mut ours) {
                self.session.fail(error);
            }
            tokio::select! {
                () = changed => {}
                () = self.session.settlement() => {}
            }
        }
        self.leave();
    }

    fn fill(&self, ours: &mut Option<(u32, u64)>) -> Result<()> {
        let mut log = self.log.lock();
        if log.deleted {
            return Err(Error::new(Kind::NotFound, "receive", "the topic was deleted"));
        }
        let log = &mut *log;
        let Some(group) = log.groups.get(&self.session.subscription().group) else { return Ok(()) };
        if group.members.front() != Some(&self.id) {
            return Ok(());
        }
        let (generation, next) = ours.get_or_insert_with(|| (self.session.assign(0), 0));
        let mut room = self.session.room().messages;
        while let Some(record) = log.records.get(*next as usize).filter(|_| room > 0) {
            let native = *next;
            *next += 1;
            if group.is_acknowledged(native) {
                continue;
            }
            let attempts = group.attempts(native);
            let redelivered = attempts > 0;
            let record = record.clone();
            let incoming =
                Incoming { record, native, offset: Some(native), stored: 0, attempts, redelivered };
            self.session.push(0, *generation, incoming);
            room -= 1;
        }
        Ok(())
    }

    /// What was delivered and not acknowledged goes to the next member, in order.
    fn leave(&self) {
        let mut log = self.log.lock();
        if let Some(group) = log.groups.get_mut(&self.session.subscription().group) {
            group.leave(self.id, &self.session.revoke(0));
        }
        drop(log);
        self.log.changed.notify_waiters();
    }
}

#[async_trait]
impl Link for Member {
    fn confirms(&self) -> bool {
        true
    }

    async fn acknowledge(&self, acks: &[Ack]) -> Vec<Result<Settled>> {
        let mut log = self.log.lock();
        let group = log.groups.get_mut(&self.session.subscription().group);
        let Some(group) = group.filter(|group| group.members.front() == Some(&self.id)) else {
            let fenced = || Error::new(Kind::Fenced, "settle", "another member has the log now");
            return acks.iter().map(|_| Err(fenced())).collect();
        };
        acks.iter().for_each(|ack| group.acknowledge(ack.native));
        acks.iter().map(|_| Ok(Settled::Confirmed)).collect()
    }

    async fn flush(&self) -> Result<()> {
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        self.leave();
        Ok(())
    }
}
