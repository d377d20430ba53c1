//! Names: topics, consumer groups, positions; and the topology that an application declares.

use std::fmt;

use bytestring::ByteString;

use crate::error::{Error, Kind, Result};

/// The longest topic or group name: Kafka allows 249 bytes, and a dead letter suffix must fit.
pub(crate) const MAX_NAME: usize = 200;

fn check(what: &str, name: &str) -> Result<ByteString> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > MAX_NAME || name == "." || name == ".." || !name.chars().all(legal) {
        let text =
            format!("`{name:.50}` is no {what} name: 1 to {MAX_NAME} letters, digits, `.`, `_` or `-`");
        return Err(Error::new(Kind::InvalidConfiguration, "name", text));
    }
    Ok(name.into())
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(ByteString);

        impl $type {
            /// Checks the name against the rules that every backend can keep: letters, digits, `.`, `_`, `-`.
            ///
            /// # Errors
            /// [`Kind::InvalidConfiguration`] says the rule.
            pub fn new(name: impl AsRef<str>) -> Result<Self> {
                check($what, name.as_ref()).map($type)
            }

            /// The name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl std::str::FromStr for $type {
            type Err = Error;
            fn from_str(name: &str) -> Result<Self> {
                Self::new(name)
            }
        }
    };
}

name! {
    /// A named stream of messages: a Kafka topic, a RabbitMQ exchange with its queues.
    Topic, "topic"
}

name! {
    /// A consumer group: its members share a topic's messages; different groups each get all of them.
    Group, "group"
}

name! {
    /// Names who publishes in transactions, over restarts: whoever opens it last fences those before. One for each instance of
    /// a service that runs at the same time.
    TransactionalId, "transactional id"
}

/// Where the broker keeps a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The partition's number.
    pub partition: u32,
    /// The offset in the partition.
    pub offset: u64,
}

/// What `declare` makes sure of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// The topic.
    pub topic: Topic,
    /// Its consumer groups, each of which gets every message from now on.
    pub groups: Vec<Group>,
    /// How many partitions; none takes the backend's default (from its URL).
    pub partitions: Option<u32>,
}

impl Topology {
    /// A topic without groups and with the backend's default partitions.
    pub fn new(topic: Topic) -> Self {
        Topology { topic, groups: Vec::new(), partitions: None }
    }

    /// Adds a consumer group.
    pub fn group(mut self, group: Group) -> Self {
        self.groups.push(group);
        self
    }

    /// States the number of partitions.
    pub fn partitions(mut self, partitions: u32) -> Self {
        self.partitions = Some(partitions);
        self
    }
}

/// What opening a publisher or consumer does about the topology (`topology=` in the URL).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TopologyMode {
    /// What is there must fit; a missing topic is an error. The default.
    #[default]
    Check,
    /// What is missing is created; what is there must fit.
    Create,
    /// Nothing is looked at: the operator vouches for it.
    Ignore,
}

impl std::str::FromStr for TopologyMode {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "check" => Ok(TopologyMode::Check),
            "create" => Ok(TopologyMode::Create),
            "ignore" => Ok(TopologyMode::Ignore),
            _ => Err(Error::new(
                Kind::InvalidConfiguration,
                "connect",
                format!("topology={text} is none of check, create, ignore"),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_some_backend_refuses_are_refused_everywhere() {
        for bad in ["", ".", "..", "a b", "ü", &"x".repeat(201)] {
            assert_eq!(Topic::new(bad).unwrap_err().kind(), Kind::InvalidConfiguration);
        }
        assert!(Topic::new("orders.v1_EU-2").is_ok());
    }
}
