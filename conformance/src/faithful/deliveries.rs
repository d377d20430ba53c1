//! What deliveries show, each beside those before it in its group.

use std::collections::HashMap;

use super::{Seen, is_confirmed};
use crate::history::{At, Delivery, GroupId, History, MessageId, Name, Outcome, SessionId, SettleVerdict};

/// What a group has seen so far.
#[derive(Default)]
struct GroupSeen<'a> {
    /// The deliveries of each message.
    before: HashMap<MessageId, Vec<&'a Delivery>>,
    /// The last delivery of each key.
    keys: HashMap<Name, Vec<&'a Delivery>>,
    /// The latest publish that came, by publisher and key, and by publisher.
    latest_of_key: HashMap<(Name, Name), At>,
    latest: HashMap<Name, At>,
}

pub(super) fn all(history: &History, add: &mut impl FnMut(Seen)) {
    let mut groups: HashMap<GroupId, GroupSeen<'_>> = HashMap::new();
    for (_, delivery) in history.all_deliveries() {
        let seen = groups.entry(history.group_of(delivery)).or_default();
        seen.order(history, delivery, add);
        seen.marks(delivery, add);
        seen.rewinds(history, delivery, add);
        seen.holders(history, delivery, add);
        seen.keep(history, delivery);
    }
}

impl<'a> GroupSeen<'a> {
    fn others(&self, delivery: &Delivery) -> &[&'a Delivery] {
        self.before.get(&delivery.message).map_or(&[], Vec::as_slice)
    }

    /// Whether the first delivery of a confirmed message comes after one that its publisher published later. What has no answer
    /// may have been on its way for longer.
    fn order(&mut self, history: &History, delivery: &Delivery, add: &mut impl FnMut(Seen)) {
        let message = history.message(delivery.message);
        let counts = message.outcome == Some(Outcome::Ok) && self.others(delivery).is_empty();
        let Some(published) = message.publish.filter(|_| counts) else { return };
        let publisher = message.publisher;
        if let Some(key) = message.key {
            let latest = self.latest_of_key.entry((publisher, key)).or_insert(published);
            if *latest > published {
                // Where order is promised P7 judges it, and knows whose deliveries went unseen.
                if history.header().promises.p7.is_none() {
                    add(Seen::KeyOvertaken);
                }
                return;
            }
            *latest = published;
        }
        let latest = self.latest.entry(publisher).or_insert(published);
        if *latest > published {
            add(Seen::Overtaken);
        }
        *latest = published.max(*latest);
    }

    fn marks(&self, delivery: &Delivery, add: &mut impl FnMut(Seen)) {
        let before = self.others(delivery);
        let (marked, attempt) = (delivery.redelivered, delivery.attempt.max(1));
        let Some(last) = before.last() else {
            return add(match (marked, attempt) {
                (_, 2..) => Seen::FirstCounted,
                (true, _) => Seen::FirstMarked,
                (false, _) => Seen::First,
            });
        };
        let here = last.session == delivery.session;
        add(match (here, marked, attempt) {
            (true, true, _) => Seen::AgainHere,
            (true, false, _) => Seen::AgainHereUnmarked,
            (false, false, _) => Seen::AgainElsewhereUnmarked,
            (false, true, 1) => Seen::AgainElsewhereUncounted,
            (false, true, _) => Seen::AgainElsewhere,
        });
        if before.iter().any(|other| other.position().is_some() && other.position() != delivery.position()) {
            add(Seen::StoredTwice);
        }
    }

    fn rewinds(&self, history: &History, delivery: &Delivery, add: &mut impl FnMut(Seen)) {
        for other in self.others(delivery).iter().filter(|other| other.verdict == Some(SettleVerdict::Ack)) {
            match other.outcome {
                Some(Outcome::Ok) if other.settled < Some(delivery.at) => add(Seen::ConfirmedAckRewound),
                Some(Outcome::Unknown) => add(Seen::UnansweredAckRewound),
                None if is_confirmed(history) => add(Seen::UnansweredAckRewound),
                None => add(Seen::RecordedAckRewound),
                Some(Outcome::Ok | Outcome::Failed) => {}
            }
        }
    }

    fn holders(&self, history: &History, delivery: &Delivery, add: &mut impl FnMut(Seen)) {
        let elsewhere = |other: &&&Delivery| is_held_elsewhere(history, other, delivery);
        if self.others(delivery).iter().any(|other| elsewhere(&other)) {
            return add(Seen::HeldTwice);
        }
        let Some(key) = history.message(delivery.message).key else { return };
        if self.keys.get(&key).is_some_and(|others| others.iter().any(|other| elsewhere(&other))) {
            add(Seen::KeyHeldTwice);
        }
    }

    fn keep(&mut self, history: &History, delivery: &'a Delivery) {
        self.before.entry(delivery.message).or_default().push(delivery);
        if let Some(key) = history.message(delivery.message).key {
            let others = self.keys.entry(key).or_default();
            // Only what is in hand matters.
            others.retain(|other| ends(history, other, other.session).is_none_or(|end| end > delivery.at));
            others.push(delivery);
        }
    }
}

/// When a delivery was in nobody's hands any more.
fn ends(history: &History, delivery: &Delivery, session: SessionId) -> Option<At> {
    let closed = history.session(session).closed.map(|(at, _)| at);
    delivery.settle.into_iter().chain(closed).min()
}

/// Whether another session holds `other` when `delivery` comes.
fn is_held_elsewhere(history: &History, other: &Delivery, delivery: &Delivery) -> bool {
    other.session != delivery.session
        && ends(history, other, other.session).is_none_or(|end| end > delivery.at)
}
