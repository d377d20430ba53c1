//! P12, delay floor: nothing comes before the delay that was asked for.
//!
//! If m was published with `delay_ms`, its first delivery to each group is not before that time after its `publish`
//! line. If a delivery was nacked or released with `delay_ms`, with outcome ok, the next delivery of the broker record
//! to the group is not before that time after the `settle` line. Clocks may be apart by `epsilon_ms`. Dead letters are
//! left out. An opportunity is a delivery that had to wait. Applies where delays are honoured; never inconclusive.
//! Source: guarantees §9, P12.

use super::evidence::{Evidence, in_group, violation};
use crate::history::{At, Delivery, History, MessageId, Outcome, SettleVerdict};

pub(crate) fn check(history: &History) -> Evidence {
    let mut evidence = Evidence::default();
    history.for_each_pair(|message, _, deliveries| {
        let from = history.message(message).publish;
        if let Some((from, delay)) = from.zip(history.publish_delay(message)) {
            waits(history, &mut evidence, message, (from, delay), history.delivery(deliveries[0]));
        }
    });
    history.for_each_record(|message, _, record| {
        for pair in record.windows(2) {
            let (first, next) = (history.delivery(pair[0]), history.delivery(pair[1]));
            let asked = first.settle.filter(|at| returned(first) && *at < next.at);
            if let Some((from, delay)) = asked.zip(history.settle_delay(pair[0])) {
                waits(history, &mut evidence, message, (from, delay), next);
            }
        }
    });
    evidence
}

/// Whether a delivery certainly went back.
fn returned(delivery: &Delivery) -> bool {
    matches!(delivery.verdict, Some(SettleVerdict::Nack | SettleVerdict::Release))
        && delivery.outcome == Some(Outcome::Ok)
}

/// A delivery had to wait so long from an event.
fn waits(
    history: &History,
    evidence: &mut Evidence,
    message: MessageId,
    (from, delay): (At, u64),
    next: &Delivery,
) {
    evidence.opportunity();
    let waited = history.elapsed(from, next.at);
    if waited < delay.saturating_sub(history.epsilon()) {
        evidence.violation(|| {
            let millis = |nanos: u64| nanos / 1_000_000;
            let (name, place) = (history.message_id(message), in_group(history, history.group_of(next)));
            let (waited, delay) = (millis(waited), millis(delay));
            let explanation = format!("{name} was delivered{place} after {waited} ms, not {delay} ms");
            violation(history, &[message], &[Some(from), Some(next.at)], explanation)
        });
    }
}
