//! One transaction: what was published, then the acknowledgements, then the commit.

use anybroker_core::dead_letter::DeadLetter;
use anybroker_core::kit::publishable;
use anybroker_core::{Delivery, Error, Fate, Message, Reason, Result, Topic, TransactionalPublisher};

use super::super::desk::Desk;
use super::work::Work;
use crate::outputs::Output;
use crate::publishers::Publishers;

/// Why a transaction was not committed.
pub(super) enum NotDone {
    /// None could begin.
    NotBegun(Error, Vec<Work>),
    /// It failed. Its messages have been handed back, unless nobody knows what became of them.
    Failed(Error),
}

pub(super) fn deliveries(works: &[Work]) -> impl Iterator<Item = &Delivery> + Clone {
    works.iter().flat_map(|work| work.tasks.iter().map(|task| &task.delivery))
}

/// Commits all of this, or nothing.
///
/// # Errors
/// Why it is nothing, or that nobody knows.
///
/// # Cancel safety
/// As [`Transaction::commit`](anybroker_core::Transaction::commit).
pub(super) async fn attempt(
    publisher: &mut dyn TransactionalPublisher,
    works: Vec<Work>,
    desk: &Desk,
    publishers: &Publishers,
) -> Result<(), NotDone> {
    let sure = |error: Error| NotDone::Failed(error.with_fate(Fate::NotApplied));
    let transaction = match publisher.begin().await {
        Ok(transaction) => transaction,
        Err(error) => return Err(NotDone::NotBegun(error, works)),
    };
    let (outputs, inputs) = parts(works, desk, publishers).await;
    for (topic, batch) in by_topic(outputs) {
        transaction.publish(&topic, batch).await.map_err(sure)?;
    }
    transaction.settle(inputs).await.map_err(sure)?;
    transaction.commit().await.map_err(NotDone::Failed)
}

async fn parts(works: Vec<Work>, desk: &Desk, publishers: &Publishers) -> (Vec<Output>, Vec<Delivery>) {
    let (mut outputs, mut inputs) = (Vec::new(), Vec::new());
    for mut work in works {
        outputs.append(&mut work.outputs);
        if let (Some(reason), Some(topic)) = (&work.letter, &desk.dead_letters) {
            for task in &work.tasks {
                outputs.push((topic.clone(), letter(&task.delivery, reason, topic, publishers).await));
            }
        }
        inputs.extend(work.tasks.into_iter().map(|task| task.delivery));
    }
    (outputs, inputs)
}

async fn letter(delivery: &Delivery, reason: &Reason, topic: &Topic, publishers: &Publishers) -> Message {
    let letter = DeadLetter::letter(delivery, reason);
    match publishers.largest(topic).await {
        // A message at the limit has no room for an envelope; without one it is at least not lost.
        Ok(most) if letter.size() > most => {
            tracing::warn!(%reason, "a dead letter goes without its envelope, which does not fit");
            publishable(delivery.to_message())
        }
        _ => letter,
    }
}

/// What goes to each topic, in order.
fn by_topic(outputs: Vec<Output>) -> Vec<(Topic, Vec<Message>)> {
    let mut batches: Vec<(Topic, Vec<Message>)> = Vec::new();
    for (topic, message) in outputs {
        match batches.iter_mut().find(|(known, _)| *known == topic) {
            Some((_, batch)) => batch.push(message),
            None => batches.push((topic, vec![message])),
        }
    }
    batches
}
