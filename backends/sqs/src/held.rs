//! The messages that SQS has given this consumer, each with its receipt handle and the time until which it is ours.
//!
//! SQS may answer that it has deleted a message whose time is over, although somebody else has it by then. So our own
//! clock decides, with a margin.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anybroker_core::{Error, Fate, Kind, Result};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::config::LONGEST_LEASE;

/// A message that is ours.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    pub(crate) handle: String,
    /// SQS's own id of the message.
    pub(crate) message: String,
    pub(crate) group: String,
    pub(crate) received: Instant,
    /// Until when it is certainly ours.
    pub(crate) until: Instant,
    /// It is being deleted or extended at the moment.
    deleting: bool,
    extending: bool,
}

impl Lease {
    pub(crate) fn new(
        handle: String,
        message: String,
        group: String,
        since: Instant,
        visibility: Duration,
    ) -> Self {
        Lease {
            handle,
            message,
            group,
            received: since,
            until: since + visibility,
            deleting: false,
            extending: false,
        }
    }
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    leases: BTreeMap<u64, Lease>,
    by_message: HashMap<String, u64>,
}

/// All messages of a consumer, by the numbers that the session knows them by.
#[derive(Debug)]
pub(crate) struct Held {
    table: Mutex<Table>,
    visibility: Duration,
    /// A deletion has been answered.
    answered: Notify,
}

impl Held {
    pub(crate) fn new(visibility: Duration) -> Self {
        Held { table: Mutex::default(), visibility, answered: Notify::new() }
    }

    /// How long before its end a lease counts as over: it began when SQS answered, which is before the answer was here, and
    /// clocks differ.
    fn margin(&self) -> Duration {
        (self.visibility / 10).min(Duration::from_secs(2))
    }

    /// Takes a message in.
    pub(crate) fn insert(&self, lease: Lease) -> u64 {
        let mut table = self.table();
        let number = table.next;
        table.next += 1;
        table.by_message.insert(lease.message.clone(), number);
        table.leases.insert(number, lease);
        number
    }

    /// The group of a message that is here already, by SQS's own id.
    pub(crate) fn knows(&self, message: &str) -> Option<String> {
        let table = self.table();
        let number = table.by_message.get(message)?;
        table.leases.get(number).map(|lease| lease.group.clone())
    }

    /// The handle of a message that is to be deleted, if it is ours for certain.
    pub(crate) fn begin_delete(&self, number: u64) -> Result<String> {
        let now = Instant::now() + self.margin();
        let mut table = self.table();
        let lease = table.leases.get_mut(&number).filter(|lease| lease.until > now && !lease.deleting);
        let lease = lease.ok_or_else(expired)?;
        lease.deleting = true;
        Ok(lease.handle.clone())
    }

    /// SQS says that it deleted the message: that is certain only if it was still ours by then. Otherwise it may have been
    /// deleted, or be somebody else's.
    pub(crate) fn end_delete(&self, number: u64) -> Result<()> {
        let now = Instant::now() + self.margin();
        let removed = self.table().remove(number);
        self.answered.notify_waiters();
        match removed {
            Some(lease) if lease.until > now => Ok(()),
            _ => Err(expired().with_fate(Fate::Unknown)),
        }
    }

    /// Nobody said that it was deleted.
    pub(crate) fn abort_delete(&self, number: u64) {
        if let Some(lease) = self.table().leases.get_mut(&number) {
            lease.deleting = false;
        }
        self.answered.notify_waiters();
    }

    /// Waits until nothing is being deleted.
    pub(crate) async fn deleted(&self) {
        loop {
            let mut answered = std::pin::pin!(self.answered.notified());
            answered.as_mut().enable();
            if !self.table().leases.values().any(|lease| lease.deleting) {
                return;
            }
            answered.await;
        }
    }

    /// What is to be extended now, with its handle: what has used a third of its time.
    pub(crate) fn begin_extend(&self) -> Vec<(u64, String)> {
        let now = Instant::now();
        let due = now + self.visibility * 2 / 3;
        let mut table = self.table();
        let leases = table.leases.iter_mut().filter(|(_, lease)| {
            !lease.deleting && !lease.extending && lease.until <= due && now < lease.until
        });
        leases
            .map(|(number, lease)| {
                lease.extending = true;
                (*number, lease.handle.clone())
            })
            .collect()
    }

    /// The message is ours for as long again, counted from when it was asked for; or as long as before.
    pub(crate) fn end_extend(&self, number: u64, asked: Option<Instant>) {
        if let Some(lease) = self.table().leases.get_mut(&number) {
            lease.extending = false;
            if let Some(asked) = asked {
                lease.until = lease.until.max(asked + self.visibility);
            }
        }
    }

