//! What an append expects of its stream, and what came of it.

use std::fmt;

use anybroker_core::{Error, Kind};

/// The version that a stream must have for an append to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Whatever it has.
    Any,
    /// The stream must not exist.
    NoStream,
    /// The last event must have this version; 0 is [`Expected::NoStream`].
    Version(u64),
}

impl Expected {
    /// The version as a number; `None` for any.
    pub(crate) fn version(self) -> Option<u64> {
        match self {
            Expected::Any => None,
            Expected::NoStream => Some(0),
            Expected::Version(version) => Some(version),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expected::Any => f.write_str("any version"),
            Expected::NoStream | Expected::Version(0) => f.write_str("no stream"),
            Expected::Version(version) => write!(f, "version {version}"),
        }
    }
}

/// Where an append's last event went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The stream's version now.
    pub version: u64,
    /// The last event's place in the order of all events; 0 if nothing was appended to a new stream.
    pub position: u64,
}

/// Why nothing was appended. The transaction goes on: other statements in it are not harmed by a conflict.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// Somebody else appended to the stream first.
    #[error(
        "append to stream `{stream}`: expected {expected}, but it has version {actual}; load it again and decide again"
    )]
    Conflict {
        /// The stream.
        stream: String,
        /// What was expected of it.
        expected: Expected,
        /// The version that it has, as committed; 0 if there is no such stream.
        actual: u64,
    },
    /// The stream takes no events any more.
    #[error("append to stream `{stream}`: it was archived at version {version}; restore it first")]
    Archived {
        /// The stream.
        stream: String,
        /// Its last version.
        version: u64,
    },
    /// The database failed, or the event cannot be stored.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<AppendError> for Error {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Failed(error) => error,
            refused => Error::new(Kind::Fenced, "append", refused.to_string()),
        }
    }
}
