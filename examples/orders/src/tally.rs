//! What happened, counted; and the mishaps, decided by the messages' ids so that every run has the same.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anybroker::{Delivery, Error, Kind, MessageId, Result};
use tokio::sync::Notify;

use crate::events::FinalState;

#[derive(Default)]
struct Counts {
    delivered: AtomicU64,
    redelivered: AtomicU64,
    retried: AtomicU64,
    injected: AtomicU64,
    suppressed: AtomicU64,
    violations: AtomicU64,
}

pub(crate) struct Tally {
    orders: u32,
    began: Instant,
    counts: Counts,
    /// Every order's final states: right is exactly one.
    finished: Mutex<BTreeMap<u32, Vec<FinalState>>>,
    moved: Notify,
}

impl Tally {
    pub(crate) fn new(orders: u32) -> Self {
        Tally {
            orders,
            began: Instant::now(),
            counts: Counts::default(),
            finished: Mutex::default(),
            moved: Notify::new(),
        }
    }

    pub(crate) fn orders(&self) -> u32 {
        self.orders
    }

    pub(crate) fn delivered(&self, delivery: &Delivery) {
        self.counts.delivered.fetch_add(1, Relaxed);
        self.counts.redelivered.fetch_add(u64::from(delivery.redelivered()), Relaxed);
    }

    pub(crate) fn retried(&self) {
        self.counts.retried.fetch_add(1, Relaxed);
    }

    pub(crate) fn injected(&self) {
        self.counts.injected.fetch_add(1, Relaxed);
    }

    pub(crate) fn suppressed(&self) {
        self.counts.suppressed.fetch_add(1, Relaxed);
    }

    pub(crate) fn violation(&self) {
        self.counts.violations.fetch_add(1, Relaxed);
    }

    /// Every 37th message fails at its first attempt, as a database that is briefly away would make it.
    pub(crate) fn stumble(&self, id: &MessageId, attempt: u32) -> Result<()> {
        let sum: u64 = id.to_string().bytes().map(u64::from).sum();
        if attempt == 1 && sum % 37 == 5 {
            return Err(Error::new(Kind::TimedOut, "handle", "the database did not answer"));
        }
        Ok(())
    }

    pub(crate) fn finished(&self, order: u32, state: FinalState) {
        self.finished.lock().unwrap_or_else(PoisonError::into_inner).entry(order).or_default().push(state);
        self.moved.notify_waiters();
    }

    pub(crate) fn finished_count(&self) -> usize {
        self.finished.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub(crate) async fn all_finished(&self) {
        loop {
            let mut moved = std::pin::pin!(self.moved.notified());
            moved.as_mut().enable();
            if self.finished_count() == self.orders as usize {
                return;
            }
            moved.await;
        }
    }

    /// Every order ended once, and nothing came out of order.
    pub(crate) fn is_right(&self) -> bool {
        let finished = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
        let once = finished.values().all(|states| states.len() == 1);
        once && finished.len() == self.orders as usize && self.counts.violations.load(Relaxed) == 0
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut states: BTreeMap<FinalState, u32> = BTreeMap::new();
        for state in self.finished.lock().unwrap_or_else(PoisonError::into_inner).values().flatten() {
            *states.entry(*state).or_default() += 1;
        }
        writeln!(f, "{:<34}{:>10}", "orders", self.orders)?;
        for (state, count) in states {
            let name = match state {
                FinalState::Shipped => "  shipped",
                FinalState::PaymentDeclined => "  payment declined",
                FinalState::OutOfStock => "  out of stock",
            };
            writeln!(f, "{name:<34}{count:>10}")?;
        }
        let counts = &self.counts;
        for (name, count) in [
            ("messages delivered", &counts.delivered),
            ("handlers failed and retried", &counts.retried),
            ("redeliveries", &counts.redelivered),
            ("duplicates injected", &counts.injected),
            ("duplicates suppressed", &counts.suppressed),
            ("order violations", &counts.violations),
        ] {
            writeln!(f, "{name:<34}{:>10}", count.load(Relaxed))?;
        }
        let seconds = self.began.elapsed().as_secs_f64();
        write!(f, "{:<34}{:>10.0}", "messages a second", counts.delivered.load(Relaxed) as f64 / seconds)
    }
}
