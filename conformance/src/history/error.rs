//! Why a history could not be read.

use std::io;

use thiserror::Error;

/// A line that the format does not allow, and the reason.
#[derive(Debug, Error)]
#[error("line {line}: {reason}")]
pub struct HistoryError {
    /// The line, counted from 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong with a line of a history.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Reason {
    /// The file ended before the header.
    #[error("the file is empty: the header is missing")]
    Empty,
    /// The line is longer than one mebibyte.
    #[error("the line is longer than 1 MiB")]
    LineTooLong,
    /// The file begins with a byte order mark.
    #[error("the file begins with a byte order mark; plain UTF-8 is needed")]
    ByteOrderMark,
    /// The line is not UTF-8.
    #[error("the line is not UTF-8")]
    NotUtf8,
    /// Objects or arrays are nested too deeply.
    #[error("nested deeper than 128 levels")]
    TooDeep,
    /// The line is not one JSON object with the fields it needs.
    #[error("{0}")]
    Malformed(String),
    /// The kind of event is not one of the format's.
    #[error("unknown event kind {0:?}")]
    UnknownKind(String),
    /// The time is before that of the line above.
    #[error("time runs backwards, from {before} to {now} ns")]
    TimeBackwards {
        /// The time of the line above.
        before: u64,
        /// The time of this line.
        now: u64,
    },
    /// Something is referred to that no earlier line introduced.
    #[error("{what} {id:?} was not introduced by an earlier line")]
    Unknown {
        /// The kind of thing, for example `message`.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// Something is introduced a second time.
    #[error("{what} {id:?} was introduced by an earlier line already")]
    Repeated {
        /// The kind of thing, for example `message`.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// An outcome came back a second time.
    #[error("a second outcome of {what} {id:?}")]
    SecondOutcome {
        /// The kind of thing, for example `message`.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// A delivery was settled without having been asked to.
    #[error("delivery {0:?} was settled before any settle line")]
    NotSettling(String),
    /// A delivery came to a session that had been closed.
    #[error("session {0:?} was closed before this delivery")]
    SessionClosed(String),
    /// The history has more events or longer names than can be counted.
    #[error("the history is too large: more than 4 billion events, or 4 GiB of names")]
    TooLarge,
    /// The file could not be read.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
}
