//! Which dead letters are meant.

use std::time::SystemTime;

use super::{Letter, Reason, ReasonClass};
use crate::message::{Key, MessageId};
use crate::topic::Topic;

/// Which dead letters are meant: those for which everything holds that is stated. The default means all.
///
/// ```
/// use anybroker_core::dead_letter::Filter;
/// let filter = Filter { error: Some("no such customer".into()), ..Filter::default() };
/// assert!(!filter.is_all() && Filter::default().is_all());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The event type.
    pub event_type: Option<String>,
    /// A part of the reason or of an error that caused it, in capitals or not.
    pub error: Option<String>,
    /// The kind of failure.
    pub class: Option<ReasonClass>,
    /// The key.
    pub key: Option<Key>,
    /// The ids, one of which it has. None stated: any.
    pub ids: Vec<MessageId>,
    /// The topic that it was consumed from.
    pub origin: Option<Topic>,
    /// Given up at this time or later.
    pub since: Option<SystemTime>,
    /// Given up before this time.
    pub until: Option<SystemTime>,
}

impl Filter {
    /// Whether all letters are meant.
    pub fn is_all(&self) -> bool {
        *self == Filter::default()
    }

    /// Whether the letter is meant.
    pub fn matches(&self, letter: &Letter) -> bool {
        let said = letter.envelope();
        let time = said.and_then(|said| said.time);
        let reason = said.map(|said| &said.reason);
        self.event_type.as_deref().is_none_or(|wanted| letter.delivery().event_type() == Some(wanted))
            && self.error.as_deref().is_none_or(|part| reason.is_some_and(|reason| mentions(reason, part)))
            && self.class.is_none_or(|class| reason.and_then(Reason::class) == Some(class))
            && self.key.as_ref().is_none_or(|key| letter.delivery().key() == Some(key.as_bytes()))
            && (self.ids.is_empty() || self.ids.iter().any(|id| letter.is(id)))
            && self
                .origin
                .as_ref()
                .is_none_or(|topic| said.and_then(|said| said.topic.as_ref()) == Some(topic))
            && self.since.is_none_or(|since| time.is_some_and(|time| time >= since))
            && self.until.is_none_or(|until| time.is_some_and(|time| time < until))
    }
}

fn mentions(reason: &Reason, part: &str) -> bool {
    let part = part.to_lowercase();
    let mut texts = std::iter::once(reason.text()).chain(reason.chain().iter().map(String::as_str));
    texts.any(|text| text.to_lowercase().contains(&part))
}
