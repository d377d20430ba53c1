//! One error type for every backend: what was tried, on what, why it failed, what a retry would do.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

/// The result of every fallible operation of the contract.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in the terms that a program branches on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The backend cannot do this; found before any I/O.
    Unsupported,
    /// An option, URL, header or name is wrong.
    InvalidConfiguration,
    /// The guarantees that the application requires are not given by this configuration.
    Unmet,
    /// The topic, group or server object does not exist.
    NotFound,
    /// The broker refused the credentials or the operation.
    PermissionDenied,
    /// A message or batch is over a limit.
    TooLarge,
    /// The broker or a local bound asks to slow down.
    Throttled,
    /// A deadline passed.
    TimedOut,
    /// The connection broke or could not be made.
    Disconnected,
    /// The partition or producer session belongs to somebody else now.
    Fenced,
    /// The delivery was held for longer than its lease.
    LeaseExpired,
    /// An earlier message of the key is delivered again first; this delivery comes again after it.
    Superseded,
    /// An earlier message of the key failed to publish; call `resume` when it has been dealt with.
    KeyHeld,
    /// The broker has had a message of this id already, and stored nothing.
    Duplicate,
    /// The handle was closed.
    Closed,
    /// Bytes that do not decode.
    Decode,
    /// Anything else; the source says more.
    Unexpected,
}

impl Kind {
    /// The kind in lower-case words, as error texts and the command line show it.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Unsupported => "unsupported",
            Kind::InvalidConfiguration => "invalid configuration",
            Kind::Unmet => "requirements unmet",
            Kind::NotFound => "not found",
            Kind::PermissionDenied => "permission denied",
            Kind::TooLarge => "too large",
            Kind::Throttled => "throttled",
            Kind::TimedOut => "timed out",
            Kind::Disconnected => "disconnected",
            Kind::Fenced => "fenced",
            Kind::LeaseExpired => "lease expired",
            Kind::Superseded => "superseded",
            Kind::KeyHeld => "key held",
            Kind::Duplicate => "duplicate",
            Kind::Closed => "closed",
            Kind::Decode => "decode",
            Kind::Unexpected => "unexpected",
        }
    }

    fn is_retryable(self) -> bool {
        matches!(self, Kind::Throttled | Kind::TimedOut | Kind::Disconnected)
    }
}

/// Whether the operation may have taken effect although it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It certainly had no effect: a retry cannot duplicate.
    NotApplied,
    /// The broker may have applied it: a retry may duplicate.
    Unknown,
}

/// The error of every operation: one word wide, so that results stay small.
///
/// ```
/// use anybroker_core::{Error, Fate, Kind};
/// let error = Error::new(Kind::NotFound, "publish", "topic `orders` does not exist")
///     .advice("create it: anybroker topics create URL orders");
/// assert_eq!(error.kind(), Kind::NotFound);
/// assert_eq!(error.fate(), Fate::NotApplied);
/// assert!(error.to_string().contains("topics create"));
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    operation: &'static str,
    message: String,
    context: Option<String>,
    advice: Option<String>,
    fate: Option<Fate>,
    retryable: Option<bool>,
    retry_after: Option<Duration>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind` met while doing `operation` (a verb, such as `publish`); `message` says why.
    pub fn new(kind: Kind, operation: &'static str, message: impl Into<String>) -> Self {
        Error(Box::new(Inner {
            kind,
            operation,
            message: message.into(),
            context: None,
            advice: None,
            fate: None,
            retryable: None,
            retry_after: None,
            source: None,
        }))
    }

    /// What it was tried on: a topic, a URL without secrets.
    pub fn on(mut self, context: impl Into<String>) -> Self {
        self.0.context = Some(context.into());
        self
    }

    /// What to do about it.
    pub fn advice(mut self, advice: impl Into<String>) -> Self {
        self.0.advice = Some(advice.into());
        self
    }

    /// States the fate where the kind's usual one is wrong.
    pub fn with_fate(mut self, fate: Fate) -> Self {
        self.0.fate = Some(fate);
        self
    }

    /// States whether trying again can help where the kind's usual answer is wrong.
    pub fn with_retryable(mut self, retryable: bool) -> Self {
        self.0.retryable = Some(retryable);
        self
    }

    /// The shortest time to wait before trying again.
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.0.retry_after = Some(after);
        self
    }

    /// The client library's own error.
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The operation that failed.
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// Whether the operation may have taken effect. Time-outs and broken connections are
    /// [`Fate::Unknown`] unless the adapter knows better.
    pub fn fate(&self) -> Fate {
        self.0.fate.unwrap_or(match self.0.kind {
            Kind::TimedOut | Kind::Disconnected | Kind::Unexpected => Fate::Unknown,
            _ => Fate::NotApplied,
        })
    }

    /// Whether the same call can succeed later without anything being changed.
    pub fn is_retryable(&self) -> bool {
        self.0.retryable.unwrap_or(self.0.kind.is_retryable())
    }

    /// How long to wait before a retry, if the broker said so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// A copy without the source, for handing one failure to many waiting calls.
    pub fn duplicate(&self) -> Self {
        Error(Box::new(Inner {
            kind: self.0.kind,
            operation: self.0.operation,
            message: match &self.0.source {
                Some(source) => format!("{}: {source}", self.0.message),
                None => self.0.message.clone(),
            },
            context: self.0.context.clone(),
            advice: self.0.advice.clone(),
            fate: self.0.fate,
            retryable: self.0.retryable,
            retry_after: self.0.retry_after,
            source: None,
        }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.0;
        write!(f, "{}", inner.operation)?;
        if let Some(context) = &inner.context {
            write!(f, " on {context}")?;
        }
        write!(f, ": {}: {}", inner.kind.as_str(), inner.message)?;
        if let Some(source) = &inner.source {
            write!(f, ": {source}")?;
        }
        if self.fate() == Fate::Unknown && inner.operation.starts_with("publish") {
            write!(f, "; it may have been stored, so a retry may duplicate")?;
        }
        if let Some(advice) = &inner.advice {
            write!(f, "; {advice}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({self})")
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(|s| &**s as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_word_wide() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }

    #[test]
    fn text_says_what_where_why_and_what_to_do() {
        let error = Error::new(Kind::TimedOut, "publish", "no confirmation within 5 s")
            .on("topic `orders`")
            .advice("check the broker");
        assert_eq!(
            error.to_string(),
            "publish on topic `orders`: timed out: no confirmation within 5 s; it may have been stored, \
             so a retry may duplicate; check the broker"
        );
        assert!(error.is_retryable());
    }
}
