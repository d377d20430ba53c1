//! The session's side of a consumer: it speaks to the loop's thread.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread::Thread;
use std::time::Duration;

use anybroker_core::kit::{Link, Session, within};
use anybroker_core::{Error, Kind, Requirements, Result, Subscription, Topic};
use async_trait::async_trait;
use tokio::sync::oneshot;

use crate::blocking::Owned;
use crate::cluster::Cluster;
use crate::enlist::{Enlist, Thaw};
use crate::rebalance::Member;
use crate::supervise::Supervised;
use crate::turns::Turns;

/// What the loop is asked.
pub(crate) enum Command {
    /// Commit, and say when it is confirmed.
    Flush(oneshot::Sender<Result<()>>),
    /// Leave the group.
    Close(oneshot::Sender<Result<()>>),
    /// Let a transaction commit these partitions, and nobody else.
    Enlist(Enlist),
    /// The transaction has ended: commit them as before.
    Thaw(Vec<Thaw>),
    /// Find the cluster again, which answers others.
    Remind,
}

/// Wakes the loop when there is something to do.
#[derive(Default)]
pub(crate) struct Wake {
    thread: OnceLock<Thread>,
    /// After so many more acknowledgements the loop wants to be woken; 0 if it does not wait for room.
    wanted: AtomicUsize,
}

impl Wake {
    /// The thread to wake.
    pub(crate) fn attach(&self, thread: Thread) {
        let _ = self.thread.set(thread);
    }

    /// Wakes it.
    pub(crate) fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// Wakes it after `acks` more acknowledgements.
    pub(crate) fn want_room(&self, acks: usize) {
        self.wanted.store(acks, Ordering::Release);
    }

    fn acknowledged(&self, acks: usize) {
        let before = self.wanted.load(Ordering::Acquire);
        if before == 0 {
            return;
        }
        let left =
            self.wanted.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| Some(n.saturating_sub(acks)));
        if left.is_ok_and(|n| n > 0 && n <= acks) {
            self.wake();
        }
    }
}

/// The link between a session and the loop that serves it.
pub(crate) struct LoopLink {
    /// Weak, because the session owns the link.
    session: Weak<Session>,
    subscription: Subscription,
    member: Arc<Member>,
    wake: Arc<Wake>,
    commands: Sender<Command>,
    thread: Mutex<Option<Owned>>,
    turns: OnceLock<Turns>,
    request_timeout: Duration,
    close_timeout: Duration,
    cluster: Weak<Cluster>,
}

impl LoopLink {
    /// A link, and where the loop reads its commands.
    pub(crate) fn new(
        cluster: &Arc<Cluster>,
        session: &Arc<Session>,
        member: Arc<Member>,
        wake: Arc<Wake>,
    ) -> (Arc<Self>, Receiver<Command>) {
        let (commands, receiver) = channel();
        let link = LoopLink {
            session: Arc::downgrade(session),
            subscription: session.subscription().clone(),
            member,
            wake,
            commands,
            thread: Mutex::new(None),
            turns: OnceLock::new(),
            request_timeout: cluster.config.request_timeout,
            close_timeout: cluster.config.close_timeout,
            cluster: Arc::downgrade(cluster),
        };
        (Arc::new(link), receiver)
    }

    /// Takes over the loop and its thread.
    pub(crate) fn own(&self, turns: Turns, thread: Owned) {
        let _ = self.turns.set(turns);
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
    }

    /// Closes the consumer from the broker's side of the contract.
    ///
    /// # Errors
    /// As [`Link::close`].
    ///
    /// # Cancel safety
    /// Not cancel safe.
    pub(crate) async fn shut_down(&self) -> Result<()> {
        let closed = self.close().await;
        self.fail(Error::new(Kind::Closed, "receive", "the broker handle is closed"));
        closed
    }

    /// Whether it was opened from this broker handle.
    pub(crate) fn is_of(&self, cluster: &Arc<Cluster>) -> bool {
        std::ptr::eq(self.cluster.as_ptr(), Arc::as_ptr(cluster))
    }

    /// Gives the loop something to do; says whether it is still there.
    pub(crate) fn command(&self, command: Command) -> bool {
        let sent = self.commands.send(command).is_ok();
        self.wake.wake();
        sent
    }

    async fn ask(
        &self,
        operation: &'static str,
        deadline: Duration,
        command: impl FnOnce(oneshot::Sender<Result<()>>) -> Command,
    ) -> Result<()> {
        let ended = || Error::new(Kind::Closed, operation, "the consumer has ended");
        let (answer, answered) = oneshot::channel();
        if !self.command(command(answer)) {
            return Err(ended());
        }
        within(deadline, operation, async { answered.await.unwrap_or_else(|_| Err(ended())) }).await
    }
}

#[async_trait]
impl Link for LoopLink {
    fn recorded(&self, acks: usize) {
        self.wake.acknowledged(acks);
    }

    fn refill(&self) -> usize {
        let records = self.turns.get().and_then(Turns::refill);
        if records.is_none() {
            self.wake.wake();
        }
        records.unwrap_or(0)
    }

    async fn flush(&self) -> Result<()> {
        self.ask("settle: flush", self.request_timeout, Command::Flush).await
    }

    async fn close(&self) -> Result<()> {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return Ok(()) };
        let closed = self.ask("consumer: close", self.close_timeout, Command::Close).await;
        thread.join(self.close_timeout, "consumer: close").await?;
        match closed {
            // It had ended before, for a reason that `receive` tells.
            Err(error) if error.kind() == Kind::Closed => Ok(()),
            closed => closed,
        }
    }
}

impl Supervised for LoopLink {
    fn take_disturbed(&self) -> bool {
        self.member.observer.take_disturbed()
    }

    fn topic(&self) -> &Topic {
        &self.subscription.topic
    }

    fn requirements(&self) -> &Requirements {
        &self.subscription.requirements
    }

    fn fail(&self, error: Error) {
        if let Some(session) = self.session.upgrade() {
            session.fail(error);
        }
    }

    fn remind(&self) {
        if self.member.observer.is_deserted() {
            self.command(Command::Remind);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loop_is_woken_when_enough_has_been_acknowledged() {
        let wake = Wake::default();
        wake.attach(std::thread::current());
        let woken = || {
            let started = std::time::Instant::now();
            std::thread::park_timeout(Duration::from_millis(200));
            started.elapsed() < Duration::from_millis(150)
        };
        wake.acknowledged(5);
        wake.want_room(3);
        wake.acknowledged(2);
        assert!(!woken(), "two are not three");
        wake.acknowledged(2);
        assert!(woken());
        wake.acknowledged(1);
        assert!(!woken(), "once is enough");
    }
}
