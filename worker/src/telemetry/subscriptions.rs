//! Something for each subscription, without a lock.

use std::sync::OnceLock;

use anybroker_core::{Group, Topic};

/// A value for each subscription that was asked for. A list that only grows: there are few, and they stay.
#[derive(Debug)]
pub(crate) struct BySubscription<T> {
    first: OnceLock<Box<Entry<T>>>,
}

/// A subscription with its value.
#[derive(Debug)]
pub(crate) struct Entry<T> {
    pub(crate) topic: Topic,
    pub(crate) group: Group,
    pub(crate) value: T,
    next: OnceLock<Box<Entry<T>>>,
}

impl<T> Default for BySubscription<T> {
    fn default() -> Self {
        BySubscription { first: OnceLock::new() }
    }
}

impl<T> BySubscription<T> {
    /// The value of a subscription, made if it is new.
    pub(crate) fn of(&self, topic: &Topic, group: &Group, make: impl Fn() -> T) -> &T {
        let mut place = &self.first;
        loop {
            // Somebody else may have put another subscription there meanwhile.
            let entry = place.get_or_init(|| {
                let (topic, group) = (topic.clone(), group.clone());
                Box::new(Entry { topic, group, value: make(), next: OnceLock::new() })
            });
            if is(entry.topic.as_str(), topic.as_str()) && is(entry.group.as_str(), group.as_str()) {
                return &entry.value;
            }
            place = &entry.next;
        }
    }

    /// All of them, in the order in which they came.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry<T>> {
        let first = self.first.get().map(Box::as_ref);
        std::iter::successors(first, |entry| entry.next.get().map(Box::as_ref))
    }
}

/// Whether two names are equal; mostly they are the same bytes.
fn is(one: &str, other: &str) -> bool {
    std::ptr::eq(one, other) || one == other
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_subscription_has_one_value() {
        let all: BySubscription<u32> = BySubscription::default();
        let (orders, bills) = (Topic::new("orders").unwrap(), Topic::new("bills").unwrap());
        let group = Group::new("g").unwrap();
        assert_eq!(*all.of(&orders, &group, || 1), 1);
        assert_eq!(*all.of(&bills, &group, || 2), 2);
        assert_eq!(*all.of(&Topic::new("orders").unwrap(), &group, || 3), 1);
        assert_eq!(all.iter().map(|entry| entry.value).collect::<Vec<_>>(), [1, 2]);
    }
}
