//! How a command ends.

use std::fmt;

/// A command that ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// Exit code 0.
    Holds,
    /// Exit code 1: the thing checked does not hold, or a message is not ok.
    DoesNotHold,
}

impl Done {
    /// Holds or not.
    pub(crate) fn if_holds(holds: bool) -> Self {
        if holds { Done::Holds } else { Done::DoesNotHold }
    }
}

/// A command that could not run: exit code 2. The text says what to do.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Failure(text.into())
    }

    /// A file that cannot be used.
    pub(crate) fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        Failure(format!("{}: {error}", path.display()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<anybroker::Error> for Failure {
    fn from(error: anybroker::Error) -> Self {
        Failure(error.to_string())
    }
}

impl From<anybroker_conformance::brokers::Error> for Failure {
    fn from(error: anybroker_conformance::brokers::Error) -> Self {
        Failure(error.to_string())
    }
}
