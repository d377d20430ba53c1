//! What runs a projection.

use std::fmt;
use std::sync::Arc;

use anybroker_core::Result;

use super::tables::check_table;
use super::{Progress, Projection, Store};
use crate::event_store::EventStore;

/// The longest name of a projection, in bytes; it stands in indexes.
const LONGEST: usize = 200;

/// How a projector works.
#[derive(Clone, Copy, Debug)]
pub struct ProjectorOptions {
    /// The most events of one transaction; 500 by default.
    pub batch: usize,
    /// Streams are spread over so many partitions, which are applied side by side; 1 by default. Each takes a connection of
    /// the database while it applies. Only a rebuild changes it.
    pub partitions: u32,
}

impl Default for ProjectorOptions {
    fn default() -> Self {
        ProjectorOptions { batch: 500, partitions: 1 }
    }
}

/// Applies events to a read model: each once, those of a stream in order.
///
/// Several of one projection may run at once, in any processes: they share the partitions, and one that dies is replaced at
/// once. Cheap to clone.
pub struct Projector<D: Store, P> {
    store: EventStore<D>,
    projection: Arc<P>,
    options: ProjectorOptions,
    progress: Arc<Progress>,
}

impl<D: Store, P: Projection<D>> Projector<D, P> {
    /// Looks whether the tables are there and the projection's names can be used.
    ///
    /// # Errors
    /// `InvalidConfiguration`, `Disconnected`, `TimedOut`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn open(store: EventStore<D>, projection: P, options: ProjectorOptions) -> Result<Self> {
        let projector =
            Projector { store, projection: Arc::new(projection), options, progress: Arc::default() };
        let name = projector.name();
        if name.is_empty() || name.len() > LONGEST || name.contains('\0') {
            return Err(projector.wrong(format!("a name must have 1 to {LONGEST} bytes, none of them zero")));
        }
        if projector.projection.tables().is_empty() {
            return Err(projector.wrong("it has no tables").advice("name those that its `create` creates"));
        }
        projector.projection.tables().iter().try_for_each(|table| check_table(table))?;
        projector.store.database().check_projections().await?;
        Ok(projector)
    }

    /// What it has done so far; stays up to date while it runs.
    pub fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }

    pub(super) fn store(&self) -> &EventStore<D> {
        &self.store
    }

    pub(super) fn projection(&self) -> &P {
        &self.projection
    }

    pub(super) fn options(&self) -> &ProjectorOptions {
        &self.options
    }

    pub(super) fn name(&self) -> &str {
        self.projection.name()
    }

    pub(super) fn count(&self) -> &Progress {
        &self.progress
    }
}

impl<D: Store, P> Clone for Projector<D, P> {
    fn clone(&self) -> Self {
        Projector {
            store: self.store.clone(),
            projection: self.projection.clone(),
            options: self.options,
            progress: self.progress.clone(),
        }
    }
}

impl<D: Store, P> fmt::Debug for Projector<D, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Projector").field("options", &self.options).finish_non_exhaustive()
    }
}
