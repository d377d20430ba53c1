//! The requests that wait for a reply.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anybroker_core::{Error, Kind, MessageId, Record, Result};
use tokio::sync::oneshot;

use super::envelope;

#[derive(Debug, Default)]
pub(super) struct Waiting {
    table: Mutex<Table>,
    discarded: AtomicU64,
}

#[derive(Debug, Default)]
struct Table {
    requests: HashMap<MessageId, oneshot::Sender<Result<Record>>>,
    /// Why no reply will come any more.
    ended: Option<Error>,
}

impl Waiting {
    /// Enters a request. It is forgotten when what this returns is dropped.
    pub(super) fn enter(self: &Arc<Self>, id: MessageId) -> Result<Request> {
        let mut table = self.table();
        if let Some(error) = &table.ended {
            return Err(error.duplicate());
        }
        match table.requests.entry(id.clone()) {
            Entry::Occupied(_) => {
                let error = Error::new(
                    Kind::Duplicate,
                    "request",
                    "a request of this id waits for its reply already",
                );
                Err(error.on(format!("message `{id}`")))
            }
            Entry::Vacant(free) => {
                let (sender, reply) = oneshot::channel();
                free.insert(sender);
                Ok(Request { waiting: self.clone(), id, reply })
            }
        }
    }

    /// Hands a reply to the request that it belongs to, or counts it as discarded.
    pub(super) fn arrived(&self, record: &Record) {
        let waits = envelope::cause(record).and_then(|id| self.table().requests.remove(&id));
        let taken = waits.is_some_and(|request| request.send(Ok(record.clone())).is_ok());
        if !taken {
            self.discarded.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Fails what waits, and whatever is entered later.
    pub(super) fn end(&self, error: Error) {
        let mut table = self.table();
        for (_, request) in table.requests.drain() {
            // Nobody there is fine.
            let _ = request.send(Err(error.duplicate()));
        }
        table.ended.get_or_insert(error);
    }

    pub(super) fn count(&self) -> usize {
        self.table().requests.len()
    }

    pub(super) fn discarded(&self) -> u64 {
        self.discarded.load(Ordering::Relaxed)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that waits.
#[derive(Debug)]
pub(super) struct Request {
    waiting: Arc<Waiting>,
    id: MessageId,
    reply: oneshot::Receiver<Result<Record>>,
}

impl Request {
    /// Waits for the reply; cancel safe.
    pub(super) async fn reply(&mut self) -> Result<Record> {
        // The sender is dropped only with this request.
        (&mut self.reply)
            .await
            .unwrap_or_else(|_| Err(Error::new(Kind::Closed, "request", "it was forgotten")))
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.reply.close();
        let mut table = self.waiting.table();
        // If the reply came, another request of the same id may have taken its place; that one is not closed.
        if table.requests.get(&self.id).is_some_and(|sender| sender.is_closed()) {
            table.requests.remove(&self.id);
        }
    }
}
