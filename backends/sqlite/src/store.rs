//! A database file as this process has it open: a thread that writes, a thread that reads, and who wakes whom.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anybroker_core::{Error, Kind, Result};
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::config::{SqliteConfig, Sync};
use crate::error::{Failed, ended};
use crate::file;
use crate::live::Live;
use crate::membership;
use crate::wake::{self, Wakes};
use crate::writer::{Transaction, Work, Writer};

type Stores = HashMap<(PathBuf, Sync), Weak<Store>>;

/// Every file that is open in this process: several brokers share it.
static STORES: LazyLock<Mutex<Stores>> = LazyLock::new(Mutex::default);

type Look = Box<dyn FnOnce(&Connection) + Send>;

/// What is queued is bounded by the publishers' windows, the consumers' prefetch, and one call by everybody else.
struct Queues {
    writes: Sender<Box<dyn Work>>,
    looks: Sender<Look>,
}

/// The file; its threads end with the last handle to it, after what they were sent is done.
pub(crate) struct Store {
    pub(crate) path: PathBuf,
    pub(crate) sync: Sync,
    pub(crate) wakes: Arc<Wakes>,
    pub(crate) live: Arc<Live>,
    /// Why other processes' commits are noticed only once a second, if they are.
    pub(crate) deaf: Option<String>,
    /// None while it is dropped, so that the threads end.
    queues: Option<Queues>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    _watcher: Option<notify::RecommendedWatcher>,
}

impl Store {
    /// Opens the file, or shares it if it is open already. Blocks.
    pub(crate) fn open(config: &SqliteConfig) -> Result<Arc<Self>> {
        let path = file::locate(config)?;
        let mut stores = lock(&STORES);
        stores.retain(|_, store| store.strong_count() > 0);
        let place = (path, config.sync);
        if let Some(store) = stores.get(&place).and_then(Weak::upgrade) {
            return Ok(store);
        }
        let store = Arc::new(Self::start(place.0.clone(), config.sync)?);
        stores.insert(place, Arc::downgrade(&store));
        Ok(store)
    }

    fn start(path: PathBuf, sync: Sync) -> Result<Self> {
        let failed = |error: std::io::Error| {
            let kind = match error.kind() {
                std::io::ErrorKind::PermissionDenied => Kind::PermissionDenied,
                _ => Kind::Unexpected,
            };
            Error::new(kind, "connect", "the files beside the database cannot be made")
                .on(format!("file `{}`", path.display()))
                .with_source(error)
                .advice("this user must be able to create files beside it")
        };
        file::refuse_network(&path)?;
        let writing = file::open(&path, sync)?;
        let reading = file::open(&path, sync)?;
        let live = Arc::new(Live::open(&path).map_err(failed)?);
        let wakes = Arc::new(Wakes::default());
        let (watcher, deaf) = match wake::listen(&live, &wakes) {
            Ok(watcher) => (Some(watcher), None),
            Err(error) => {
                tracing::warn!(%error, "other processes' commits are noticed only once a second");
                (None, Some(error.to_string()))
            }
        };
        let _ = live.tidy(&membership::names(&reading)?);
        let (writes, queue) = mpsc::channel();
        let (looks, requests) = mpsc::channel::<Look>();
        let now = Instant::now();
        let writer = Writer {
            sql: writing,
            path: path.clone(),
            queue,
            wakes: wakes.clone(),
            live: live.clone(),
            next_sweep: now,
            next_shortening: now,
        };
        let threads = vec![
            thread::Builder::new().name("sqlite-write".into()).spawn(|| writer.run()).map_err(failed)?,
            thread::Builder::new()
                .name("sqlite-read".into())
                .spawn(move || requests.into_iter().for_each(|look| look(&reading)))
                .map_err(failed)?,
        ];
        Ok(Store {
            path,
            sync,
            wakes,
            live,
            deaf,
            queues: Some(Queues { writes, looks }),
            threads: Mutex::new(threads),
            _watcher: watcher,
        })
    }

    /// Queues something to write.
    pub(crate) fn submit(&self, work: Box<dyn Work>) {
        let refused = match &self.queues {
            Some(queues) => queues.writes.send(work).err().map(|refused| refused.0),
            None => Some(work),
        };
        if let Some(work) = refused {
            work.end(Err(&Failed::Work(ended("write"))));
        }
    }

    /// Writes, and waits for the commit.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnMut(&mut Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        self.submit(Box::new(Call { operation, work, result: None, reply }));
        answer.await.unwrap_or_else(|_| Err(ended(operation)))
    }

    /// Reads on the thread for it, and does there what touches files otherwise.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        look: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let look: Look = Box::new(move |sql| drop(reply.send(look(sql))));
        let sent = self.queues.as_ref().and_then(|queues| queues.looks.send(look).ok());
        sent.ok_or_else(|| ended(operation))?;
        answer.await.unwrap_or_else(|_| Err(ended(operation)))
    }
}

impl Drop for Store {
    /// Waits for the threads: they end once what is queued is done, which takes as long as a commit.
    fn drop(&mut self) {
        self.queues = None;
        for thread in
            lock(&self.threads).drain(..).filter(|thread| thread.thread().id() != thread::current().id())
        {
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.path).finish_non_exhaustive()
    }
}

/// A call that waits for its commit.
struct Call<T, F> {
    operation: &'static str,
    work: F,
    result: Option<T>,
    reply: oneshot::Sender<Result<T>>,
}

impl<T: Send, F: FnMut(&mut Transaction<'_>) -> Result<T> + Send> Work for Call<T, F> {
    fn apply(&mut self, transaction: &mut Transaction<'_>) -> Result<()> {
        self.result = Some((self.work)(transaction)?);
        Ok(())
    }

    fn end(mut self: Box<Self>, outcome: Result<(), &Failed>) {
        let result = match outcome {
            Ok(()) => self.result.take().ok_or_else(|| ended(self.operation)),
            Err(failed) => Err(failed.error(self.operation)),
        };
        // Whoever asked may have gone.
        let _ = self.reply.send(result);
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Milliseconds since 1970.
pub(crate) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}

#[cfg(test)]
mod tests;
