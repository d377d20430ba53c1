//! Messages that share their deduplication id with another of their topic.

use std::collections::HashMap;

use crate::history::{History, MessageId, Name};

/// The published messages of each deduplication id and topic that some message names as its `dedup`, in the order of
/// their publishing. All other messages are alone.
#[derive(Debug)]
pub(crate) struct Twins(HashMap<(usize, Name), Vec<MessageId>>);

impl Twins {
    pub(crate) fn new(history: &History) -> Self {
        let mut twins: HashMap<_, Vec<_>> = HashMap::new();
        for (id, message, _) in history.published().filter(|(_, message, _)| message.dedup.is_some()) {
            twins.entry((history.dedup_class(id), message.topic)).or_default().push(id);
        }
        for ((class, topic), messages) in &mut twins {
            messages.extend(history.original(*class).filter(|id| history.message(*id).topic == *topic));
            messages.sort_unstable_by_key(|id| history.message(*id).publish);
        }
        Self(twins)
    }

    /// The messages of a message's deduplication id and topic; none if it is alone.
    pub(crate) fn of(&self, history: &History, id: MessageId) -> &[MessageId] {
        let class = (history.dedup_class(id), history.message(id).topic);
        self.0.get(&class).map_or(&[], Vec::as_slice)
    }

    /// Whether no earlier message of its topic has a message's deduplication id.
    pub(crate) fn is_new(&self, history: &History, id: MessageId) -> bool {
        self.of(history, id).first().is_none_or(|first| *first == id)
    }

    /// The messages of each deduplication id and topic, where there are several.
    pub(crate) fn all(&self) -> impl Iterator<Item = &[MessageId]> {
        self.0.values().map(Vec::as_slice)
    }
}
