//! One child's task: what is done, by whom, and how much of it. The parent writes it, the child reads it.

use anybroker::{Group, Topic};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::Result;

/// What is measured.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// Publishing as fast as it goes, every message confirmed.
    Publish,
    /// Receiving, handling and acknowledging a backlog as fast as it goes.
    Consume,
    /// Publishing, receiving and acknowledging in one process, in portions: brokers that are in the process.
    Through,
    /// End to end at a fixed rate.
    Latency,
}

impl Operation {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Publish => "publish",
            Operation::Consume => "consume",
            Operation::Through => "through",
            Operation::Latency => "latency",
        }
    }
}

/// What a child does, and where.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Task {
    pub url: String,
    pub contender: String,
    pub operation: Operation,
    /// The payload's bytes.
    pub size: usize,
    pub messages: u64,
    pub warm_up: u64,
    pub topic: String,
    pub group: String,
    /// The child fills the topic before it consumes, and deletes it afterwards.
    pub own_topic: bool,
    pub keys: u32,
    pub partitions: u32,
    pub prefetch: usize,
    /// So many topics at once, each with its own publisher and consumer; they share the messages.
    pub subscriptions: u32,
    /// Messages that lie in front of those that pass, of [`Operation::Through`].
    pub backlog: u64,
    /// Messages a second, of [`Operation::Latency`].
    pub rate: u64,
}

impl Task {
    /// # Errors
    /// If the name is none.
    pub fn topic(&self) -> Result<Topic> {
        Ok(Topic::new(&self.topic)?)
    }

    /// # Errors
    /// If the name is none.
    pub fn group(&self) -> Result<Group> {
        Ok(Group::new(&self.group)?)
    }

    /// The same for each of its topics, with its share of the messages.
    pub fn each(&self) -> Vec<Task> {
        if self.subscriptions <= 1 {
            return vec![self.clone()];
        }
        let all = u64::from(self.subscriptions);
        let one = |number| Task {
            topic: format!("{}-{number}", self.topic),
            subscriptions: 1,
            messages: self.messages.div_ceil(all),
            warm_up: self.warm_up.div_ceil(all),
            ..self.clone()
        };
        (0..self.subscriptions).map(one).collect()
    }

    /// The messages of this task.
    pub fn load(&self) -> Load {
        let keys = (0..self.keys.max(1)).map(|key| Bytes::from(format!("key-{key}")));
        Load { payload: Bytes::from(vec![ZERO; self.size.max(STAMP)]), keys: keys.collect() }
    }
}

/// The characters at a payload's beginning that say when it was due, each of them six bits, the lowest first. It is text: SQS
/// carries nothing else as it is.
pub const STAMP: usize = 8;
/// The character of six bits that are zero.
const ZERO: u8 = b'0';

/// When a payload was due.
pub fn due(payload: &[u8]) -> u64 {
    let stamp = payload.first_chunk::<STAMP>().unwrap_or(&[ZERO; STAMP]);
    stamp.iter().rev().fold(0, |due, character| due << 6 | u64::from(character.wrapping_sub(ZERO) & 63))
}

fn stamp(due: u64) -> [u8; STAMP] {
    std::array::from_fn(|at| ZERO + (due >> (6 * at) & 63) as u8)
}

/// What is published: one payload, which all messages share, and the keys in turn.
#[derive(Clone)]
pub struct Load {
    pub payload: Bytes,
    pub keys: Vec<Bytes>,
}

impl Load {
    /// The key of the message of that number.
    pub fn key(&self, number: u64) -> &Bytes {
        &self.keys[(number % self.keys.len() as u64) as usize]
    }

    /// The message of that number.
    pub fn item(&self, number: u64) -> Item {
        Item { key: self.key(number).clone(), payload: self.payload.clone() }
    }

    /// The message of that number, with a payload of its own that says when it was due.
    pub fn stamped(&self, number: u64, due: u64) -> Item {
        let mut payload = self.payload.to_vec();
        payload[..STAMP].copy_from_slice(&stamp(due));
        Item { key: self.key(number).clone(), payload: payload.into() }
    }
}

/// A message for a contender.
#[derive(Clone)]
pub struct Item {
    pub key: Bytes,
    pub payload: Bytes,
}

impl From<Item> for anybroker::Message {
    fn from(item: Item) -> Self {
        anybroker::Message::new(item.payload).with_key(item.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_text_and_reads_back() {
        for time in [0, 1, 63, 64, 3_600_000_000_123, (1 << 48) - 1] {
            let stamp = stamp(time);
            assert!(stamp.iter().all(u8::is_ascii_graphic), "{stamp:?}");
            assert_eq!(due(&stamp), time);
        }
        assert_eq!(due(b"short"), 0);
    }
}
