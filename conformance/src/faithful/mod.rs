//! What a history shows of the broker's ways, whether it is promised or not: so a simulation is compared with what it
//! simulates.
//!
//! The checkers say that nothing forbidden was seen. These are the kinds of what was: of the real broker none may be seen that
//! its simulation never shows.

mod deliveries;
mod seen;

use std::collections::{BTreeMap, HashSet};

pub use seen::Seen;

use crate::history::{History, Outcome, SettleVerdict};

/// How often each kind was seen.
pub type Sights = BTreeMap<Seen, u64>;

/// What a history shows.
pub fn sights(history: &History) -> Sights {
    let mut sights = Sights::new();
    let mut add = |seen: Seen| *sights.entry(seen).or_default() += 1;
    publishes(history, &mut add);
    deliveries::all(history, &mut add);
    settlements(history, &mut add);
    sights
}

fn publishes(history: &History, add: &mut impl FnMut(Seen)) {
    let delivered: HashSet<_> = history.all_deliveries().map(|(_, delivery)| delivery.message).collect();
    for (id, message, _) in history.published() {
        add(match (message.outcome, delivered.contains(&id)) {
            (Some(Outcome::Ok), _) if message.duplicate => Seen::ToldDuplicate,
            (Some(Outcome::Ok), true) => Seen::Confirmed,
            (Some(Outcome::Ok), false) => Seen::ConfirmedAndLost,
            (Some(Outcome::Failed), true) => Seen::FailedAndDelivered,
            (Some(Outcome::Failed), false) => Seen::Failed,
            (Some(Outcome::Unknown) | None, true) => Seen::UnknownAndDelivered,
            (Some(Outcome::Unknown) | None, false) => Seen::UnknownAndLost,
        });
    }
}

fn settlements(history: &History, add: &mut impl FnMut(Seen)) {
    for (_, delivery) in history.all_deliveries() {
        let Some(verdict) = delivery.verdict else { continue };
        add(match (verdict, delivery.outcome) {
            (SettleVerdict::Ack, Some(Outcome::Ok)) => Seen::AckConfirmed,
            (SettleVerdict::Ack, Some(Outcome::Failed)) => Seen::AckRefused,
            (SettleVerdict::Ack, Some(Outcome::Unknown)) => Seen::AckUnanswered,
            (SettleVerdict::Ack, None) if is_confirmed(history) => Seen::AckUnanswered,
            (SettleVerdict::Ack, None) => Seen::AckRecorded,
            (SettleVerdict::Nack, Some(Outcome::Failed)) => Seen::NackRefused,
            (SettleVerdict::DeadLetter, Some(Outcome::Failed)) => Seen::DeadLetterRefused,
            _ => continue,
        });
    }
}

/// Whether acknowledgements are confirmed: one that is not then had no answer, and is not merely recorded.
fn is_confirmed(history: &History) -> bool {
    history.header().promises.p6b.is_some()
}

#[cfg(test)]
mod tests {
    use super::{Seen, sights};
    use crate::history::{Outcome, Promises, Sketch};

    fn begin() -> Sketch {
        Sketch::new(Promises::default())
            .open("s")
            .open("s2")
            .keyed("m1", "a")
            .ok("m1")
            .keyed("m2", "a")
            .ok("m2")
    }

    /// What a history shows besides two confirmed publishes.
    fn shows(sketch: &Sketch, expected: &[Seen]) {
        let seen: Vec<_> =
            sights(&sketch.read().unwrap()).into_keys().filter(|it| *it != Seen::Confirmed).collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn order_and_acknowledgements() {
        let in_order = begin().deliver("d1", "m1", "s").ack("d1").deliver("d2", "m2", "s").ack("d2");
        let in_order = in_order.settled("d2", Outcome::Ok);
        shows(&in_order, &[Seen::First, Seen::AckConfirmed, Seen::AckRecorded]);
        let overtaken = begin().deliver("d2", "m2", "s").deliver("d1", "m1", "s");
        shows(&overtaken, &[Seen::First, Seen::KeyOvertaken]);
    }

    #[test]
    fn what_comes_again() {
        let acknowledged = begin().deliver("d2", "m2", "s").deliver("d1", "m1", "s").ack("d1");
        let again = acknowledged.settled("d1", Outcome::Ok).close("s").deliver("d3", "m1", "s2");
        let expected = [
            Seen::First,
            Seen::AgainElsewhereUnmarked,
            Seen::AckConfirmed,
            Seen::ConfirmedAckRewound,
            Seen::KeyOvertaken,
        ];
        shows(&again, &expected);
    }

    #[test]
    fn two_holders_and_no_answer() {
        let held = begin().deliver("d1", "m1", "s").deliver("d2", "m2", "s2");
        shows(&held, &[Seen::First, Seen::KeyHeldTwice]);
        let unheard = Sketch::new(Promises::default()).publish("m3").published("m3", Outcome::Unknown);
        shows(&unheard, &[Seen::UnknownAndLost]);
    }
}
