//! P9, redelivery mark: a redelivery says that it is one.
//!
//! Let d be the i-th observed delivery of one broker record to a group, deliveries not counted that ended in `release`,
//! also where another settlement before it came back unknown, or in a transaction that is not known to be committed, and i > 1. With mark `flag`, d's `redelivered` is true. With mark `count`, d's `attempt` is at least i and not lower
//! than that of a counted delivery before it. A missing field is false or 0. Dead letters are left out. An opportunity
//! is a second delivery. Applies where redeliveries are marked; never inconclusive. Source: guarantees §9, P9.

use super::evidence::{Evidence, in_group, violation};
use crate::history::{Delivery, DeliveryId, GroupId, History, Mark, MessageId};

pub(crate) fn check(history: &History, mark: Mark) -> Evidence {
    let mut evidence = Evidence::default();
    history.for_each_record(|message, group, record| {
        check_record(history, mark, &mut evidence, (message, group), record);
    });
    evidence
}

fn check_record(
    history: &History,
    mark: Mark,
    evidence: &mut Evidence,
    (message, group): (MessageId, GroupId),
    record: &[DeliveryId],
) {
    let mut before: Option<&Delivery> = None;
    let (mut count, mut highest) = (0_u32, 0);
    for delivery in record.iter().map(|id| history.delivery(*id)) {
        if let Some(before) = before {
            evidence.opportunity();
            if let Some(fault) = unmarked(mark, delivery, count + 1, highest) {
                evidence.violation(|| {
                    let place = in_group(history, group);
                    let explanation = format!("{}{place} {fault}", history.message_id(message));
                    violation(history, &[message], &[Some(before.at), Some(delivery.at)], explanation)
                });
            }
        }
        if !history.was_released(delivery) {
            before = Some(delivery);
            count += 1;
            highest = delivery.attempt.max(highest);
        }
    }
}

/// What is wrong with the mark of the `number`-th delivery.
fn unmarked(mark: Mark, delivery: &Delivery, number: u32, highest: u32) -> Option<String> {
    let attempt = delivery.attempt;
    match mark {
        Mark::Flag if !delivery.redelivered => Some("was delivered again without being marked".to_owned()),
        Mark::Count if attempt < highest => {
            Some(format!("was delivered as attempt {attempt} after {highest}"))
        }
        Mark::Count if attempt < number => {
            Some(format!("was delivered at least {number} times but marked as attempt {attempt}"))
        }
        _ => None,
    }
}
