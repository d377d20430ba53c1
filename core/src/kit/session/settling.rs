//! What becomes of a batch of settlements.

use std::sync::Arc;

use tokio::time::Instant;

use super::Session;
use crate::delivery::{Delivery, SettleError, Settled, Settlement, Settler, Verdict};
use crate::error::{Error, Kind, Result};
use crate::kit::Ack;

/// An acknowledgement that the broker is asked to confirm: its place in the batch, and what to hand back if it refuses.
struct Asked {
    at: usize,
    delivery: Delivery,
    settler: Option<Arc<dyn Settler>>,
}

/// What a batch of verdicts came to, before the broker is asked.
#[derive(Default)]
pub(super) struct Applied {
    pub(super) results: Vec<Result<Settled, SettleError>>,
    /// Acknowledgements that the broker is to confirm, and what they are of.
    pub(super) acks: Vec<Ack>,
    confirming: Vec<Asked>,
    /// Acknowledgements that are recorded and nothing more.
    pub(super) recorded: usize,
}

impl Session {
    /// Applies the verdicts under one lock; `confirm` keeps acknowledged deliveries until the broker has answered.
    pub(super) fn apply(&self, batch: Vec<Settlement>, refused: &[(usize, Error)], confirm: bool) -> Applied {
        let now = Instant::now();
        let mut applied = Applied { results: Vec::with_capacity(batch.len()), ..Applied::default() };
        let mut ledger = self.ledger();
        for (at, Settlement { mut delivery, verdict }) in batch.into_iter().enumerate() {
            if let Some((_, error)) = refused.iter().find(|(refused, _)| *refused == at) {
                applied.results.push(Err(SettleError::new(error.duplicate(), delivery)));
                continue;
            }
            // Settled or void, there is nothing left to release.
            let settler = delivery.take_settler();
            let token = delivery.token();
            let asks = confirm && matches!(verdict, Verdict::Ack | Verdict::DeadLetter { .. });
            let result =
                if asks { ledger.begin_ack(token).map(Some) } else { ledger.apply(token, &verdict, now) };
            match result {
                Ok(Some(native)) if asks => {
                    applied.acks.push(Ack { partition: token.partition, native });
                    applied.confirming.push(Asked { at, delivery, settler });
                }
                Ok(native) => applied.recorded += usize::from(native.is_some()),
                Err(error) => {
                    applied.results.push(Err(SettleError::new(error, delivery)));
                    continue;
                }
            }
            applied.results.push(Ok(Settled::Recorded));
        }
        applied
    }

    /// The broker has answered: what it confirmed is done, what it refused is in hand as before, unless it is void by now.
    pub(super) fn answered(&self, applied: &mut Applied, answers: Vec<Result<Settled>>) {
        let mut ledger = self.ledger();
        for (Asked { at, mut delivery, settler }, answer) in applied.confirming.drain(..).zip(answers) {
            ledger.end_ack(delivery.token(), answer.is_ok());
            applied.results[at] = answer.map_err(|error| {
                if let (true, Some(settler)) = (ledger.holds(delivery.token()), settler) {
                    delivery = delivery.with_settler(settler);
                }
                SettleError::new(error, delivery)
            });
        }
        drop(ledger);
        self.wake();
    }

    /// Publishes the batch's dead letters, confirmed; says which failed. What is no longer ours is not published.
    pub(super) async fn publish_dead_letters(&self, batch: &[Settlement]) -> Vec<(usize, Error)> {
        let mut refused = Vec::new();
        for (at, settlement) in batch.iter().enumerate() {
            let Verdict::DeadLetter { reason } = &settlement.verdict else { continue };
            if !self.ledger().holds(settlement.delivery.token()) {
                continue;
            }
            let published = match &self.dead_letters {
                Some(dead_letters) => dead_letters.publish(&settlement.delivery, reason).await,
                None => Err(Error::new(
                    Kind::InvalidConfiguration,
                    "dead-letter",
                    "there is no dead letter topic",
                )
                .advice("name one in the subscription: Subscription::dead_letter")),
            };
            refused.extend(published.err().map(|error| (at, error)));
        }
        refused
    }
}
