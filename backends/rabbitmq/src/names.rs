//! What a topic and its groups are called on the server.
//!
//! `:` is in no topic or group name, so that no two of them meet in one queue.

use anybroker_core::{Error, Group, Kind, Result, Topic};
use lapin::types::MAX_SHORT_STRING_LENGTH;

/// The names of one group of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    /// The topic's exchange, to which everything is published.
    pub(crate) topic: String,
    /// The group's queue; with partitions, the exchange that brings every slot to its queue.
    pub(crate) group: String,
}

impl Names {
    /// Refuses names that together are too long for a queue.
    pub(crate) fn new(topic: &Topic, group: &Group) -> Result<Self> {
        let names = Names { topic: topic.to_string(), group: format!("{topic}:{group}") };
        if names.broker_limit().len() > MAX_SHORT_STRING_LENGTH {
            let text = format!("the names of topic `{topic}` and group `{group}` are too long together");
            let advice = "RabbitMQ's names hold 255 bytes; topic and group share 241 of them";
            return Err(Error::new(Kind::InvalidConfiguration, "open", text).advice(advice));
        }
        Ok(names)
    }

    /// The queue of one partition.
    pub(crate) fn partition(&self, number: u32) -> String {
        format!("{}:{number}", self.group)
    }

    /// Where messages go whose routing key is no slot: other programs'. It brings them to the first partition.
    pub(crate) fn others(&self) -> String {
        format!("{}:others", self.group)
    }

    /// The queue that counts the members of a group with partitions: each consumes from it, nobody publishes to it.
    pub(crate) fn members(&self) -> String {
        format!("{}:members", self.group)
    }

    /// Where the broker puts what it has delivered too often.
    pub(crate) fn broker_limit(&self) -> String {
        format!("{}:broker-limit", self.group)
    }
}

/// The queues that a group really has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) names: Names,
    /// How many queues share the keys; none if there is one queue for all.
    pub(crate) partitions: Option<u32>,
}

impl Layout {
    /// How many queues the group has.
    pub(crate) fn count(&self) -> u32 {
        self.partitions.unwrap_or(1)
    }

    /// The queue of a partition.
    pub(crate) fn queue(&self, number: u32) -> String {
        match self.partitions {
            Some(_) => self.names.partition(number),
            None => self.names.group.clone(),
        }
    }

    /// All queues that hold the group's messages.
    pub(crate) fn queues(&self) -> impl Iterator<Item = String> {
        (0..self.count()).map(|number| self.queue(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_groups_meet() {
        let name = |topic: &str, group: &str| {
            Names::new(&topic.parse().unwrap(), &group.parse().unwrap()).unwrap().partition(1)
        };
        assert_ne!(name("a.b", "c"), name("a", "b.c"));
        assert_eq!(name("orders", "billing"), "orders:billing:1");
    }

    #[test]
    fn names_that_do_not_fit_are_refused() {
        let long = "x".repeat(200);
        assert!(Names::new(&long.parse().unwrap(), &"y".repeat(41).parse().unwrap()).is_ok());
        assert!(Names::new(&long.parse().unwrap(), &"y".repeat(42).parse().unwrap()).is_err());
    }
}
