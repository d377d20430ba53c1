//! P4, at most once: nothing is delivered twice.
//!
//! One broker record (a message at one position, or a message where there are no positions) is delivered to a group at
//! most once. Dead letters are left out. An opportunity is a record that was delivered. Applies to at-most-once
//! delivery; never inconclusive. Source: guarantees §9, P4 and notes.

use super::evidence::{Evidence, in_group, violation};
use crate::history::History;

pub(crate) fn check(history: &History) -> Evidence {
    let mut evidence = Evidence::default();
    history.for_each_record(|message, group, record| {
        evidence.opportunity();
        if let [first, second, ..] = record {
            evidence.violation(|| {
                let place = in_group(history, group);
                let count = record.len();
                let explanation =
                    format!("{} was delivered {count} times{place}", history.message_id(message));
                let events = [first, second].map(|id| Some(history.delivery(*id).at));
                violation(history, &[message], &events, explanation)
            });
        }
    });
    evidence
}
