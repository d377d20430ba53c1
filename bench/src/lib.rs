//! anybroker beside hand-written clients and other libraries: the same work, in one interleaved run.

pub mod contender;
pub mod contenders;
pub mod harness;
pub mod progress;
pub mod report;
pub mod task;

/// Whatever failed, in words.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
/// What all of it returns.
pub type Result<T> = std::result::Result<T, Error>;
