//! P6b, acknowledgement is final: what was acknowledged and confirmed does not come again.
//!
//! Let d be the latest delivery of a broker record to a group when its acknowledgement was invoked, neither its lease
//! nor its session having ended. The acknowledgement binds from `settled` ok; or, inside a transaction, from its
//! commit's ok; or, if its outcome is absent or unknown, from a clean `close` of the session with no fault in between.
//! After that the record is not delivered to the group again, except to a session opened at the earliest since then.
//! Dead letters are left out. An opportunity is an acknowledgement that binds. Applies to confirmed acknowledgements;
//! never inconclusive. Source: guarantees §9, P6b and notes.

use super::evidence::{Evidence, in_group, violation};
use super::holds;
use crate::history::{
    At, CloseCause, Delivery, DeliveryId, GroupId, History, MessageId, Outcome, SettleVerdict, Start,
};

pub(crate) fn check(history: &History) -> Evidence {
    let mut evidence = Evidence::default();
    history.for_each_record(|message, group, record| {
        check_record(history, &mut evidence, (message, group), record);
    });
    evidence
}

fn check_record(
    history: &History,
    evidence: &mut Evidence,
    (message, group): (MessageId, GroupId),
    record: &[DeliveryId],
) {
    let mut later: Option<&Delivery> = None;
    let mut next: Option<&Delivery> = None;
    for delivery in record.iter().rev().map(|id| history.delivery(*id)) {
        let bound = binds(history, delivery, next);
        if bound.is_some() {
            evidence.opportunity();
        }
        if let Some((bound, later)) = bound.zip(later)
            && later.at > bound
            && replayed_from(history, later) <= Some(bound)
        {
            evidence.violation(|| {
                let (name, place) = (history.message_id(message), in_group(history, group));
                let explanation = format!("{name} was acknowledged{place}, and delivered again after that");
                let events = [Some(delivery.at), delivery.settle, Some(bound), Some(later.at)];
                violation(history, &[message], &events, explanation)
            });
        }
        if later.is_none_or(|later| replayed_from(history, delivery) <= replayed_from(history, later)) {
            later = Some(delivery);
        }
        next = Some(delivery);
    }
}

/// When a session that may read everything again was opened, if the delivery went to such a one.
fn replayed_from(history: &History, delivery: &Delivery) -> Option<At> {
    let session = history.session(delivery.session);
    (session.start == Start::Earliest).then_some(session.opened)
}

/// Since when the acknowledgement of a delivery is final, given the next delivery of the record.
fn binds(history: &History, delivery: &Delivery, next: Option<&Delivery>) -> Option<At> {
    let settle = delivery.settle.filter(|_| delivery.was(SettleVerdict::Ack))?;
    let (closed, cause) = history.session(delivery.session).closed.unzip();
    let over = closed.is_some_and(|closed| closed < settle)
        || next.is_some_and(|next| next.at < settle)
        || history.lease().is_some_and(|lease| holds::lapse(history, delivery, lease) <= settle);
    if over {
        return None;
    }
    match (delivery.transaction, delivery.outcome) {
        (Some(transaction), _) => history.transaction(transaction).committed().filter(|end| *end > settle),
        (None, Some(Outcome::Ok)) => delivery.settled,
        (None, _) if cause != Some(CloseCause::Closed) => None,
        (None, _) => closed.filter(|closed| !history.fault_between(settle, *closed)),
    }
}
