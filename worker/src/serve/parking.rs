//! Later messages of a key wait in the dead letter topic, behind the one that was hopeless.

use std::future::Future;
use std::time::Duration;

use anybroker_core::{Key, Reason, ReasonClass, Result};

use super::desk::Desk;
use super::lanes::Task;
use crate::observe::Outcome;
use crate::store::{Admission, Lot};

/// How long a store that fails is left alone.
const PAUSE: Duration = Duration::from_secs(1);

/// Lets a message through, or parks it. While the store fails, it waits.
pub(super) async fn admit(desk: &Desk, mut task: Task) -> Option<Task> {
    let Some(key) = task.delivery.to_key() else { return Some(task) };
    let (lot, Some(id)) = (lot(desk, &key), task.delivery.identity()) else { return Some(task) };
    let Some(store) = &desk.handling.parking else { return Some(task) };
    let admission = tokio::select! {
        biased;
        admission = persistently(|| store.admit(&lot, &id)) => admission,
        () = desk.closed() => return None,
    };
    match admission {
        Admission::Free => Some(task),
        Admission::First => {
            task.parked = true;
            Some(task)
        }
        Admission::Behind(first) => {
            let text = "an earlier message of its key is a dead letter";
            let reason = Reason::new(ReasonClass::Parked, text).parked_behind(first);
            desk.dead_letter(task, reason, Outcome::Parked);
            None
        }
    }
}

/// Before a message is settled: a hopeless one parks its key, one that came back from there leaves it.
pub(super) async fn note(desk: &Desk, task: &Task, outcome: Outcome) {
    let (Some(store), Some(key)) = (&desk.handling.parking, task.delivery.to_key()) else { return };
    let (lot, Some(id)) = (lot(desk, &key), task.delivery.identity()) else { return };
    match outcome {
        Outcome::DeadLettered => persistently(|| store.park(&lot, &id)).await,
        Outcome::Acknowledged if task.parked => persistently(|| store.leave(&lot, &id)).await,
        _ => {}
    }
}

/// Of a message without a key there is none: nothing comes after it in order.
fn lot<'a>(desk: &'a Desk, key: &'a Key) -> Lot<'a> {
    Lot { topic: desk.settler.topic(), group: desk.settler.group(), key }
}

async fn persistently<T, F: Future<Output = Result<T>>>(attempt: impl Fn() -> F) -> T {
    loop {
        match attempt().await {
            Ok(value) => return value,
            Err(error) => {
                tracing::error!(%error, "the store of parked keys fails; what needs it waits");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
