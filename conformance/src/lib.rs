//! Proves the guarantees of a broker adapter: what happened is recorded as a *history*, and a history is checked
//! against the *properties* that were promised.

pub mod cases;
pub mod history;
pub mod properties;
pub mod recorder;
