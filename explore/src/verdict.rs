//! How a test says whether all was well.

use std::fmt::Display;

/// What a run's future returns.
pub trait Verdict {
    /// `Err` with the reason if the run failed.
    ///
    /// # Errors
    /// What is wrong, for people.
    fn verdict(self) -> Result<(), String>;
}

impl Verdict for () {
    fn verdict(self) -> Result<(), String> {
        Ok(())
    }
}

impl<E: Display> Verdict for Result<(), E> {
    fn verdict(self) -> Result<(), String> {
        self.map_err(|error| format!("it failed with: {error}"))
    }
}
