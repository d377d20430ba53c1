//! What goes wrong with a commit.

use anybroker_core::{Error, Fate, Kind};

use super::{Adversary, Deed};

/// What becomes of a commit that meets the adversary.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CommitFault {
    Refused,
    Lost,
    AnswerLost,
}

impl Adversary {
    pub(crate) fn commit_fault(&self) -> Option<CommitFault> {
        if self.does(Deed::CommitRefused) {
            Some(CommitFault::Refused)
        } else if self.does(Deed::CommitLost) {
            Some(CommitFault::Lost)
        } else {
            self.does(Deed::CommitAnswerLost).then_some(CommitFault::AnswerLost)
        }
    }
}

pub(crate) fn refused() -> Error {
    let text = "the group of a settled delivery shares out anew at this moment";
    Error::new(Kind::Fenced, "commit", text).with_fate(Fate::NotApplied)
}

pub(crate) fn unanswered(operation: &'static str) -> Error {
    Error::new(Kind::Disconnected, operation, "the broker did not say whether it committed a transaction")
        .advice("open the publisher under the same id again, and then the consumers: they go on where the broker says")
        .with_fate(Fate::Unknown)
        .with_retryable(false)
}
