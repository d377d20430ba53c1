//! A received message in the hands of the application, and how it is settled.

use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;

use crate::dead_letter::{ORIGINAL_ID, Reason};
use crate::error::{Error, Kind, Result};
use crate::message::{MessageId, Record};
use crate::topic::{Group, Position, Topic};

/// Names one handing-out of one record within a consumer session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token {
    /// The partition, as the session numbers it.
    pub partition: u32,
    /// Grows when the partition is assigned anew, so that settlements of an earlier assignment are told apart.
    pub generation: u32,
    /// The record's place in the session's order of the partition.
    pub sequence: u64,
    /// Grows with every handing-out of the record.
    pub handout: u32,
    /// 1 for the first delivery, 2 for the second.
    pub attempt: u32,
}

/// A delivery: the broker's record, and the duty to settle it.
///
/// Settling consumes it, so that settling twice does not compile. Dropping it *releases* the message: it is
/// delivered again, in order, without its attempt being counted. Reads of [`Record`] work on it directly.
///
/// ```no_run
/// # async fn handle(delivery: anybroker_core::Delivery) -> anybroker_core::Result<()> {
/// println!("{:?}: {} bytes, attempt {}", delivery.id(), delivery.payload().len(), delivery.attempt());
/// delivery.ack().await?;
/// # Ok(())
/// # }
/// ```
pub struct Delivery {
    record: Record,
    token: Token,
    offset: u64,
    stored: i64,
    settler: Option<Arc<dyn Settler>>,
    failures: u32,
    has_position: bool,
    redelivered: bool,
}

/// Everything of a delivery but its record, token and settler.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Provenance {
    /// Where the broker keeps it.
    pub position: Option<Position>,
    /// Milliseconds since 1970 at which the broker took it; 0 if it does not say.
    pub stored: i64,
    /// How often it failed before: see [`Delivery::failures`].
    pub failures: u32,
    /// The broker or the session has handed it out before.
    pub redelivered: bool,
}

impl Delivery {
    /// Makes a delivery that `settler` settles.
    ///
    /// # For implementors
    /// [`kit::Session`](crate::kit::Session) makes deliveries; only wrappers of backends need this.
    pub fn new(record: Record, token: Token, provenance: Provenance, settler: Arc<dyn Settler>) -> Self {
        Delivery {
            record,
            token,
            offset: provenance.position.map_or(0, |p| p.offset),
            stored: provenance.stored,
            settler: Some(settler),
            failures: provenance.failures,
            has_position: provenance.position.is_some(),
            redelivered: provenance.redelivered,
        }
    }

    /// The record as the broker holds it.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Names this handing-out.
    pub fn token(&self) -> Token {
        self.token
    }

    /// The topic; none once it has been settled.
    pub fn topic(&self) -> Option<&Topic> {
        self.settler.as_ref().map(|s| s.topic())
    }

    /// 1 for the first delivery, 2 for the second; releases are not counted where avoidable.
    pub fn attempt(&self) -> u32 {
        self.token.attempt
    }

    /// How often it failed before: negative acknowledgements and lapsed leases, and every hand-out that the broker counted for
    /// earlier holders. To be released, or overtaken by an earlier message of the key that comes again, is no failure.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether it was handed out before, to anybody.
    pub fn redelivered(&self) -> bool {
        self.redelivered || self.token.attempt > 1
    }

    /// Where the broker keeps it, when it says so.
    pub fn position(&self) -> Option<Position> {
        self.has_position.then_some(Position { partition: self.token.partition, offset: self.offset })
    }

    /// Milliseconds since 1970 at which the broker took it; 0 if it does not say.
    pub(crate) fn stored(&self) -> i64 {
        self.stored
    }

    /// What the message is known by wherever it comes again, also replayed from a dead letter under a new id: its first id,
    /// or else its position. None if it has neither.
    pub fn identity(&self) -> Option<MessageId> {
        let original = self.header(ORIGINAL_ID).and_then(|id| str::from_utf8(id).ok());
        let position = || {
            let (topic, position) = (self.topic()?, self.position()?);
            Some(MessageId::from(format!("{topic}/{}/{}", position.partition, position.offset)))
        };
        original.map(MessageId::from).or_else(|| self.id()).or_else(position)
    }

    /// The time on the message, or that at which the broker took it.
    pub fn time(&self) -> Option<SystemTime> {
        let stored = (self.stored > 0).then(|| UNIX_EPOCH + Duration::from_millis(self.stored as u64));
        self.record.time().or(stored)
    }

