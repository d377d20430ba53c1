//! Who may consume from a partition: whoever has the partition's lock, an exclusive queue (`…:lock`).
//!
//! The broker gives an exclusive queue to one connection and takes it away with it. Consumers of one broker handle
//! share a connection, so they are told apart here.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anybroker_core::Result;
use anybroker_core::kit::within;
use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;

use crate::connect::Live;
use crate::error::{RESOURCE_LOCKED, code, typed};
use crate::wire::Wire;

/// The locks that consumers of one broker handle have.
#[derive(Clone, Debug, Default)]
pub(crate) struct Locks(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// Those that a consumer has.
    taken: HashSet<String>,
    /// The connection (its number) that a lock was declared on and not deleted: it may be the connection's while no consumer has it.
    declared: HashMap<String, u64>,
}

/// A lock; dropping it lets the consumers of this handle have it, and [`release`](Self::release) all others too.
#[derive(Debug)]
pub(crate) struct Lock {
    queue: String,
    locks: Locks,
}

impl Locks {
    /// Takes the lock of a partition's queue; none if somebody else has it.
    pub(crate) async fn take(&self, live: &Live, partition: &str) -> Result<Option<Lock>> {
        let queue = format!("{partition}:lock");
        if !self.known().taken.insert(queue.clone()) {
            return Ok(None);
        }
        let lock = Lock { queue, locks: self.clone() };
        let ours = self.known().declared.get(&lock.queue) == Some(&live.epoch);
        // Asked elsewhere first: a refusal here would use up a channel of the connection that is to have it.
        if !ours && !Wire::new(live, "receive").is_free(&lock.queue).await? {
            return Ok(None);
        }
        self.known().declared.insert(lock.queue.clone(), live.epoch);
        let channel = live.channel("receive").await?;
        within(live.deadline, "receive", async {
            let exclusive = QueueDeclareOptions { exclusive: true, ..Default::default() };
            let name = lock.queue.as_str().into();
            match channel.queue_declare(name, exclusive, FieldTable::default()).await {
                Ok(_) => Ok(Some(lock)),
                Err(error) if code(&error) == RESOURCE_LOCKED => {
                    self.known().declared.remove(&lock.queue);
                    Ok(None)
                }
                Err(error) => Err(typed("receive", error)),
            }
        })
        .await
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lock {
    /// Lets everybody else have it. Where the connection is gone, the broker has done so already.
    pub(crate) async fn release(self, live: &Live) {
        if live.is_connected()
            && let Err(error) = self.delete(live).await
        {
            tracing::debug!(%error, queue = self.queue, "a lock could not be released; it goes with the connection");
        }
    }

    /// On the connection that has it: nobody else may.
    async fn delete(&self, live: &Live) -> Result<()> {
        let channel = live.channel("close").await?;
        within(live.deadline, "close", async {
            let deleted = channel.queue_delete(self.queue.as_str().into(), QueueDeleteOptions::default());
            deleted.await.map_err(|e| typed("close", e))
        })
        .await?;
        self.locks.known().declared.remove(&self.queue);
        Ok(())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.locks.known().taken.remove(&self.queue);
    }
}
