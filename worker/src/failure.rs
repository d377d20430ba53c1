//! Why a handler failed, and what that means for the message.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use anybroker_core::{Error, Kind, Reason, ReasonClass};

/// An error of any kind.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// What a failure means for the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// The next attempt may succeed: the database was away.
    Retryable,
    /// No attempt can succeed: the order does not exist. To the dead letter topic at once.
    Permanent,
    /// The message itself cannot be read. To the dead letter topic at once.
    Poison,
    /// The worker cannot go on, whatever the message: it hands everything back and ends with this error.
    Fatal,
}

impl Class {
    /// All there are.
    pub(crate) const ALL: [Class; 4] = [Class::Retryable, Class::Permanent, Class::Poison, Class::Fatal];

    /// The class in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Retryable => "retryable",
            Class::Permanent => "permanent",
            Class::Poison => "poison",
            Class::Fatal => "fatal",
        }
    }
}

/// A handler's error with its class. `?` makes a retryable one of every error; an anybroker error brings its own class.
///
/// ```
/// use anybroker_worker::{Class, Failure};
/// fn parse(text: &str) -> Result<u32, Failure> {
///     text.parse().map_err(Failure::permanent)
/// }
/// assert_eq!(parse("three").unwrap_err().class(), Class::Permanent);
/// ```
pub struct Failure {
    class: Class,
    after: Option<Duration>,
    source: BoxError,
}

impl Failure {
    fn new(class: Class, source: impl Into<BoxError>) -> Self {
        Failure { class, after: None, source: source.into() }
    }

    /// The next attempt may succeed.
    pub fn retryable(source: impl Into<BoxError>) -> Self {
        Self::new(Class::Retryable, source)
    }

    /// The next attempt may succeed, but not before this time has passed; it takes the place of the policy's back-off.
    pub fn retry_after(after: Duration, source: impl Into<BoxError>) -> Self {
        Failure { after: Some(after), ..Self::retryable(source) }
    }

    /// No attempt can succeed.
    pub fn permanent(source: impl Into<BoxError>) -> Self {
        Self::new(Class::Permanent, source)
    }

    /// The message cannot be read.
    pub fn poison(source: impl Into<BoxError>) -> Self {
        Self::new(Class::Poison, source)
    }

    /// The worker cannot go on: the message is handed back, and the worker ends with this error.
    pub fn fatal(source: impl Into<BoxError>) -> Self {
        Self::new(Class::Fatal, source)
    }

    /// What it means for the message.
    pub fn class(&self) -> Class {
        self.class
    }

    /// The time that it asks to wait, if it does.
    pub fn after(&self) -> Option<Duration> {
        self.after
    }

    /// The error.
    pub fn source(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.source
    }

    /// What a dead letter says of it.
    pub fn reason(&self) -> Reason {
        let class = match self.class {
            Class::Retryable => ReasonClass::Retryable,
            Class::Poison => ReasonClass::Poison,
            Class::Permanent | Class::Fatal => ReasonClass::Permanent,
        };
        Reason::of(class, &*self.source)
    }

    /// The failure that `error` stands for: a [`HandlerError`]'s own, otherwise one whose class follows from the error.
    pub fn of(error: BoxError) -> Self {
        match error.downcast::<HandlerError>() {
            Ok(own) => own.0,
            Err(other) => Self::classified(other),
        }
    }

    fn classified(source: BoxError) -> Self {
        let Some(error) = source.downcast_ref::<Error>() else { return Self::retryable(source) };
        let class = match error.kind() {
            Kind::Decode => Class::Poison,
            _ if error.is_retryable() => Class::Retryable,
            _ => Class::Permanent,
        };
        Failure { class, after: error.retry_after(), source }
    }

    /// The same failure for another message; of the causes only the texts remain.
    pub(crate) fn again(&self) -> Self {
        let chain = self.reason().to_string();
        Failure { class: self.class, after: self.after, source: chain.into() }
    }

    pub(crate) fn into_source(self) -> BoxError {
        self.source
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure::of(Box::new(error))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure").field("class", &self.class).field("source", &self.source).finish()
    }
}

/// A [`Failure`] as the error of a `tower` service, where it must be a [`std::error::Error`].
#[derive(Debug)]
pub struct HandlerError(pub Failure);

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for HandlerError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_brings_its_class() {
        let class = |kind| Failure::from(Error::new(kind, "handle", "no")).class();
        assert_eq!(class(Kind::Disconnected), Class::Retryable);
        assert_eq!(class(Kind::Decode), Class::Poison);
        assert_eq!(class(Kind::PermissionDenied), Class::Permanent);
        assert_eq!(Failure::from(std::io::Error::other("away")).class(), Class::Retryable);
    }

    #[test]
    fn a_failure_survives_the_layers() {
        let boxed: BoxError = Box::new(HandlerError(Failure::permanent("no such order")));
        let failure = Failure::of(boxed);
        assert_eq!((failure.class(), failure.to_string()), (Class::Permanent, "no such order".to_owned()));
    }

    #[test]
    fn the_reason_tells_the_causes() {
        let inner = Error::new(Kind::TimedOut, "connect", "no answer");
        let outer = Error::new(Kind::Unexpected, "load", "the order").with_source(inner);
        let reason = Failure::permanent(outer).reason();
        assert!(reason.text().contains("the order") && reason.chain()[0].contains("no answer"), "{reason}");
    }
}
