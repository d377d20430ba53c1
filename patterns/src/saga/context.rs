//! What a step is given, and how it fails.

use std::error::Error as StdError;
use std::time::SystemTime;

use anybroker_core::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What a step works with.
#[derive(Debug)]
pub struct Context<T> {
    /// The instance's data. What the step changes is kept if it succeeds.
    pub data: T,
    call: Call,
}

impl<T> Context<T> {
    /// The saga's name.
    pub fn saga(&self) -> &str {
        &self.call.saga
    }

    /// The instance's id.
    pub fn id(&self) -> &str {
        &self.call.id
    }

    /// Which attempt this is, from 1 on.
    pub fn attempt(&self) -> u32 {
        self.call.attempt
    }

    /// The same for every attempt of this step in this instance, also after a crash, and for no other; a compensation has
    /// one of its own. Whoever does the effect elsewhere can know by it what it has done already.
    pub fn idempotency_key(&self) -> String {
        let undo = if self.call.undo { "/compensation" } else { "" };
        format!("{}/{}/{}{undo}", self.call.saga, self.call.id, self.call.step)
    }

    /// The events that were signalled to the instance, in their order.
    pub fn signals(&self) -> &[Signal] {
        &self.call.signals
    }

    /// An event that was signalled.
    pub fn signal(&self, name: &str) -> Option<&Signal> {
        self.call.signals.iter().find(|signal| signal.name == name)
    }
}

/// An event that was signalled to an instance.
#[derive(Clone, Debug)]
pub struct Signal {
    /// Its name.
    pub name: String,
    /// What came with it.
    pub payload: Bytes,
    /// When it was noted.
    pub noted_at: SystemTime,
}

/// Why a step did not succeed. Every error becomes one, and the step is tried again.
#[derive(Debug)]
pub struct StepError {
    pub(crate) reason: String,
    pub(crate) declined: bool,
}

impl StepError {
    /// It certainly has no effect, and trying again makes no sense: the saga goes back.
    pub fn declined(reason: impl Into<String>) -> Self {
        StepError { reason: reason.into(), declined: true }
    }

    /// It may succeed another time.
    pub fn failed(reason: impl Into<String>) -> Self {
        StepError { reason: reason.into(), declined: false }
    }
}

impl<E: Into<Box<dyn StdError + Send + Sync>>> From<E> for StepError {
    fn from(error: E) -> Self {
        let error = error.into();
        let mut reason = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !reason.contains(&text) {
                reason = format!("{reason}: {text}");
            }
            source = cause.source();
        }
        StepError::failed(reason)
    }
}

/// A step's call, whatever its data's type.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) saga: String,
    pub(crate) id: String,
    pub(crate) step: String,
    pub(crate) undo: bool,
    pub(crate) attempt: u32,
    pub(crate) data: String,
    pub(crate) signals: Vec<Signal>,
}

impl Call {
    pub(crate) fn open<T: DeserializeOwned>(self) -> Result<Context<T>, StepError> {
        Ok(Context { data: serde_json::from_str(&self.data)?, call: self })
    }
}

impl<T: Serialize> Context<T> {
    /// The data afterwards.
    pub(crate) fn close(self) -> Result<String, StepError> {
        Ok(serde_json::to_string(&self.data)?)
    }
}
