//! Publishes what the outbox holds.

mod lanes;
mod progress;
mod publishing;
mod serve;

use std::sync::Arc;
use std::time::Duration;

use anybroker_core::{Broker, Requirements, Result};
use uuid::Uuid;

use super::{Limit, Store};
pub use progress::Progress;
use publishing::Publishers;

/// How a relay works.
#[derive(Clone, Debug)]
pub struct RelayOptions {
    /// The most batches in work at once, each with one of the database's connections; 4 by default. What waits is shared among those
    /// that are free. On SQLite there is one at a time.
    pub connections: usize,
    /// The most rows of a batch, 2,000 by default. After a crash so many may be published again, of each connection.
    pub batch: u32,
    /// The most bytes of a batch, about; 8 MiB by default.
    pub batch_bytes: u64,
    /// What the broker must promise, as for a publisher.
    pub requirements: Requirements,
    /// How often a row is tried that the broker refuses for a reason which need not last (a missing topic, a missing right),
    /// before it is set aside; 10 by default. A broker that is away is waited for, however long.
    pub attempts: u32,
}

impl Default for RelayOptions {
    fn default() -> Self {
        RelayOptions {
            connections: 4,
            batch: 2_000,
            batch_bytes: 8 << 20,
            requirements: Requirements::new(),
            attempts: 10,
        }
    }
}

/// Publishes an outbox's messages, in order per key, and removes them when the broker has confirmed them.
///
/// Several relays of one outbox share its lanes. One that dies or hangs is replaced by the others: at once if its
/// connection ends, and otherwise after a minute (on SQLite, 5 seconds).
#[derive(Debug)]
pub struct Relay<S> {
    store: Arc<S>,
    name: String,
    options: RelayOptions,
    publishers: Arc<Publishers>,
    progress: Arc<Progress>,
}

impl<S: Store> Relay<S> {
    /// A relay from a database to a broker; looks whether the tables are there.
    ///
    /// # Errors
    /// `InvalidConfiguration` (tables missing or changed), `Disconnected`, `TimedOut`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn open(store: S, broker: Broker, options: RelayOptions) -> Result<Self> {
        store.check().await?;
        let progress = Arc::new(Progress::default());
        let publishers =
            Publishers::new(broker, options.requirements.clone(), options.attempts, progress.clone());
        let name = Uuid::now_v7().to_string();
        Ok(Relay { store: Arc::new(store), name, options, publishers: Arc::new(publishers), progress })
    }

    /// What it has done so far; stays up to date while it runs.
    pub fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }

    /// The share that each of so many lanes has of a batch.
    fn limit(&self, lanes: usize) -> Limit {
        let lanes = lanes.max(1) as u32;
        Limit {
            rows: (self.options.batch / lanes).max(1),
            bytes: (self.options.batch_bytes / u64::from(lanes)).max(1),
        }
    }

    fn poll(&self) -> Duration {
        self.store.poll()
    }
}
