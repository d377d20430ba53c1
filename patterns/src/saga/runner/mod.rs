//! Runs instances.

mod attempt;
mod instance;
mod progress;
mod serve;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anybroker_core::{Error, Kind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::correlation::Correlation;
use super::definition::{Definition, Saga};
use super::store::Store;
pub use progress::Progress;

/// How a runner works.
#[derive(Clone, Debug)]
pub struct RunnerOptions {
    /// The most instances in work at once, 4 by default. Each takes a connection of the database while it works in a
    /// transaction, and each step of a group one more.
    pub instances: usize,
    /// After how long without a sign of life another runner takes an instance over; 10 seconds by default.
    pub lease: Duration,
}

impl Default for RunnerOptions {
    fn default() -> Self {
        RunnerOptions { instances: 4, lease: Duration::from_secs(10) }
    }
}

/// Runs the instances of sagas and correlations. Several runners of one database share them; an instance is run by one at a
/// time, and taken over when that one gives no sign of life.
pub struct SagaRunner<D: Store> {
    store: D,
    name: String,
    options: RunnerOptions,
    definitions: BTreeMap<String, Arc<Definition<D>>>,
    progress: Arc<Progress>,
    stopping: AtomicBool,
}

impl<D: Store> SagaRunner<D> {
    /// A runner without sagas; looks whether the tables are there.
    ///
    /// # Errors
    /// `InvalidConfiguration` (tables missing or changed), `Disconnected`, `TimedOut`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn open(store: D, options: RunnerOptions) -> Result<Self> {
        store.check().await?;
        Ok(SagaRunner {
            store,
            name: Uuid::now_v7().to_string(),
            options,
            definitions: BTreeMap::new(),
            progress: Arc::default(),
            stopping: AtomicBool::new(false),
        })
    }

    /// Runs the instances of a saga too.
    ///
    /// # Errors
    /// `InvalidConfiguration`: two steps, or two sagas, have one name; a group is empty.
    pub fn with<T>(self, saga: &Saga<T, D>) -> Result<Self>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        self.add(saga.definition.clone())
    }

    /// Runs the instances of a correlation too.
    ///
    /// # Errors
    /// As [`with`](Self::with).
    pub fn with_correlation(self, correlation: &Correlation<D>) -> Result<Self> {
        self.add(correlation.definition())
    }

    fn add(mut self, definition: Arc<Definition<D>>) -> Result<Self> {
        definition.check()?;
        let name = definition.name.clone();
        if self.definitions.insert(name.clone(), definition).is_some() {
            let text = "two sagas have this name";
            return Err(Error::new(Kind::InvalidConfiguration, "run sagas", text).on(name));
        }
        Ok(self)
    }

    /// What it has done so far; stays up to date while it runs.
    pub fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }
}

impl<D: Store> fmt::Debug for SagaRunner<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sagas: Vec<_> = self.definitions.keys().collect();
        f.debug_struct("SagaRunner").field("sagas", &sagas).finish_non_exhaustive()
    }
}
