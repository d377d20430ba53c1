//! Many tasks' appends in few transactions.

use std::collections::VecDeque;

use anybroker_core::{Error, Kind, Result};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::appender_batch::{Group, Request, take};
use super::event::check_name;
use super::store::{Append, Placed};
use super::{AppendError, Appended, EventStore, Expected, NewEvent, Store};
use crate::database::typed;

/// How often a transaction that was in another's way is done again, and an append that lost a race.
const ATTEMPTS: usize = 5;

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

/// Puts the appends of many tasks into few transactions: while one commits, the next one fills. Each caller gets the result
/// of its own append; a conflict fails only that.
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
        let writer = Writer { store: self.clone(), options, queue: VecDeque::new() };
        Appender { sender, task: tokio::spawn(writer.run(receiver)) }
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
struct Writer<D> {
    store: EventStore<D>,
    options: AppenderOptions,
    queue: VecDeque<Request>,
}

impl<D: Store> Writer<D> {
    async fn run(mut self, mut receiver: mpsc::Receiver<Request>) {
        loop {
            if self.queue.is_empty() {
                match receiver.recv().await {
                    Some(request) => self.queue.push_back(request),
                    None => return,
                }
            }
            while self.queue.len() < self.options.events {
                let Ok(request) = receiver.try_recv() else { break };
                self.queue.push_back(request);
            }
            let groups = take(&mut self.queue, self.options.events, self.options.bytes);
            self.write(groups).await;
        }
    }

    /// One transaction; if one append spoils it, each by itself.
    async fn write(&mut self, groups: Vec<Group>) {
        match self.transaction(&groups).await {
            Ok(placed) => self.answer(groups, placed).await,
            Err(error)
                if is_spoilt(&error)
                    && groups.iter().map(|group| group.requests.len()).sum::<usize>() > 1 =>
            {
                for request in groups.into_iter().flat_map(|group| group.requests) {
                    let alone = vec![Group::of(request)];
                    match self.transaction(&alone).await {
                        Ok(placed) => self.answer(alone, placed).await,
                        Err(error) => fail(alone, &error),
                    }
                }
            }
            Err(error) => fail(groups, &error),
        }
    }

    async fn transaction(&self, groups: &[Group]) -> Result<Vec<Option<Placed>>> {
        let appends: Vec<_> = groups.iter().map(Group::append).collect();
        let mut attempt = 1;
        loop {
            match self.attempt(&appends).await {
                Err(error) if matches!(error.kind(), Kind::Throttled) && attempt < ATTEMPTS => attempt += 1,
                done => return done,
            }
        }
    }

    async fn attempt(&self, appends: &[Append<'_>]) -> Result<Vec<Option<Placed>>> {
        let mut transaction = self.store.begin().await?;
        let placed = self.store.database.append(&mut transaction, appends, self.store.notify).await?;
        transaction.commit().await.map_err(|error| typed("commit", error))?;
        Ok(placed)
    }

    async fn answer(&mut self, groups: Vec<Group>, placed: Vec<Option<Placed>>) {
        let mut again = VecDeque::new();
        for (group, placed) in groups.into_iter().zip(placed) {
            match placed {
                Some(placed) => succeed(group, &placed),
                None => again.extend(self.refuse(group).await),
            }
        }
        again.append(&mut self.queue);
        self.queue = again;
    }

    /// Tells the first append of a group why it was refused; the others are tried again without it.
    async fn refuse(&self, group: Group) -> Vec<Request> {
        let refused = async {
            let mut connection = self.store.connection().await?;
            self.store.refused(&mut connection, group.stream(), group.expected()).await
        };
        let refused = refused.await;
        let mut requests = group.requests;
        let error = match refused {
            Ok(Some(error)) => error,
            Ok(None) if requests.first().is_some_and(|first| first.attempts < ATTEMPTS) => {
                requests.iter_mut().for_each(|request| request.attempts += 1);
                return requests;
            }
            Ok(None) => {
                let text = "others append to the stream all the time";
                Error::new(Kind::Throttled, "append", text).advice("append again").into()
            }
            Err(error) => error.into(),
        };
        if !requests.is_empty() {
            let _ = requests.remove(0).reply.send(Err(error));
        }
        requests
    }
}

/// Whether the statement itself was refused: perhaps only for one of the events in it.
fn is_spoilt(error: &Error) -> bool {
    !error.is_retryable() && error.fate() == anybroker_core::Fate::NotApplied
}

fn succeed(group: Group, placed: &Placed) {
    let mut count = 0;
    for request in group.requests {
        count += request.events.len();
        let _ = request.reply.send(Ok(placed.upto(count)));
    }
}

fn fail(groups: Vec<Group>, error: &Error) {
    for request in groups.into_iter().flat_map(|group| group.requests) {
        let _ = request.reply.send(Err(error.duplicate().into()));
    }
}
