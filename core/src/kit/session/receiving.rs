//! Handing records to the application, and waiting for them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};

use tokio::time::Instant;

use super::Session;
use crate::delivery::Delivery;
use crate::error::Result;

impl Session {
    /// Takes up to `max` records. One that has used up its attempts goes to a task that gives it up, and its key waits.
    fn take(self: &Arc<Self>, max: usize) -> Taken {
        let limit = self.subscription.dead_letter.as_ref().and_then(|policy| policy.max_attempts);
        let now = Instant::now();
        let mut ledger = self.ledger();
        let (mut batch, mut exhausted) = (Vec::with_capacity(max.min(ledger.waiting())), Vec::new());
        ledger.hand_out(max, limit, now, |mut handout| match handout.exhausted {
            false => batch.push(self.delivery(handout)),
            true => {
                // Nobody tries it: this is no attempt.
                handout.token.attempt = handout.token.attempt.saturating_sub(1);
                let failures = handout.provenance.failures;
                exhausted.push((self.delivery(handout), failures));
            }
        });
        let due = ledger.next_due(now);
        drop(ledger);
        for (delivery, failures) in exhausted {
            let session = self.clone();
            let mut tasks = self.giving_up.lock().unwrap_or_else(PoisonError::into_inner);
            while tasks.try_join_next().is_some() {}
            tasks.spawn(async move { session.give_up(delivery, failures).await });
        }
        if batch.is_empty() { Taken::Nothing(due) } else { Taken::Batch(batch) }
    }

    pub(super) async fn receive(self: &Arc<Self>, max: usize) -> Result<Vec<Delivery>> {
        loop {
            let arrived = self.arrived.notified();
            if let Some(error) = self.ended() {
                return Err(error);
            }
            let mut taken = self.take(max.max(1));
            // Before the adapter is asked: what comes from then on, it hands on by itself.
            let waits = matches!(taken, Taken::Nothing(_)).then(|| Waits::begin(&self.waiting));
            let filled = waits.is_some() && self.refill().await;
            if filled {
                taken = self.take(max.max(1));
            }
            match taken {
                // Of what came, nothing may be handed out yet; behind it there may be something that may.
                Taken::Nothing(_) if filled => {}
                Taken::Batch(batch) => return Ok(batch),
                Taken::Nothing(None) => arrived.await,
                Taken::Nothing(Some(due)) => {
                    let _ = tokio::time::timeout_at(due, arrived).await;
                }
            }
        }
    }

    /// Asks the adapter for more; whether there is any. Nobody was waited for, so other tasks get their turn now and then.
    async fn refill(&self) -> bool {
        let filled = self.link().map_or(0, |link| link.refill());
        for _ in 0..filled.div_ceil(MESSAGES_PER_TURN) {
            tokio::task::coop::consume_budget().await;
        }
        filled > 0
    }
}

/// So many messages count as one step of a task: tokio lets it do some hundred without waiting.
const MESSAGES_PER_TURN: usize = 64;

/// Somebody waits for records.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn begin(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::SeqCst);
        Waits(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

enum Taken {
    Batch(Vec<Delivery>),
    Nothing(Option<Instant>),
}
