//! What outlives the processes of a service.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

/// Half of a round trip.
const WAY: Duration = Duration::from_millis(1);

/// A database. Each transaction takes two milliseconds, and a process that is killed meanwhile may have done it or not.
#[derive(Debug, Default)]
pub(crate) struct Database<T>(Arc<Mutex<T>>);

impl<T> Database<T> {
    /// Does `work` completely or not at all.
    pub(crate) async fn transaction<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        sleep(WAY).await;
        let done = work(&mut self.look());
        sleep(WAY).await;
        done
    }

    /// What is in it, for the test.
    pub(crate) fn look(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Database<T> {
    fn clone(&self) -> Self {
        Database(self.0.clone())
    }
}
