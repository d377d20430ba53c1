//! P11, deduplication: publishing again within the window stores nothing.
//!
//! Let m1 and m2 be messages of one topic with one deduplication id (`m` where there is no `dedup`), m1 published
//! first and not failed, m2 ok, and less than `window_ms` between m1's `publish` and m2's `published`. Then they are
//! one message: not both are delivered to anybody, or have receipts with different positions. An opportunity is such a
//! pair. Applies to brokers that deduplicate; never inconclusive. Source: guarantees §9, P11.

use super::evidence::{Evidence, violation};
use super::fate::confirmed;
use crate::history::{At, History, MessageId, Name, Outcome};

pub(crate) fn check(history: &History, window: u64) -> Evidence {
    let published = history.published().filter(|(_, message, _)| message.outcome != Some(Outcome::Failed));
    let mut classes: Vec<(usize, Name, At, MessageId)> = published
        .map(|(id, message, publish)| (history.dedup_class(id), message.topic, publish, id))
        .collect();
    classes.sort_unstable();
    let mut evidence = Evidence::default();
    for class in classes.chunk_by(|one, other| (one.0, one.1) == (other.0, other.1)) {
        check_class(history, window, &mut evidence, class);
    }
    evidence
}

/// Messages of one deduplication id, in the order of their publishing.
fn check_class(
    history: &History,
    window: u64,
    evidence: &mut Evidence,
    class: &[(usize, Name, At, MessageId)],
) {
    let mut stored_before: Option<MessageId> = None;
    for (i, (_, _, publish, id)) in class.iter().enumerate() {
        let repeated = confirmed(history, history.message(*id));
        if let Some(confirmed) = repeated {
            let inside = |other: &At| history.elapsed(*other, confirmed) < window;
            let outside = class[..i].partition_point(|(_, _, other, _)| !inside(other));
            evidence.opportunities((i - outside) as u64);
            let first =
                stored_before.filter(|first| history.message(*first).publish.is_some_and(|at| inside(&at)));
            if let Some(first) = first.filter(|first| stored_apart(history, *first, *id)) {
                evidence.violation(|| twice(history, first, *id, *publish, confirmed));
            }
        }
        if stored(history, *id) {
            stored_before = Some(*id);
        }
    }
}

fn twice(
    history: &History,
    first: MessageId,
    second: MessageId,
    publish: At,
    confirmed: At,
) -> super::report::Violation {
    let (name1, name2) = (history.message_id(first), history.message_id(second));
    let explanation = format!("{name2} has the deduplication id of {name1}, and both were stored");
    let delivered = |id| history.deliveries_of(id).iter().min().map(|id| history.delivery(*id).at);
    let first_publish = history.message(first).publish;
    let events = [first_publish, Some(publish), Some(confirmed), delivered(first), delivered(second)];
    violation(history, &[first, second], &events, explanation)
}

/// Whether a message is known to have been stored.
fn stored(history: &History, id: MessageId) -> bool {
    let message = history.message(id);
    !history.deliveries_of(id).is_empty() || message.position().is_some() && !message.duplicate
}

/// Whether two messages are known to have been stored, and not as one.
fn stored_apart(history: &History, first: MessageId, second: MessageId) -> bool {
    let position = |id: MessageId| history.message(id).position();
    let one = position(first).is_some() && position(first) == position(second);
    stored(history, first) && stored(history, second) && !one
}
