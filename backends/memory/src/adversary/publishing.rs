//! What goes wrong with a publish.

use std::time::Duration;

use anybroker_core::{Error, Fate, Kind};

use super::{Adversary, Deed};

/// What becomes of a publish that meets the adversary.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Refused,
    Lost,
    AnswerLost,
    ConfirmedAfter(Duration),
}

impl Adversary {
    pub(crate) fn publish_fault(&self) -> Option<Fault> {
        if self.does(Deed::PublishRefused) {
            Some(Fault::Refused)
        } else if self.does(Deed::PublishLost) {
            Some(Fault::Lost)
        } else if self.does(Deed::ConfirmationLost) {
            Some(Fault::AnswerLost)
        } else {
            let late = self.takes(Deed::ConfirmedLate)?;
            Some(Fault::ConfirmedAfter(self.within(late, LATE)))
        }
    }
}

/// Shorter than the deadline of flushing.
const LATE: std::ops::Range<u64> = 1..800;

pub(crate) fn refused() -> Error {
    Error::new(Kind::Throttled, "publish", "the broker takes no more at the moment")
        .with_fate(Fate::NotApplied)
}

pub(crate) fn unanswered() -> Error {
    Error::new(Kind::TimedOut, "publish", "the broker did not answer").with_fate(Fate::Unknown)
}
