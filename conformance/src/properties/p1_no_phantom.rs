//! P1, no phantom: what is delivered was published, and is what was published.
//!
//! For every delivery d of message m: `publish(m)` was invoked before d, to the topic of d's session (but for dead
//! letters), with the same key, payload hash and, where both are recorded, `meta`. An opportunity is a delivery.
//! Always applies; never inconclusive. Source: guarantees §9, P1.

use super::evidence::{Evidence, violation};
use crate::history::{Difference, History};

pub(crate) fn check(history: &History) -> Evidence {
    let mut evidence = Evidence::default();
    for delivery in history.even_phantoms() {
        evidence.opportunity();
        let Some(difference) = delivery.difference else { continue };
        let publish = history.message(delivery.message).publish;
        evidence.violation(|| {
            let explanation = explain(history.message_id(delivery.message), difference, publish.is_some());
            violation(history, &[delivery.message], &[publish, Some(delivery.at)], explanation)
        });
    }
    evidence
}

fn explain(message: &str, difference: Difference, published: bool) -> String {
    match difference {
        Difference::Unpublished if published => format!("{message} was delivered before it was published"),
        Difference::Unpublished => format!("{message} was delivered but never published"),
        Difference::Topic => format!("{message} was delivered from a topic that it was not published to"),
        Difference::Key => format!("{message} was delivered with another key than it was published with"),
        Difference::Payload => {
            format!("{message} was delivered with another payload than it was published with")
        }
        Difference::Meta => format!("{message} was delivered with other headers than it was published with"),
    }
}
