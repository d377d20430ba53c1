//! Dead letters: why a message was given up, and the envelope in which it says so, the same on every backend.
//!
//! A dead letter is the message itself (key, payload, id, attributes such as `traceparent`, and headers, byte for byte) with
//! further headers, [`HEADERS`], that [`DeadLetter`] writes and reads. Whatever publishes dead letters does it confirmed and
//! before the original is settled, so that none is lost on the way.

mod envelope;
mod reason;

pub(crate) use envelope::derived;
pub use envelope::{DeadLetter, HEADERS};
pub use reason::{Reason, ReasonClass};
