//! How a requester is opened.

use anybroker_core::{Group, Topic};

/// How a requester is opened.
#[derive(Clone, Debug)]
pub struct RequesterOptions {
    pub(super) reply_to: Option<(Topic, Group)>,
    pub(super) group: Option<Group>,
    pub(super) in_flight: usize,
}

impl Default for RequesterOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl RequesterOptions {
    /// A reply topic that is created, and deleted at the end; 1,000 requests in flight.
    pub fn new() -> Self {
        RequesterOptions { reply_to: None, group: None, in_flight: 1_000 }
    }

    /// Takes replies from an existing topic and group, where creating topics is not allowed. It must be this requester's
    /// alone: with two, each would get replies that belong to the other.
    ///
    /// ```
    /// # use anybroker_core::{Group, Topic};
    /// # use anybroker_patterns::request_reply::RequesterOptions;
    /// let options = RequesterOptions::new().reply_to(Topic::new("shop-1-replies")?, Group::new("shop-1")?);
    /// # Ok::<(), anybroker_core::Error>(())
    /// ```
    pub fn reply_to(mut self, topic: Topic, group: Group) -> Self {
        self.reply_to = Some((topic, group));
        self
    }

    /// The group of a reply topic that is created: one of those that the URL lists, where it does (`groups=` on SQS with
    /// emulated fan-out). Otherwise it is a new one.
    pub fn group(mut self, group: Group) -> Self {
        self.group = Some(group);
        self
    }

    /// The most requests that wait for a reply at once; more wait for their turn.
    pub fn in_flight(mut self, most: usize) -> Self {
        self.in_flight = most.max(1);
        self
    }
}
