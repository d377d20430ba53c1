//! Many tasks' appends in few transactions.

use std::collections::{HashSet, VecDeque};

use anybroker_core::{Error, Kind, Result};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::appender_batch::{Request, take};
use super::appender_write::write;
use super::event::check_name;
use super::{AppendError, Appended, EventStore, Expected, NewEvent, Store};

/// Beside a transaction that is under way, another one begins when this part of what it may hold has come together: small ones
/// cost more for each event.
const WORTHWHILE: usize = 4;

/// How much an [`Appender`] takes.
#[derive(Clone, Copy, Debug)]
pub struct AppenderOptions {
    /// Events of one transaction; one append may be larger.
    pub events: usize,
    /// Bytes of one transaction; one append may be larger.
    pub bytes: usize,
    /// Appends that may wait; further callers wait for room.
    pub waiting: usize,
}

impl Default for AppenderOptions {
    /// 1,000 events, 4 MiB, 4,096 waiting.
    fn default() -> Self {
        AppenderOptions { events: 1_000, bytes: 4 << 20, waiting: 4_096 }
    }
}

/// Puts the appends of many tasks into few transactions: while one commits, the next one fills. PostgreSQL has two under way
/// at once if there is enough for both, never of the same stream. Each caller gets the result of its own append; a conflict
/// fails only that.
///
/// ```
/// # use anybroker_patterns::database::Sqlite;
/// # use anybroker_patterns::event_store::{EventStore, Expected, NewEvent};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # let directory = tempfile::tempdir()?;
/// # let database = Sqlite::open(directory.path().join("shop.db")).await?;
/// # database.migrate().await?;
/// let store = EventStore::open(database).await?;
/// let appender = store.appender(Default::default());
/// let paid = |stream| appender.append(stream, Expected::Any, vec![NewEvent::new("order.paid", 1, "{}")]);
/// let (a, b) = tokio::join!(paid("order-1"), paid("order-2"));
/// assert_eq!((a?.version, b?.version), (1, 1));
/// appender.close().await;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Appender {
    sender: mpsc::Sender<Request>,
    task: JoinHandle<()>,
}

impl<D: Store> EventStore<D> {
    /// Starts a task that appends for many others; it ends when the appender is closed or dropped, after what was taken.
    pub fn appender(&self, options: AppenderOptions) -> Appender {
        let (sender, receiver) = mpsc::channel(options.waiting.max(1));
        Appender { sender, task: tokio::spawn(run(self.clone(), options, receiver)) }
    }
}

impl Appender {
    /// Appends to a stream, in a transaction that is shared with others; returns when that is committed.
    ///
    /// # Errors
    /// [`AppendError`]; `Failed` with an unknown fate if the connection broke during the commit.
    ///
    /// # Cancel safety
    /// Not cancel safe: it may be appended all the same.
    pub async fn append(
        &self,
        stream: impl Into<String>,
        expected: Expected,
        events: Vec<NewEvent>,
    ) -> Result<Appended, AppendError> {
        let stream = stream.into();
        check_name("stream name", &stream)?;
        events.iter().try_for_each(NewEvent::validate)?;
        if events.is_empty() {
            let text = "there are no events to append";
            return Err(Error::new(Kind::InvalidConfiguration, "append", text).into());
        }
        let (reply, outcome) = oneshot::channel();
        let request = Request { stream, expected, events, reply, attempts: 0 };
        self.sender.send(request).await.map_err(|_| closed())?;
        outcome.await.map_err(|_| closed())?
    }

    /// Waits until everything that was taken is appended.
    pub async fn close(self) {
        drop(self.sender);
        let _ = self.task.await;
    }
}

fn closed() -> Error {
    Error::new(Kind::Closed, "append", "the appender was closed")
}

/// The task.
async fn run<D: Store>(
    store: EventStore<D>,
    options: AppenderOptions,
    mut receiver: mpsc::Receiver<Request>,
) {
    let mut queue = VecDeque::new();
    let mut arrived = Vec::new();
    let mut busy = HashSet::new();
    let mut writing = FuturesUnordered::new();
    let writers = store.database.writers();
    let most = options.events.max(1);
    // All that waits is for streams that are busy.
    let mut held = false;
    let mut open = true;
    loop {
        let begins = |writing: usize, waiting: usize| {
            writing == 0 || (writing < writers && waiting >= most.div_ceil(WORTHWHILE))
        };
        while !held && begins(writing.len(), queue.len()) {
            let groups = take(&mut queue, &busy, most, options.bytes);
            if groups.is_empty() {
                held = !queue.is_empty();
                break;
            }
            busy.extend(groups.iter().map(|group| group.stream().to_owned()));
            writing.push(write(&store, groups));
        }
        let room = most.saturating_sub(queue.len());
        tokio::select! {
            biased;
            count = receiver.recv_many(&mut arrived, room), if open && room > 0 => {
                open = count > 0;
                queue.extend(arrived.drain(..));
            }
            Some(written) = writing.next(), if !writing.is_empty() => {
                held = false;
                written.streams.iter().for_each(|stream| _ = busy.remove(stream));
                let mut again = written.again;
                again.append(&mut queue);
                queue = again;
            }
            else => return,
        }
    }
}
