//! What all connections to one lying broker share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use anybroker_core::{Certainty, Error, Group, Guarantees, Kind, Level as _, Replay, Result, Topic};
use tokio::sync::Notify;

use super::aside::{Aside, lock};
use super::lie::Lie;

/// How long a case may keep a processor busy before it counts as a loop without an end.
const BUSY: std::time::Duration = std::time::Duration::from_secs(60);

/// The largest message that a liar takes: large ones show nothing more, and take time.
const LARGEST: usize = 256 << 10;

type Task = Box<dyn FnOnce() + Send>;

pub(super) struct World {
    pub(super) lie: Box<dyn Lie>,
    /// What it promises, as a change to what the broker does.
    promise: fn(&mut Guarantees),
    groups: Mutex<HashMap<(Topic, Group), Arc<Aside>>>,
    sequence: AtomicU64,
    began: std::time::Instant,
    paused: AtomicBool,
    resumed: Notify,
    /// What was published meanwhile.
    stalled: Mutex<Vec<Task>>,
}

impl World {
    pub(super) fn new(lie: Box<dyn Lie>, promise: fn(&mut Guarantees)) -> Arc<Self> {
        Arc::new(World {
            lie,
            promise,
            groups: Mutex::default(),
            sequence: AtomicU64::new(0),
            began: std::time::Instant::now(),
            paused: AtomicBool::new(false),
            resumed: Notify::new(),
            stalled: Mutex::default(),
        })
    }

    /// What it promises where the broker promises this.
    pub(super) fn promised(&self, mut honest: Guarantees) -> Guarantees {
        honest.limits.message_bytes = Some(LARGEST);
        (self.promise)(&mut honest);
        honest
    }

    pub(super) fn group(&self, topic: &Topic, group: &Group) -> Arc<Aside> {
        let new = || Arc::new(Aside::new(topic.clone(), group.to_string()));
        lock(&self.groups).entry((topic.clone(), group.clone())).or_insert_with(new).clone()
    }

    /// A number that no delivery has had.
    pub(super) fn next(&self) -> u64 {
        self.sequence.fetch_add(1, Ordering::Relaxed)
    }

    /// Fails once nothing will come of it any more.
    ///
    /// # Errors
    /// `TimedOut`.
    pub(super) fn patience(&self) -> Result<()> {
        if self.began.elapsed() < BUSY {
            return Ok(());
        }
        Err(Error::new(Kind::TimedOut, "receive", format!("no end of the case within {BUSY:?}")))
    }

    /// Stops: nothing is delivered, and nothing confirmed.
    pub(super) fn pause(&self) {
        self.paused.store(true, Ordering::Release);
    }

    /// Goes on.
    pub(super) fn resume(&self) {
        self.paused.store(false, Ordering::Release);
        self.lie.resumed();
        let stalled = std::mem::take(&mut *lock(&self.stalled));
        stalled.into_iter().for_each(|task| task());
        self.resumed.notify_waiters();
    }

    /// Does something now, or when it goes on.
    pub(super) fn when_it_runs(&self, task: Task) {
        let mut stalled = lock(&self.stalled);
        if self.paused.load(Ordering::Acquire) {
            return stalled.push(task);
        }
        drop(stalled);
        task();
    }

    /// Waits while it is stopped.
    pub(super) async fn running(&self) {
        loop {
            let mut resumed = std::pin::pin!(self.resumed.notified());
            resumed.as_mut().enable();
            if !self.paused.load(Ordering::Acquire) {
                return;
            }
            resumed.await;
        }
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("paused", &self.paused).finish_non_exhaustive()
    }
}

/// What deliveries and settlements say besides, by the promises.
#[derive(Clone, Copy, Debug)]
pub(super) struct Telling {
    /// Where a message is.
    pub(super) positions: bool,
    /// That an acknowledgement is confirmed.
    pub(super) confirms: bool,
}

impl Telling {
    pub(super) fn of(promised: &Guarantees) -> Self {
        Telling {
            positions: promised.replay.value.satisfies(Replay::Earliest),
            confirms: promised.settlement.value.satisfies(Certainty::Confirmed),
        }
    }
}
