//! P6, caused redelivery: nothing is delivered again without a cause.
//!
//! Between two deliveries of one broker record (a message at one position, or a message where there are no positions)
//! to a group there is a cause: a nack or release, not failed, or an acknowledgement that failed, of it or of an
//! earlier message of its scope (lower in its partition; published earlier in a scope that P7, P7r or P8 promise; or,
//! where there are no positions, delivered earlier in that scope, since nothing else shows the broker's order of two
//! publishers' messages), also where a settlement before it came back unknown; the end of a session, an assignment, a
//! revocation or a session opened at the earliest in the group; a fault of any kind; the end of the lease, clocks being
//! as far apart as they may; or a settlement in a transaction that is not known to be committed (P15 demands it). Where
//! there are positions and P8 is not promised, what happened in the group before the first delivery is a cause for 5 s
//! if the two are to different sessions: one hands out what it has until it hears that the partition is another's. Dead
//! letters are records of another topic and left out. An opportunity is a second delivery. Applies to at-least-once
//! delivery; never inconclusive. Source: guarantees §9, P6 and notes.

use super::causes::Causes;
use super::evidence::{Evidence, in_group, violation};
use crate::history::History;

pub(crate) fn check(history: &History) -> Evidence {
    let causes = Causes::new(history);
    let mut evidence = Evidence::default();
    history.for_each_record(|message, group, record| {
        for pair in record.windows(2) {
            let (first, second) = (history.delivery(pair[0]), history.delivery(pair[1]));
            evidence.opportunity();
            if !causes.between(first, second) {
                evidence.violation(|| {
                    let name = history.message_id(message);
                    let events = [Some(first.at), first.settle, first.settled, Some(second.at)];
                    let events = events.map(|at| at.filter(|at| *at <= second.at));
                    let place = in_group(history, group);
                    let explanation = format!("{name} was delivered again{place} without a cause");
                    violation(history, &[message], &events, explanation)
                });
            }
        }
    });
    evidence
}
