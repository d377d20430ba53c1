//! Messages that were published more than once, by their ids.
//!
//! In a history every publish has an `m` of its own: the first of an id the id itself, each further one the id with a
//! number, and the id as its `dedup`. What is delivered has only the id. Which of them it is, is found here: by its
//! position where the broker tells positions, otherwise by the order in which unmarked deliveries come. So a broker that
//! stores a repeated id is seen to have delivered two messages, and one that does not, one.
//!
//! Where nothing tells them apart it counts as the first. So an id is to be published again only where the broker promises
//! deduplication: there a message counts as delivered if another of its deduplication id was.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::history::Position;

/// Every id that was published, with its publishes.
#[derive(Debug, Default)]
pub(super) struct Copies(Mutex<HashMap<String, Known>>);

#[derive(Debug, Default)]
struct Known {
    first: Copy,
    more: Vec<Copy>,
}

/// One publish of an id.
#[derive(Clone, Debug, Default)]
struct Copy {
    /// Which one it is: 0 is the first.
    number: usize,
    topic: u64,
    position: Option<Position>,
    /// The groups that have had it, where no position says which one it was.
    groups: Vec<u64>,
}

/// How one publish is called in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) m: String,
    /// The id, if that is not its name.
    pub(super) dedup: Option<String>,
    number: usize,
}

/// What is known of a delivery besides its id.
#[derive(Clone, Copy, Debug)]
pub(super) struct Came<'a> {
    pub(super) topic: &'a str,
    pub(super) group: &'a str,
    pub(super) position: Option<Position>,
    /// Whether the broker says that it was delivered before.
    pub(super) marked: bool,
    pub(super) dead_letter: bool,
}

impl Copies {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name of a publish that is about to be invoked.
    pub(super) fn publish(&self, id: String, topic: &str) -> Named {
        let mut ids = self.lock();
        let copy = |number| Copy { number, topic: hash(topic), ..Copy::default() };
        let Some(known) = ids.get_mut(&id) else {
            ids.insert(id.clone(), Known { first: copy(0), more: Vec::new() });
            return Named { m: id, dedup: None, number: 0 };
        };
        let number = known.more.len() + 1;
        known.more.push(copy(number));
        Named { m: name(&id, number), dedup: Some(id), number }
    }

    /// A publish was confirmed, at this position if the broker says so and it is not that of another one. Says which
    /// position is its own: what a delivery has already shown to be another's is not.
    pub(super) fn confirmed(&self, named: &Named, position: Position, duplicate: bool) -> Option<Position> {
        let mut ids = self.lock();
        let Some(known) = ids.get_mut(named.dedup.as_ref().unwrap_or(&named.m)) else {
            return Some(position);
        };
        let taken = known.all().any(|copy| copy.number != named.number && copy.position == Some(position));
        if duplicate {
            return Some(position);
        }
        let own = known.all_mut().find(|copy| copy.number == named.number).filter(|_| !taken)?;
        own.position.get_or_insert(position);
        Some(position)
    }

    /// The name of the message that a delivery is of.
    pub(super) fn delivered(&self, id: String, came: Came<'_>) -> String {
        let mut ids = self.lock();
        let Some(known) = ids.get_mut(&id) else { return id };
        if came.dead_letter {
            // Only what was delivered can have been given up.
            let seen = known.all().find(|copy| copy.position.is_some() || !copy.groups.is_empty());
            return name(&id, seen.map_or(0, |copy| copy.number));
        }
        match known.of(came) {
            Some(number) => name(&id, number),
            None => id,
        }
    }
}

impl Known {
    fn all(&self) -> impl Iterator<Item = &Copy> {
        std::iter::once(&self.first).chain(&self.more)
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Copy> {
        std::iter::once(&mut self.first).chain(&mut self.more)
    }

    fn of(&mut self, came: Came<'_>) -> Option<usize> {
        let (topic, group) = (hash(came.topic), hash(came.group));
        if let Some(position) = came.position {
            if let Some(same) = self.on(topic).find(|copy| copy.position == Some(position)) {
                return Some(same.number);
            }
            let next = self.on(topic).find(|copy| copy.position.is_none())?;
            next.position = Some(position);
            return Some(next.number);
        }
        if !came.marked
            && let Some(next) = self.on(topic).find(|copy| !copy.groups.contains(&group))
        {
            next.groups.push(group);
            return Some(next.number);
        }
        self.on(topic).filter(|copy| copy.groups.contains(&group)).last().map(|copy| copy.number)
    }

    fn on(&mut self, topic: u64) -> impl Iterator<Item = &mut Copy> {
        self.all_mut().filter(move |copy| copy.topic == topic)
    }
}

fn name(id: &str, number: usize) -> String {
    if number == 0 { id.to_owned() } else { format!("{id}#{}", number + 1) }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: u64) -> Option<Position> {
        Some(Position { partition: 0, offset })
    }

    fn came(position: Option<Position>, marked: bool) -> Came<'static> {
        Came { topic: "t", group: "g", position, marked, dead_letter: false }
    }

    #[test]
    fn what_is_published_again_has_a_name_of_its_own_and_the_id_as_its_deduplication_id() {
        let copies = Copies::default();
        let names = [copies.publish("x".into(), "t"), copies.publish("x".into(), "t")];
        assert_eq!((names[0].m.as_str(), names[0].dedup.as_deref()), ("x", None));
        assert_eq!((names[1].m.as_str(), names[1].dedup.as_deref()), ("x#2", Some("x")));
    }

    #[test]
    fn positions_tell_whether_one_or_two_were_stored() {
        let copies = Copies::default();
        let (first, second) = (copies.publish("x".into(), "t"), copies.publish("x".into(), "t"));
        copies.confirmed(&first, at(1).unwrap(), false);
        assert_eq!(copies.confirmed(&second, at(1).unwrap(), true), at(1));
        assert_eq!(copies.delivered("x".into(), came(at(1), false)), "x");
        assert_eq!(copies.delivered("x".into(), came(at(1), false)), "x");
        // The broker stored it again: a delivery shows it before the receipt does.
        assert_eq!(copies.delivered("x".into(), came(at(2), false)), "x#2");
    }

    #[test]
    fn of_an_unheard_publish_and_its_retry_the_stored_one_is_told() {
        let copies = Copies::default();
        copies.publish("x".into(), "t");
        let retry = copies.publish("x".into(), "t");
        assert_eq!(copies.confirmed(&retry, at(7).unwrap(), false), at(7));
        assert_eq!(copies.delivered("x".into(), came(at(7), false)), "x#2");
        let letter = Came { topic: "dead", group: "reader", dead_letter: true, ..came(at(0), false) };
        assert_eq!(copies.delivered("x".into(), letter), "x#2");
        let copies = Copies::default();
        copies.publish("y".into(), "t");
        let retry = copies.publish("y".into(), "t");
        assert_eq!(copies.delivered("y".into(), came(at(7), false)), "y");
        assert_eq!(copies.confirmed(&retry, at(7).unwrap(), false), None, "it is y's by now");
    }

    #[test]
    fn without_positions_unmarked_deliveries_tell() {
        let copies = Copies::default();
        copies.publish("x".into(), "t");
        assert_eq!(copies.delivered("x".into(), came(None, false)), "x");
        copies.publish("x".into(), "t");
        assert_eq!(copies.delivered("x".into(), came(None, true)), "x");
        assert_eq!(copies.delivered("x".into(), Came { group: "other", ..came(None, false) }), "x");
        assert_eq!(copies.delivered("x".into(), came(None, false)), "x#2");
        assert_eq!(copies.delivered("unknown".into(), came(None, false)), "unknown");
    }
}
