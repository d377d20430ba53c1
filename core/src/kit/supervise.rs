//! Deadlines and reconnecting.

use std::future::Future;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

use crate::error::{Error, Kind, Result};

/// Bounds a future: nothing hangs.
///
/// # Errors
/// `TimedOut` naming the operation; or the future's own error.
///
/// # Cancel safety
/// As the future's.
pub async fn within<T>(
    deadline: Duration,
    operation: &'static str,
    future: impl Future<Output = Result<T>>,
) -> Result<T> {
    match tokio::time::timeout(deadline, future).await {
        Ok(result) => result,
        Err(_) => Err(Error::new(Kind::TimedOut, operation, format!("no answer within {deadline:?}"))),
    }
}

/// How long to wait before each attempt to reconnect: from 50 ms, doubling with jitter, to 5 s; then 5 s for ever.
///
/// ```
/// use anybroker_core::kit::Supervision;
/// let mut waits = Supervision::new();
/// assert!(waits.next_wait() < std::time::Duration::from_millis(200));
/// ```
#[derive(Debug)]
pub struct Supervision {
    waits: backon::ExponentialBackoff,
}

/// The longest wait between two attempts.
const LONGEST: Duration = Duration::from_secs(5);

impl Supervision {
    /// Starts from the shortest wait.
    pub fn new() -> Self {
        let builder =
            ExponentialBuilder::new().with_min_delay(Duration::from_millis(50)).with_max_delay(LONGEST);
        Supervision { waits: builder.with_jitter().without_max_times().build() }
    }

    /// The wait before the next attempt.
    pub fn next_wait(&mut self) -> Duration {
        self.waits.next().unwrap_or(LONGEST)
    }

    /// Starts again from the shortest: call it after a connection has held.
    pub fn succeeded(&mut self) {
        *self = Self::new();
    }
}

impl Default for Supervision {
    fn default() -> Self {
        Self::new()
    }
}
