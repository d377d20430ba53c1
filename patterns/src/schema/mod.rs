//! Schemas that change: how data of an old version is read.

mod upcasters;

pub use upcasters::{UpcastError, Upcasters};
