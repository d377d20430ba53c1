//! P2, no failed publish visible: what definitely was not published is not delivered.
//!
//! If the outcome of m's publish is `failed`, m is never delivered, before or after. Publishes inside a transaction are
//! P15's. An opportunity is a failed publish. Applies where `failed` is definite; never inconclusive. Source: guarantees
//! §9, P2.

use super::evidence::{Evidence, violation};
use crate::history::{History, Outcome};

pub(crate) fn check(history: &History) -> Evidence {
    let mut evidence = Evidence::default();
    for (id, message, publish) in history.published() {
        if message.outcome != Some(Outcome::Failed) || message.transaction.is_some() {
            continue;
        }
        evidence.opportunity();
        if let Some(first) = history.deliveries_of(id).iter().min() {
            evidence.violation(|| {
                let explanation =
                    format!("the publish of {} failed, yet it was delivered", history.message_id(id));
                let delivered = history.delivery(*first).at;
                violation(history, &[id], &[Some(publish), message.published, Some(delivered)], explanation)
            });
        }
    }
    evidence
}