    /// SQS says that the message is not ours any more.
    pub(crate) fn expire(&self, number: u64) {
        if let Some(lease) = self.table().leases.get_mut(&number).filter(|lease| !lease.deleting) {
            lease.until = Instant::now();
        }
    }

    /// The groups of which a message's time is over, or will be soon whatever we do.
    pub(crate) fn lapsed(&self) -> Vec<String> {
        let now = Instant::now() + self.margin();
        let cap = LONGEST_LEASE.saturating_sub(self.visibility * 2);
        let table = self.table();
        let over = |lease: &&Lease| !lease.deleting && (lease.until <= now || lease.received + cap <= now);
        let mut groups: Vec<_> =
            table.leases.values().filter(over).map(|lease| lease.group.clone()).collect();
        groups.sort_unstable();
        groups.dedup();
        groups
    }

    /// The group of a message.
    pub(crate) fn group(&self, number: u64) -> Option<String> {
        self.table().leases.get(&number).map(|lease| lease.group.clone())
    }

    /// Takes out what `which` says, in the order in which it came; what is being deleted stays.
    pub(crate) fn take(&self, which: impl Fn(&Lease) -> bool) -> Vec<(u64, Lease)> {
        let mut table = self.table();
        let numbers: Vec<_> = table
            .leases
            .iter()
            .filter(|(_, lease)| !lease.deleting && which(lease))
            .map(|(number, _)| *number)
            .collect();
        numbers.into_iter().filter_map(|number| Some((number, table.remove(number)?))).collect()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn remove(&mut self, number: u64) -> Option<Lease> {
        let lease = self.leases.remove(&number)?;
        if self.by_message.get(&lease.message) == Some(&number) {
            self.by_message.remove(&lease.message);
        }
        Some(lease)
    }
}

fn expired() -> Error {
    Error::new(Kind::LeaseExpired, "settle", "its visibility timeout is over, or may be: it comes again")
        .advice("raise visibility= if this happens while the program is running normally")
}

#[cfg(test)]
mod tests {
    use super::*;

    const VISIBILITY: Duration = Duration::from_secs(30);

    fn lease(message: &str, group: &str) -> Lease {
        Lease::new(format!("handle of {message}"), message.into(), group.into(), Instant::now(), VISIBILITY)
    }

    #[tokio::test(start_paused = true)]
    async fn a_delete_counts_only_while_the_message_is_ours_for_certain() {
        let held = Held::new(VISIBILITY);
        let a = held.insert(lease("a", "g"));
        let b = held.insert(lease("b", "g"));
        let c = held.insert(lease("c", "g"));
        assert_eq!(held.begin_delete(a).unwrap(), "handle of a");
        assert!(held.begin_delete(a).is_err(), "twice at once");
        assert!(held.begin_delete(b).is_ok());
        tokio::time::advance(VISIBILITY - Duration::from_secs(3)).await;
        assert!(held.end_delete(a).is_ok());
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(held.begin_delete(c).unwrap_err().kind(), Kind::LeaseExpired, "within the margin");
        let late = held.end_delete(b).unwrap_err();
        assert_eq!((late.kind(), late.fate()), (Kind::LeaseExpired, Fate::Unknown), "answered too late");
    }

    #[tokio::test(start_paused = true)]
    async fn leases_are_extended_in_time_and_lapse_by_group() {
        let held = Held::new(VISIBILITY);
        let a = held.insert(lease("a", "g"));
        let b = held.insert(lease("b", "h"));
        assert!(held.begin_extend().is_empty());
        tokio::time::advance(VISIBILITY / 3).await;
        assert_eq!(held.begin_extend().len(), 2);
        assert!(held.begin_extend().is_empty(), "already under way");
        held.end_extend(a, Some(Instant::now()));
        held.end_extend(b, None);
        tokio::time::advance(VISIBILITY * 2 / 3).await;
        assert_eq!(held.lapsed(), ["h"]);
        let gone = held.take(|lease| lease.group == "h");
        assert_eq!(gone.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [b]);
        assert!(held.begin_delete(a).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_held_for_longer_than_sqs_allows() {
        let held = Held::new(VISIBILITY);
        let a = held.insert(lease("a", "g"));
        for _ in 0..(LONGEST_LEASE.as_secs() / 20) {
            tokio::time::advance(Duration::from_secs(20)).await;
            held.end_extend(a, Some(Instant::now()));
        }
        assert_eq!(held.lapsed(), ["g"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_given_anew_is_known() {
        let held = Held::new(VISIBILITY);
        held.insert(lease("a", "g"));
        assert_eq!(held.knows("a").as_deref(), Some("g"));
        held.insert(lease("a", "g"));
        held.take(|_| true);
        assert_eq!(held.knows("a"), None);
    }
}
