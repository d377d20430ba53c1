//! What becomes of a batch of settlements.

use std::sync::Arc;

use tokio::time::Instant;

use super::Session;
use crate::delivery::{SettleError, Settled, Settlement, Settler, Verdict};
use crate::error::{Error, Kind, Result};
use crate::kit::Ack;

/// An acknowledgement that the broker is asked to confirm: its place in the batch, and what settles it if it is refused.
struct Asked {
    at: usize,
    settler: Option<Arc<dyn Settler>>,
}

/// A batch of verdicts and what they came to. The deliveries stay in place until the end.
pub(super) struct Applied {
    batch: Vec<Settlement>,
    results: Vec<Result<Settled>>,
    /// Acknowledgements that the broker is to confirm, and what they are of.
    pub(super) acks: Vec<Ack>,
    confirming: Vec<Asked>,
    /// Acknowledgements that are recorded and nothing more.
    pub(super) recorded: usize,
}

impl Applied {
    fn new(batch: Vec<Settlement>, confirm: bool) -> Self {
        let (all, asked) = (batch.len(), if confirm { batch.len() } else { 0 });
        Applied {
            batch,
            results: Vec::with_capacity(all),
            acks: Vec::with_capacity(asked),
            confirming: Vec::with_capacity(asked),
            recorded: 0,
        }
    }

    /// Whether the broker's answer decides about all of them.
    pub(super) fn asks_only(&self) -> bool {
        self.acks.len() == self.results.len()
    }

    /// One result for each; an error hands the delivery back.
    pub(super) fn finish(self) -> Vec<Result<Settled, SettleError>> {
        if self.results.iter().all(Result::is_ok) {
            let mut told = Vec::with_capacity(self.results.len());
            told.extend(self.results.into_iter().flatten().map(Ok));
            return told;
        }
        let with = |(result, settlement): (Result<_>, Settlement)| {
            result.map_err(|error| SettleError::new(error, settlement.delivery))
        };
        self.results.into_iter().zip(self.batch).map(with).collect()
    }
}

impl Session {
    /// Applies the verdicts under one lock; `confirm` keeps acknowledged deliveries until the broker has answered.
    pub(super) fn apply(&self, batch: Vec<Settlement>, refused: &[(usize, Error)], confirm: bool) -> Applied {
        let now = Instant::now();
        let mut applied = Applied::new(batch, confirm);
        let Applied { batch, results, acks, confirming, recorded } = &mut applied;
        let mut ledger = self.ledger();
        for (at, Settlement { delivery, verdict }) in batch.iter_mut().enumerate() {
            if let Some((_, error)) = refused.iter().find(|(refused, _)| *refused == at) {
                results.push(Err(error.duplicate()));
                continue;
            }
            // Settled or void, there is nothing left to release.
            let settler = delivery.take_settler();
            let token = delivery.token();
            let asks = confirm && matches!(verdict, Verdict::Ack | Verdict::DeadLetter { .. });
            let result =
                if asks { ledger.begin_ack(token).map(Some) } else { ledger.apply(token, verdict, now) };
            match &result {
                Ok(Some(native)) if asks => {
                    acks.push(Ack { partition: token.partition, native: *native });
                    confirming.push(Asked { at, settler });
                }
                Ok(native) => *recorded += usize::from(native.is_some()),
                Err(_) => {}
            }
            results.push(result.map(|_| Settled::Recorded));
        }
        drop(ledger);
        applied
    }

    /// The broker has answered: what it confirmed is done, what it refused is in hand as before, unless it is void by now.
    pub(super) fn answered(&self, applied: &mut Applied, answers: Vec<Result<Settled>>) {
        let mut ledger = self.ledger();
        for (Asked { at, settler }, answer) in applied.confirming.drain(..).zip(answers) {
            let delivery = &mut applied.batch[at].delivery;
            ledger.end_ack(delivery.token(), answer.is_ok());
            if answer.is_err() && ledger.holds(delivery.token()) {
                delivery.put_settler(settler);
            }
            applied.results[at] = answer;
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