    /// The effect has happened: this message is done.
    ///
    /// # Errors
    /// `Superseded`, `Fenced`, `LeaseExpired`: it is no longer ours, and comes again; `Closed`. The delivery comes
    /// back; one that is no longer ours has nothing left to settle or release.
    ///
    /// # Cancel safety
    /// A cancelled call has either recorded the acknowledgement or released the delivery.
    pub async fn ack(self) -> Result<Settled, SettleError> {
        self.settle(Verdict::Ack).await
    }

    /// It failed: deliver it again after `delay`, with the attempt counted, before any later message of its key.
    ///
    /// # Errors
    /// As [`ack`](Self::ack).
    ///
    /// # Cancel safety
    /// As [`ack`](Self::ack).
    pub async fn nack(self, delay: Duration) -> Result<Settled, SettleError> {
        self.settle(Verdict::Nack { delay }).await
    }

    /// It can never succeed: publish it to the dead letter topic, confirmed, then settle it here.
    ///
    /// # Errors
    /// As [`ack`](Self::ack), and whatever the publish failed with; it is not settled then. `InvalidConfiguration` if
    /// the subscription names no dead letter topic.
    ///
    /// # Cancel safety
    /// A cancelled call may have published the envelope; the message then comes again.
    pub async fn dead_letter(self, reason: impl Into<Reason>) -> Result<Settled, SettleError> {
        self.settle(Verdict::DeadLetter { reason: reason.into() }).await
    }

    async fn settle(self, verdict: Verdict) -> Result<Settled, SettleError> {
        let Some(settler) = self.settler.clone() else {
            return Err(SettleError::new(Error::new(Kind::Closed, "settle", "already settled"), self));
        };
        let mut results = settler.settle(vec![Settlement { delivery: self, verdict }]).await;
        // The contract gives one result for each settlement.
        results.pop().unwrap_or(Ok(Settled::Recorded))
    }

    /// Takes the settler out, so that dropping releases nothing. Wrappers put their own in with
    /// [`with_settler`](Self::with_settler).
    pub fn take_settler(&mut self) -> Option<Arc<dyn Settler>> {
        self.settler.take()
    }

    /// Puts the settler back.
    pub(crate) fn put_settler(&mut self, settler: Option<Arc<dyn Settler>>) {
        self.settler = settler;
    }

    /// A second delivery of the same record, settled by `settler`; this one stays as it is.
    ///
    /// # For implementors
    /// For wrappers that keep the delivery and let somebody else read it.
    pub fn view(&self, attempt: u32, settler: Arc<dyn Settler>) -> Self {
        Delivery {
            record: self.record.clone(),
            token: Token { attempt, ..self.token },
            settler: Some(settler),
            ..*self
        }
    }

    /// What settles it; none once it has been settled.
    pub fn settler(&self) -> Option<&Arc<dyn Settler>> {
        self.settler.as_ref()
    }

    /// The same delivery with another payload, for what stands between the broker and a handler and translates: of the
    /// broker's message nothing changes.
    pub fn with_payload(mut self, payload: Bytes) -> Self {
        self.record = std::mem::take(&mut self.record).with_payload(payload);
        self
    }

    /// The same delivery with another version of its schema; as [`with_payload`](Self::with_payload).
    pub fn with_schema_version(mut self, version: u32) -> Self {
        self.record = std::mem::take(&mut self.record).with_schema_version(version);
        self
    }

    /// The same delivery with another type; as [`with_payload`](Self::with_payload).
    pub fn with_type(mut self, event_type: &str) -> Self {
        self.record = std::mem::take(&mut self.record).with_type(event_type);
        self
    }

    /// The same delivery, settled by `settler`.
    pub fn with_settler(mut self, settler: Arc<dyn Settler>) -> Self {
        self.settler = Some(settler);
        self
    }
}

impl Deref for Delivery {
    type Target = Record;
    fn deref(&self) -> &Record {
        &self.record
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(settler) = self.settler.take() {
            settler.release(self.token);
        }
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Delivery");
        debug
            .field("record", &self.record)
            .field("attempt", &self.attempt())
            .field("position", &self.position());
        debug.finish_non_exhaustive()
    }
}

/// What the application says of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Done.
    Ack,
    /// Failed: again after the delay, before later messages of its key.
    Nack {
        /// How long to wait.
        delay: Duration,
    },
    /// Hopeless: to the dead letter topic.
    DeadLetter {
        /// Why, for the person who looks at it.
        reason: Reason,
    },
    /// Untouched: again at once, not counted as an attempt. What dropping does.
    Release,
}

