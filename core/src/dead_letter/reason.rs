//! Why a message was given up.

use std::error::Error as StdError;
use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Kind};
use crate::message::MessageId;

/// The longest text and the longest line of a chain, in bytes: they travel in headers.
const LONGEST: usize = 1_000;
/// The most errors of a chain.
const MOST: usize = 16;

/// Why a message was given up: what kind of failure it was, what was said of it, and what caused that.
///
/// Texts are cut to 1,000 bytes and chains to 16 errors, of which the last, the root cause, stays. A plain text is a reason
/// of the class `permanent`.
///
/// ```
/// use anybroker_core::{Reason, ReasonClass};
/// let missing = std::io::Error::other("no customer 7");
/// let reason = Reason::of(ReasonClass::Permanent, &missing).parked_behind("m-1");
/// assert_eq!((reason.text(), reason.class()), ("no customer 7", Some(ReasonClass::Permanent)));
/// assert_eq!(Reason::from("it cannot be read").class(), Some(ReasonClass::Permanent));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(Box<Parts>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Parts {
    class: Option<ReasonClass>,
    text: String,
    chain: Vec<String>,
    parked_behind: Option<MessageId>,
}

impl Reason {
    /// A reason of that class. `text` is what a person reads first.
    pub fn new(class: ReasonClass, text: impl Into<String>) -> Self {
        Self::read(Some(class), text.into(), Vec::new(), None)
    }

    /// The reason that `error` is, with the errors that caused it as the chain.
    pub fn of(class: ReasonClass, error: &(dyn StdError + 'static)) -> Self {
        let causes = std::iter::successors(error.source(), |&error| error.source());
        Self::new(class, error.to_string()).with_chain(causes.map(ToString::to_string))
    }

    /// What an envelope says; those of before the classes have none.
    pub(super) fn read(
        class: Option<ReasonClass>,
        text: String,
        chain: Vec<String>,
        parked_behind: Option<MessageId>,
    ) -> Self {
        let reason = Reason(Box::new(Parts { class, text: cut(text), chain: Vec::new(), parked_behind }));
        reason.with_chain(chain)
    }

    /// States the errors that caused it, from the nearest to the root.
    pub fn with_chain(mut self, chain: impl IntoIterator<Item = String>) -> Self {
        let mut all = chain.into_iter();
        let mut chain: Vec<_> = all.by_ref().take(MOST).map(one_line).collect();
        if let (Some(last), Some(root)) = (chain.last_mut(), all.last()) {
            *last = one_line(root);
        }
        self.0.chain = chain;
        self
    }

    /// States that it waits behind an earlier message of its key that was given up.
    pub fn parked_behind(mut self, poisoned: impl Into<MessageId>) -> Self {
        self.0.parked_behind = Some(poisoned.into());
        self
    }

    /// The kind of failure; none if the dead letter does not say.
    pub fn class(&self) -> Option<ReasonClass> {
        self.0.class
    }

    /// What a person reads first.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The errors that caused it, from the nearest to the root.
    pub fn chain(&self) -> &[String] {
        &self.0.chain
    }

    /// The earlier message of its key behind which it waits.
    pub fn behind(&self) -> Option<&MessageId> {
        self.0.parked_behind.as_ref()
    }
}

impl From<String> for Reason {
    fn from(text: String) -> Self {
        Reason::new(ReasonClass::Permanent, text)
    }
}

impl From<&str> for Reason {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)?;
        self.0.chain.iter().try_for_each(|cause| write!(f, ": {cause}"))
    }
}

/// What kind of failure made a message a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ReasonClass {
    /// It might have succeeded later, and used up its attempts or its time.
    Retryable,
    /// It would fail again however often it is tried.
    Permanent,
    /// It could not be decoded.
    Poison,
    /// The broker gave it up by a limit of its own.
    BrokerLimit,
    /// It did not fail: it waits behind an earlier message of its key that did.
    Parked,
}

impl ReasonClass {
    /// All classes.
    pub const ALL: [ReasonClass; 5] = [
        ReasonClass::Retryable,
        ReasonClass::Permanent,
        ReasonClass::Poison,
        ReasonClass::BrokerLimit,
        ReasonClass::Parked,
    ];

    /// The class as envelopes and the command line write it.
    pub fn as_str(self) -> &'static str {
        match self {
            ReasonClass::Retryable => "retryable",
            ReasonClass::Permanent => "permanent",
            ReasonClass::Poison => "poison",
            ReasonClass::BrokerLimit => "broker-limit",
            ReasonClass::Parked => "parked",
        }
    }
}

impl fmt::Display for ReasonClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ReasonClass {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        ReasonClass::ALL.into_iter().find(|class| class.as_str() == text).ok_or_else(|| {
            let known = ReasonClass::ALL.map(ReasonClass::as_str).join(", ");
            let text = format!("`{text:.50}` is no class of dead letters: {known}");
            Error::new(Kind::InvalidConfiguration, "dead-letter", text)
        })
    }
}

/// At most as long as a header may be.
fn cut(mut text: String) -> String {
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST - '…'.len_utf8()));
        text.push('…');
    }
    text
}

/// The chain is written with a line for each error.
fn one_line(text: String) -> String {
    cut(if text.contains(['\n', '\r']) { text.replace(['\n', '\r'], " ") } else { text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_bounded_and_keeps_its_root() {
        let reason = Reason::from("☃".repeat(9_999)).with_chain((0..99).map(|at| format!("cause\n{at}")));
        assert_eq!((reason.text().len(), reason.chain().len()), (999, MOST));
        assert_eq!(reason.chain()[0], "cause 0");
        assert_eq!(reason.chain().last().unwrap(), "cause 98");
    }

    #[test]
    fn errors_are_taken_apart() {
        let error = Error::new(Kind::Unexpected, "settle", "no").with_source(std::io::Error::other("disk"));
        let reason = Reason::of(ReasonClass::Retryable, &error);
        assert_eq!(reason.chain(), ["disk"]);
        assert!(reason.text().starts_with("settle"));
    }

    #[test]
    fn classes_are_read_as_written() {
        for class in ReasonClass::ALL {
            assert_eq!(class.to_string().parse::<ReasonClass>().unwrap(), class);
        }
        assert!("bad".parse::<ReasonClass>().unwrap_err().to_string().contains("broker-limit"));
    }

    #[test]
    fn a_reason_is_small() {
        assert_eq!(size_of::<Reason>(), size_of::<usize>());
    }
}
