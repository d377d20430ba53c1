//! What a session asks of its adapter.

use std::any::Any;

use async_trait::async_trait;

use crate::delivery::Settled;
use crate::error::Result;

/// An acknowledgement on its way to the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The partition, as the adapter numbered it.
    pub partition: u32,
    /// The adapter's own name for the message (an offset, a delivery tag).
    pub native: u64,
}

/// The adapter's side of a [`Session`](super::Session).
///
/// # For implementors
/// Brokers that acknowledge the contiguous prefix keep the defaults and read
/// [`Session::take_acks`](super::Session::take_acks) from a task of their own.
#[async_trait]
pub trait Link: Any + Send + Sync {
    /// Whether [`acknowledge`](Self::acknowledge) tells the broker at once. By default acknowledgements are recorded.
    fn confirms(&self) -> bool {
        false
    }

    /// This many acknowledgements were recorded: a hint for the task that pushes them. Never waits.
    fn recorded(&self, _acks: usize) {}

    /// The session has nothing more to give, and is asked for more: an adapter that can fill it at once, without waiting, does
    /// so with [`Session::push_unannounced`](super::Session::push_unannounced), and says with how many messages. Others fill it
    /// from a task of their own.
    fn refill(&self) -> usize {
        0
    }

    /// Acknowledges at the broker; one result for each, in order. Called only if [`confirms`](Self::confirms) says so.
    ///
    /// # Cancel safety
    /// A cancelled call may have acknowledged some.
    async fn acknowledge(&self, acks: &[Ack]) -> Vec<Result<Settled>> {
        acks.iter().map(|_| Ok(Settled::Recorded)).collect()
    }

    /// Pushes every acknowledgement that can be pushed, and waits for the broker's answer where it gives one.
    ///
    /// # Errors
    /// `TimedOut`, `Disconnected`, `Fenced`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn flush(&self) -> Result<()>;

    /// Leaves the group within a deadline, handing back what is unsettled, in order.
    ///
    /// # Errors
    /// `TimedOut`, `Disconnected`; the session has ended all the same.
    ///
    /// # Cancel safety
    /// Not cancel safe.
    async fn close(&self) -> Result<()>;
}
