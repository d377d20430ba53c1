//! What a liar has set aside of a group's messages, to deliver it later by itself.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anybroker_core::Topic;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::handed::{Behind, Handed};

/// A group of a topic, as a liar sees it.
#[derive(Debug)]
pub(super) struct Aside {
    pub(super) topic: Topic,
    /// The group's name.
    pub(super) name: String,
    waiting: Mutex<Vec<Waiting>>,
    pub(super) changed: Notify,
    delivered: AtomicU64,
    /// How many members have been opened.
    members: AtomicU64,
    open: Mutex<Vec<u64>>,
    /// How often messages were delivered without the broker's knowledge.
    unknown: Mutex<HashMap<String, u32>>,
}

/// When a message that is set aside is delivered, and to whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct When {
    at: Instant,
    /// Or after so many deliveries of the group, if that is sooner, but not before this.
    after: Option<(u64, Instant)>,
    from_member: u64,
    only: bool,
}

#[derive(Debug)]
struct Waiting {
    handed: Handed,
    when: When,
}

impl When {
    /// After a time.
    pub(super) fn later(delay: Duration) -> Self {
        When { at: Instant::now() + delay, after: None, from_member: 0, only: false }
    }

    /// At once, to any member.
    pub(super) fn now() -> Self {
        Self::later(Duration::ZERO)
    }

    /// To one member only.
    pub(super) fn to(self, member: u64) -> Self {
        When { from_member: member, only: true, ..self }
    }

    fn is_due(&self, member: u64, delivered: u64, now: Instant) -> bool {
        let ours = if self.only { member == self.from_member } else { member >= self.from_member };
        ours && (now >= self.at
            || self.after.is_some_and(|(after, not_before)| delivered >= after && now >= not_before))
    }
}

impl Aside {
    pub(super) fn new(topic: Topic, name: String) -> Self {
        Aside {
            topic,
            name,
            waiting: Mutex::default(),
            changed: Notify::new(),
            delivered: AtomicU64::new(0),
            members: AtomicU64::new(0),
            open: Mutex::default(),
            unknown: Mutex::default(),
        }
    }

    /// A member joins; gives its number.
    pub(super) fn join(&self) -> u64 {
        let member = self.members.fetch_add(1, Ordering::Relaxed) + 1;
        lock(&self.open).push(member);
        self.changed.notify_waiters();
        member
    }

    /// A member has gone.
    pub(super) fn leave(&self, member: u64) {
        lock(&self.open).retain(|open| *open != member);
        self.changed.notify_waiters();
    }

    /// The members that are there, in order of joining.
    pub(super) fn open(&self) -> Vec<u64> {
        lock(&self.open).clone()
    }

    /// Sets a message aside.
    pub(super) fn put(&self, handed: Handed, when: When) {
        lock(&self.waiting).push(Waiting { handed, when });
        self.changed.notify_waiters();
    }

    /// Sets a message aside until so many more were delivered, or a second has passed; in any case for its delay.
    pub(super) fn put_behind(&self, handed: Handed, deliveries: u64, delay: Duration) {
        let after = (self.delivered.load(Ordering::Relaxed) + deliveries, Instant::now() + delay);
        self.put(handed, When { after: Some(after), ..When::later(delay + Duration::from_secs(1)) });
    }

    /// Sets a message aside for members that are opened from now on.
    pub(super) fn put_for_the_next(&self, handed: Handed) {
        let from_member = self.members.load(Ordering::Relaxed) + 1;
        self.put(handed, When { from_member, ..When::now() });
    }

    /// A message of the liar's own was put back, or its member has gone.
    pub(super) fn put_back(&self, handed: Handed, delay: Duration, counted: bool) {
        let attempt = handed.attempt + u32::from(counted);
        let again = Handed { attempt, redelivered: true, behind: Behind::Liar, ..handed };
        self.put(again, When::later(delay));
    }

    /// Takes what is due for a member.
    pub(super) fn take_due(&self, member: u64, max: usize) -> Vec<Handed> {
        let (now, delivered) = (Instant::now(), self.delivered.load(Ordering::Relaxed));
        let mut waiting = lock(&self.waiting);
        let mut due = Vec::new();
        while due.len() < max
            && let Some(at) = waiting.iter().position(|it| it.when.is_due(member, delivered, now))
        {
            due.push(waiting.remove(at).handed);
        }
        due
    }

    /// Drops what is void.
    pub(super) fn forget(&self, void: impl Fn(&Handed) -> bool) {
        lock(&self.waiting).retain(|it| !void(&it.handed));
    }

    /// When to look again.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let now = Instant::now();
        lock(&self.waiting).iter().map(|it| it.when.at).filter(|at| *at > now).min()
    }

    /// So many messages were delivered.
    pub(super) fn delivered(&self, messages: usize) {
        self.delivered.fetch_add(messages as u64, Ordering::Relaxed);
    }

    /// A message was delivered once more than the broker knows: later deliveries count it.
    pub(super) fn delivered_besides(&self, handed: &Handed) {
        *lock(&self.unknown).entry(handed.id()).or_default() += 1;
    }

    /// What the broker delivered, with the attempts that it does not know.
    pub(super) fn counted(&self, mut handed: Handed) -> Handed {
        let unknown = lock(&self.unknown);
        if !unknown.is_empty()
            && let Some(more) = unknown.get(&handed.id())
        {
            handed.attempt += more;
            handed.redelivered = true;
        }
        handed
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
