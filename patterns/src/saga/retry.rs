//! How often and when a step is tried again.

use std::time::Duration;

/// Attempts with a delay between them that doubles.
///
/// ```
/// use std::time::Duration;
/// use anybroker_patterns::saga::Retry;
/// let retry = Retry::attempts(5).backoff(Duration::from_millis(100), Duration::from_millis(300));
/// assert_eq!(retry.after(1), Some(Duration::from_millis(100)));
/// assert_eq!(retry.after(4), Some(Duration::from_millis(300)));
/// assert_eq!(retry.after(5), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    pub(crate) attempts: u32,
    first: Duration,
    most: Duration,
}

impl Default for Retry {
    /// Five attempts, 200 ms doubling up to a minute.
    fn default() -> Self {
        Self::attempts(5)
    }
}

impl Retry {
    /// So many attempts, at least one.
    pub fn attempts(attempts: u32) -> Self {
        Retry { attempts: attempts.max(1), first: Duration::from_millis(200), most: Duration::from_secs(60) }
    }

    /// The first delay, and the longest; each is twice the one before.
    pub fn backoff(mut self, first: Duration, most: Duration) -> Self {
        (self.first, self.most) = (first, most);
        self
    }

    /// How long to wait after an attempt, counted from 1; none if it was the last.
    pub fn after(&self, attempt: u32) -> Option<Duration> {
        let doubled = 2u32.saturating_pow(attempt.saturating_sub(1));
        (attempt < self.attempts).then(|| self.first.saturating_mul(doubled).min(self.most))
    }
}
