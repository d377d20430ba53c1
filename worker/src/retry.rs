//! How often and when a failed message is tried again.

use std::time::{Duration, SystemTime};

use anybroker_core::Delivery;

use crate::failure::{Class, Failure};

/// Immediate retries, then exponential back-off with jitter, until the attempts or the age run out.
///
/// By default a failed message comes again *before* the later ones of its key, which wait: order is kept. With
/// [`out_of_order`](Self::out_of_order) they go on.
///
/// ```
/// use std::time::Duration;
/// use anybroker_worker::Retry;
/// let retry = Retry::default().immediate(1).backoff(Duration::from_millis(100), Duration::from_secs(10)).attempts(5);
/// assert_eq!(retry.longest(1), Duration::ZERO);
/// assert_eq!(retry.longest(2), Duration::from_millis(100));
/// assert_eq!(retry.longest(4), Duration::from_millis(400));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    immediate: u32,
    first: Duration,
    most: Duration,
    attempts: Option<u32>,
    deliveries: u32,
    age: Option<Duration>,
    pub(crate) in_order: bool,
}

impl Default for Retry {
    /// One immediate retry, then 100 ms doubling up to a minute; 10 attempts, 100 deliveries, no limit of age, in order.
    fn default() -> Self {
        Retry {
            immediate: 1,
            first: Duration::from_millis(100),
            most: Duration::from_secs(60),
            attempts: Some(10),
            deliveries: 100,
            age: None,
            in_order: true,
        }
    }
}

impl Retry {
    /// No retries: the first failure is the last.
    pub fn never() -> Self {
        Self::default().attempts(1)
    }

    /// So many retries come at once.
    pub fn immediate(mut self, retries: u32) -> Self {
        self.immediate = retries;
        self
    }

    /// The first delay after those, and the longest; each is twice the one before, less up to half at random.
    pub fn backoff(mut self, first: Duration, most: Duration) -> Self {
        (self.first, self.most) = (first, most.max(first));
        self
    }

    /// The most attempts, the first one included; the message is hopeless when the last has failed.
    pub fn attempts(mut self, most: u32) -> Self {
        self.attempts = Some(most.max(1));
        self
    }

    /// No limit of attempts: the key waits for as long as the failure is retryable.
    pub fn for_ever(mut self) -> Self {
        self.attempts = None;
        self
    }

    /// The most deliveries, whether or not the handler came to an end: a message that kills its process is hopeless after
    /// so many. Brokers count a delivery also for messages that only waited in the process, so this is to be well above the
    /// attempts.
    pub fn deliveries(mut self, most: u32) -> Self {
        self.deliveries = most.max(1);
        self
    }

    /// A message that fails when it is older than this is hopeless. Its age is counted from its own time or the broker's.
    pub fn age(mut self, most: Duration) -> Self {
        self.age = Some(most);
        self
    }

    /// Gives up order for the failed message: the later ones of its key go on while it waits, in this process and
    /// unacknowledged. Still no two of a key are handled at once. Its attempts of this kind are counted in this process only.
    pub fn out_of_order(mut self) -> Self {
        self.in_order = false;
        self
    }

    /// The longest delay after that many failed attempts, before jitter.
    pub fn longest(&self, failed: u32) -> Duration {
        match failed.checked_sub(self.immediate + 1) {
            None => Duration::ZERO,
            Some(doublings) => {
                self.first.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX)).min(self.most)
            }
        }
    }

    /// What follows from the failure of attempt number `attempt`; `random` is below 1.
    pub(crate) fn decide(
        &self,
        failure: &Failure,
        delivery: &Delivery,
        attempt: u32,
        random: f64,
    ) -> Decision {
        match failure.class() {
            Class::Fatal => Decision::End,
            Class::Permanent | Class::Poison => Decision::GiveUp,
            Class::Retryable if self.is_exhausted(attempt) || self.is_too_old(delivery) => Decision::GiveUp,
            Class::Retryable => {
                let backoff = || self.longest(attempt).mul_f64(1.0 - random / 2.0);
                Decision::Again(failure.after().unwrap_or_else(backoff))
            }
        }
    }

    /// Whether so many deliveries are more than there may be.
    pub(crate) fn is_over(&self, deliveries: u32) -> bool {
        deliveries > self.deliveries
    }

    /// Whether that many attempts are all there may be.
    fn is_exhausted(&self, attempts: u32) -> bool {
        self.attempts.is_some_and(|most| attempts >= most)
    }

    fn is_too_old(&self, delivery: &Delivery) -> bool {
        let age = delivery.time().and_then(|time| SystemTime::now().duration_since(time).ok());
        age.zip(self.age).is_some_and(|(age, most)| age > most)
    }
}

/// What follows from a failure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Decision {
    Again(Duration),
    GiveUp,
    End,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest() {
        let retry = Retry::default().immediate(2).backoff(Duration::from_secs(1), Duration::from_secs(5));
        let delays: Vec<_> = (1..=7).map(|failed| retry.longest(failed).as_secs()).collect();
        assert_eq!(delays, [0, 0, 1, 2, 4, 5, 5]);
        assert_eq!(retry.longest(u32::MAX), Duration::from_secs(5));
    }

    #[test]
    fn attempts_run_out() {
        assert!(Retry::never().is_exhausted(1));
        assert!(!Retry::default().is_exhausted(9) && Retry::default().is_exhausted(10));
        assert!(!Retry::default().for_ever().is_exhausted(u32::MAX));
    }
}
