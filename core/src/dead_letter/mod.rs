//! Dead letters: why a message was given up, and the envelope in which it says so, the same on every backend.
//!
//! A dead letter is the message itself (key, payload, id, attributes such as `traceparent`, and headers, byte for byte) with
//! further headers, [`HEADERS`], that [`DeadLetter`] writes and reads. Whatever publishes dead letters does it confirmed and
//! before the original is settled, so that none is lost on the way.
//!
//! An operator opens the [`Queue`], reads [`Letters`], and replays or discards those that a [`Filter`] means:
//!
//! ```no_run
//! # use anybroker_core::dead_letter::{Filter, Queue, ReplayOptions};
//! # use anybroker_core::{Broker, Group, ReasonClass, Result, Topic};
//! # async fn operate(broker: Broker) -> Result<()> {
//! let queue = Queue::new(broker, Topic::new("orders.dead")?, Group::new("dlq")?);
//! let mut letters = queue.open().await?;
//! letters.read(|_| false).await?;
//! let retryable = Filter { class: Some(ReasonClass::Retryable), ..Filter::default() };
//! let mut replay = letters.replay(&retryable, ReplayOptions::default())?;
//! while replay.read_on(&mut letters).await? {
//!     while !replay.step().await.is_empty() {}
//! }
//! println!("{:?}", replay.summary());
//! replay.close().await?;
//! letters.close().await?;
//! # Ok(())
//! # }
//! ```

mod choice;
mod discard;
mod envelope;
mod filter;
mod handled;
mod queue;
mod reason;
mod replay;
mod target;

pub use choice::Allowed;
pub use discard::Discard;
pub(crate) use envelope::derived;
pub use envelope::{DeadLetter, HEADERS};
pub use filter::Filter;
pub use handled::{Handled, Summary};
pub use queue::{Letter, Letters, Queue};
pub use reason::{Reason, ReasonClass};
pub use replay::{ORIGINAL_ID, Replay, ReplayOptions};
