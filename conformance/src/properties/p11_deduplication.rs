//! P11, deduplication: publishing again within the window stores nothing.
//!
//! Let m1 and m2 be messages of one topic with one deduplication id (`m` where there is no `dedup`), m1 published
//! first and not failed, m2 ok, and less than `window_ms` between m1's `publish` and m2's `published`. Then they are
//! one message: not both are delivered to anybody, or have receipts with different positions. An opportunity is such a
//! pair. Applies to brokers that deduplicate; never inconclusive. Source: guarantees §9, P11.

use super::evidence::{Evidence, violation};
use super::fate::confirmed;
use super::twins::Twins;
use crate::history::{At, History, MessageId, Outcome};

pub(crate) fn check(history: &History, window: u64) -> Evidence {
    let mut evidence = Evidence::default();
    let twins = Twins::new(history);
    let mut classes: Vec<_> = twins.all().collect();
    classes.sort_unstable_by_key(|class| class.first());
    for class in classes {
        check_class(history, window, &mut evidence, class);
    }
    evidence
}

/// Messages of one deduplication id, in the order of their publishing.
fn check_class(history: &History, window: u64, evidence: &mut Evidence, class: &[MessageId]) {
    let published = class.iter().map(|id| (*id, history.message(*id)));
    let published = published.filter(|(_, message)| message.outcome != Some(Outcome::Failed));
    let mut before: Vec<At> = Vec::new();
    let mut stored_before: Option<(MessageId, At)> = None;
    for (id, publish) in published.filter_map(|(id, message)| Some((id, message.publish?))) {
        if let Some(confirmed) = confirmed(history, history.message(id)) {
            let inside = |other: At| history.elapsed(other, confirmed) < window;
            let outside = before.partition_point(|other| !inside(*other));
            evidence.opportunities((before.len() - outside) as u64);
            let first = stored_before.filter(|(first, at)| inside(*at) && stored_apart(history, *first, id));
            if let Some((first, _)) = first {
                evidence.violation(|| twice(history, first, id, publish, confirmed));
            }
        }
        before.push(publish);
        if stored(history, id) {
            stored_before = Some((id, publish));
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
