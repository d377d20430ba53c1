//! What a long command is at, for whoever waits for it.

use std::{fmt, time::Duration};

/// One step of one broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The broker.
    pub broker: &'static str,
    /// Where it stands.
    pub step: Step,
}

/// Where a broker stands. Its `Display` is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Something is fetched or installed, which may take minutes.
    Fetching(String),
    /// The broker is about to be started.
    Starting,
    /// The broker runs, and its readiness is awaited.
    Waiting,
    /// The broker answers, this long after it was started.
    Ready(Duration),
    /// The broker runs and has not answered for long: it is killed and started again, once.
    Stuck,
    /// The broker was up before.
    AlreadyUp,
    /// The broker was asked to stop.
    Stopping,
    /// The broker did not stop in time and is killed.
    Killing,
    /// The broker is gone.
    Gone,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fetching(what) => write!(f, "fetching {what}"),
            Self::Starting => f.write_str("starting"),
            Self::Waiting => f.write_str("waiting until it answers"),
            Self::Ready(took) => write!(f, "ready after {:.1} s", took.as_secs_f64()),
            Self::Stuck => f.write_str("does not answer: started again"),
            Self::AlreadyUp => f.write_str("already up"),
            Self::Stopping => f.write_str("stopping"),
            Self::Killing => f.write_str("killing"),
            Self::Gone => f.write_str("gone"),
        }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.broker, self.step)
    }
}
