//! What becomes of a message whose handler has ended.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use anybroker_core::{Error, Key, Kind, Reason, Verdict};
use tokio::time::Instant;

use super::Desk;
use crate::failure::{BoxError, Failure};
use crate::handling::Hopeless;
use crate::observe::{Happening, Outcome};
use crate::outputs::Output;
use crate::retry::Decision;
use crate::serve::lanes::Task;
use crate::serve::settling::{Acks, acknowledge_at_once};
use crate::serve::transactions::Work;

impl Desk {
    /// Whether success means nothing but an acknowledgement, so that many can be dealt with together.
    pub(in crate::serve) fn is_plain(&self) -> bool {
        self.handling.parking.is_none() && self.done.is_none()
    }

    /// Messages have been handled, and nothing is left to do but to acknowledge them.
    pub(in crate::serve) fn acknowledge_all(self: &Arc<Self>, acks: &mut Acks) {
        let keys = acks.keys();
        acknowledge_at_once(self, acks);
        // Not before: the next ones of these keys would overtake them.
        let mut lanes = self.lanes();
        keys.iter().for_each(|key| lanes.done(key.as_bytes()));
        self.wake(lanes);
    }

    /// Decides what becomes of a message whose handler has ended. `later` takes out what was handled together with it and
    /// comes after it in its key: if it comes again, they are void.
    pub(in crate::serve) fn finish(
        self: &Arc<Self>,
        task: Task,
        result: Result<(), Failure>,
        later: impl FnOnce(Option<&[u8]>) -> Vec<Task>,
    ) {
        let failure = match result {
            Ok(()) => return self.acknowledge(task, Outcome::Acknowledged),
            Err(failure) => failure,
        };
        let decision = self.handling.retry.decide(&failure, &task.delivery, task.attempt(), spread(&task));
        match decision {
            Decision::Again(delay) if self.handling.retry.in_order => {
                tracing::debug!(error = %failure, attempt = task.attempt(), ?delay, "a handler failed; the message comes again");
                let later = later(task.key());
                self.verdicts.push_with(task, Verdict::Nack { delay }, Outcome::Retried, later);
            }
            Decision::Again(delay) => {
                tracing::debug!(error = %failure, attempt = task.attempt(), ?delay, "a handler failed; the message waits aside");
                self.observe(&Happening::Waits(&task.delivery));
                let key = task.delivery.to_key();
                self.delays.push(Instant::now() + delay, Task { failed_here: task.failed_here + 1, ..task });
                self.release(key.as_ref().map(Key::as_bytes));
            }
            Decision::GiveUp => self.give_up(task, &failure),
            Decision::End => self.end(task, failure.into_source()),
        }
    }

    /// A message that no attempt can help.
    pub(in crate::serve) fn give_up(self: &Arc<Self>, task: Task, failure: &Failure) {
        let attempt = task.attempt();
        tracing::warn!(error = %failure, class = failure.class().as_str(), attempt, "a message is hopeless");
        match (&self.dead_letters, self.handling.hopeless) {
            (Some(_), _) => {
                self.dead_letter(task, failure.reason(), Outcome::DeadLettered);
            }
            (None, Hopeless::Discard) => self.acknowledge(task, Outcome::Discarded),
            (None, Hopeless::Stop) => {
                let text = format!(
                    "a message is hopeless ({failure}), and there is no dead letter topic for it; it was handed back"
                );
                self.end(task, text.into());
            }
        }
    }

    /// Its key goes on when it is there, or certain to be where its acknowledgement is.
    pub(in crate::serve) fn dead_letter(&self, task: Task, reason: Reason, outcome: Outcome) {
        match &self.done {
            Some(done) => done.push(Work::dead_letter(task, reason, outcome)),
            None => self.verdicts.push(task, Verdict::DeadLetter { reason }, outcome),
        }
    }

    fn acknowledge(self: &Arc<Self>, task: Task, outcome: Outcome) {
        if let Some(done) = &self.done {
            let goes_on = if task.parked { None } else { task.delivery.to_key() };
            done.push(Work::done(task, outcome));
            return self.release(goes_on.as_ref().map(Key::as_bytes));
        }
        if task.parked {
            // Its key goes on when it has left the parked ones.
            return self.verdicts.push(task, Verdict::Ack, outcome);
        }
        self.acknowledge_all(&mut Acks::of(task.delivery, outcome));
    }

    /// All of a batch is done, and what was published belongs to all of it.
    pub(in crate::serve) fn acknowledge_together(&self, batch: Vec<Task>, outputs: Vec<Output>) {
        let Some(done) = &self.done else { return };
        let goes_on: Vec<_> =
            batch.iter().filter(|task| !task.parked).map(|task| task.delivery.to_key()).collect();
        done.push(Work::together(batch, outputs));
        goes_on.iter().for_each(|key| self.release(key.as_ref().map(Key::as_bytes)));
    }

    /// The worker cannot go on; the message is handed back.
    fn end(&self, task: Task, source: BoxError) {
        let error = Error::new(Kind::Unexpected, "handle", format!("the worker cannot go on: {source}"));
        let error = error.on(format!("topic `{}`, group `{}`", self.settler.topic(), self.settler.group()));
        self.raise(error.with_source(source));
        drop(task);
    }
}

/// Below 1: spreads the attempts of different messages, and is the same when a run is replayed.
fn spread(task: &Task) -> f64 {
    let mut hasher = DefaultHasher::new();
    (task.delivery.id(), task.attempt()).hash(&mut hasher);
    (hasher.finish() >> 11) as f64 / (1_u64 << 53) as f64
}
