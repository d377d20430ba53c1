//! What happened between two looks.

use std::fmt;

use anybroker_core::{Event, Group, Message, Topic};

use crate::observe::Outcome;

/// What a worker did until it was idle, in order. Shown, it is a story for a failed assertion.
#[derive(Clone, Debug, Default)]
pub struct Happened {
    /// What was published, by the test and by handlers.
    pub published: Vec<Published>,
    /// What handlers did, one entry for each settlement.
    pub treated: Vec<Treated>,
}

/// A message that the broker confirmed.
#[derive(Clone, Debug)]
pub struct Published {
    /// Where it was published to.
    pub topic: Topic,
    /// The message.
    pub message: Message,
}

/// A message that was settled.
#[derive(Clone, Debug)]
pub struct Treated {
    /// The topic that it was consumed from.
    pub topic: Topic,
    /// The group that consumed it.
    pub group: Group,
    /// The message.
    pub message: Message,
    /// As what it was settled.
    pub outcome: Outcome,
    /// 1 for its first attempt.
    pub attempt: u32,
    /// What its handler failed with.
    pub error: Option<String>,
}

impl Happened {
    /// The messages that were published to a topic.
    pub fn published_to<'a>(&'a self, topic: &'a str) -> impl Iterator<Item = &'a Message> {
        self.published.iter().filter(move |it| it.topic.as_str() == topic).map(|it| &it.message)
    }

    /// The events of type `E` that were published to a topic; what is no `E` is left out.
    pub fn events<E: Event>(&self, topic: &str) -> Vec<E> {
        let of_type =
            self.published_to(topic).filter(|message| message.event_type.as_deref() == Some(E::TYPE));
        of_type.filter_map(|message| serde_json::from_slice(&message.payload).ok()).collect()
    }

    /// Messages that were settled as this.
    pub fn settled_as(&self, outcome: Outcome) -> impl Iterator<Item = &Treated> {
        self.treated.iter().filter(move |it| it.outcome == outcome)
    }

    /// Messages whose handler succeeded.
    pub fn acknowledged(&self) -> impl Iterator<Item = &Treated> {
        self.settled_as(Outcome::Acknowledged)
    }

    /// Messages that were put back to come again, once for each time.
    pub fn retried(&self) -> impl Iterator<Item = &Treated> {
        self.settled_as(Outcome::Retried)
    }

    /// Messages that became dead letters.
    pub fn dead_lettered(&self) -> impl Iterator<Item = &Treated> {
        self.settled_as(Outcome::DeadLettered)
    }
}

impl fmt::Display for Happened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Published { topic, message } in &self.published {
            writeln!(f, "published to {topic}: {}", Told(message))?;
        }
        for Treated { topic, group, message, outcome, attempt, error } in &self.treated {
            let (told, outcome) = (Told(message), outcome.as_str());
            write!(f, "{group} of {topic}, attempt {attempt}: {told}: {outcome}")?;
            error.as_ref().map_or(Ok(()), |error| write!(f, ": {error}"))?;
            writeln!(f)?;
        }
        Ok(())
    }
}

/// A message in a line.
struct Told<'a>(&'a Message);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = self.0;
        let payload: String = String::from_utf8_lossy(&message.payload).chars().take(80).collect();
        let key = message.key.as_ref().map(|key| format!(" of {key}")).unwrap_or_default();
        write!(f, "{}{key} {payload}", message.event_type.as_deref().unwrap_or("message"))
    }
}