/// A delivery with its verdict.
#[derive(Debug)]
pub struct Settlement {
    /// The delivery.
    pub delivery: Delivery,
    /// What is said of it.
    pub verdict: Verdict,
}

impl Settlement {
    /// An acknowledgement.
    pub fn ack(delivery: Delivery) -> Self {
        Settlement { delivery, verdict: Verdict::Ack }
    }

    /// A negative acknowledgement.
    pub fn nack(delivery: Delivery, delay: Duration) -> Self {
        Settlement { delivery, verdict: Verdict::Nack { delay } }
    }
}

/// What a settlement that succeeded means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// This session will not deliver it again; after a failure the broker may.
    Recorded,
    /// The broker has it.
    Confirmed,
}

/// A settlement that failed, with the delivery handed back.
pub struct SettleError(Box<(Error, Delivery)>);

impl SettleError {
    /// Pairs the error with the delivery.
    pub fn new(error: Error, delivery: Delivery) -> Self {
        SettleError(Box::new((error, delivery)))
    }

    /// Why it failed.
    pub fn error(&self) -> &Error {
        &self.0.0
    }

    /// The delivery, as it comes back: without a settler if it is no longer ours.
    pub fn delivery(&self) -> &Delivery {
        &self.0.1
    }

    /// Takes both apart.
    pub fn into_parts(self) -> (Error, Delivery) {
        *self.0
    }
}

impl fmt::Display for SettleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error().fmt(f)
    }
}

impl fmt::Debug for SettleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SettleError").field(self.error()).finish()
    }
}

impl std::error::Error for SettleError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.error())
    }
}

impl From<SettleError> for Error {
    fn from(error: SettleError) -> Self {
        error.into_parts().0
    }
}

/// Whether a delivery in hand can be settled in a transaction, where acknowledgements may be cumulative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing before it in its partition is undone, besides what was asked about with it.
    Next,
    /// Something before it is: its turn comes.
    Behind,
    /// It is no longer ours, or will not be before its turn comes: it is to be dropped, and comes again.
    Void,
}

/// Acknowledgements that could not be pushed to the broker yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// How many recorded acknowledgements wait behind an unsettled earlier message.
    pub messages: usize,
}

/// Settles deliveries; usable from other tasks while the consumer receives.
///
/// # For implementors
/// [`kit::Session`](crate::kit::Session) implements it; adapters implement [`kit::Link`](crate::kit::Link).
#[async_trait]
pub trait Settler: Send + Sync {
    /// Settles a batch; one result for each settlement, in order. An error hands the delivery back.
    ///
    /// # Cancel safety
    /// As [`Delivery::ack`].
    async fn settle(&self, batch: Vec<Settlement>) -> Vec<Result<Settled, SettleError>>;

    /// Pushes what can be pushed to the broker and waits for it; says what a gap still holds back.
    ///
    /// # Errors
    /// `TimedOut`, `Disconnected`, `Fenced`: what was recorded may be delivered again.
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn flush(&self) -> Result<Held>;

    /// What dropping a delivery calls: makes it available again. Never waits.
    fn release(&self, token: Token);

    /// Whether it is still worth beginning with the delivery: it is neither void nor about to be taken away. One that is
    /// not is to be dropped. Never waits.
    fn is_current(&self, _token: Token) -> bool {
        true
    }

    /// The same of each of these.
    fn are_current(&self, tokens: &[Token]) -> Vec<bool> {
        tokens.iter().map(|token| self.is_current(*token)).collect()
    }

    /// Which of these deliveries, all of them in hand, one transaction can settle at this moment. Never waits.
    fn standing(&self, tokens: &[Token]) -> Vec<Standing> {
        vec![Standing::Next; tokens.len()]
    }

    /// What the settler lends to those who read its deliveries, by type.
    fn context(&self) -> Option<&(dyn Any + Send + Sync)> {
        None
    }

    /// The topic.
    fn topic(&self) -> &Topic;

    /// The group.
    fn group(&self) -> &Group;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_small() {
        assert!(size_of::<Delivery>() <= 128, "{} bytes", size_of::<Delivery>());
        assert!(size_of::<Result<Settled, SettleError>>() <= 16);
        assert!(size_of::<Verdict>() <= 24, "{} bytes", size_of::<Verdict>());
    }
}
