//! Aggregates in their streams.

use std::marker::PhantomData;

use anybroker_core::{Error, Kind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{
    Aggregate, AggregateEvent, AppendError, At, Connection, EventStore, Expected, NewEvent, Store,
    Transaction,
};

/// How often a command that came too late is decided again, unless set.
const ATTEMPTS: usize = 8;

/// Loads aggregates, lets them decide, and appends what happened.
#[derive(Debug)]
pub struct Repository<A, D> {
    store: EventStore<D>,
    attempts: usize,
    snapshots: Option<Snapshots<A>>,
    aggregate: PhantomData<fn() -> A>,
}

/// How snapshots are made.
#[derive(Debug)]
struct Snapshots<A> {
    version: u32,
    every: u64,
    write: fn(&A) -> serde_json::Result<Vec<u8>>,
    read: fn(&[u8]) -> serde_json::Result<A>,
}

/// What a command did.
#[derive(Debug)]
pub struct Executed<A: Aggregate> {
    /// The state after it.
    pub state: A,
    /// The stream's version now.
    pub version: u64,
    /// The last event's position; 0 if nothing happened.
    pub position: u64,
    /// What happened.
    pub events: Vec<A::Event>,
}

/// Why a command did nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError<E> {
    /// The aggregate refused it.
    #[error("the command was refused")]
    Rejected(E),
    /// The events could not be appended; a conflict, if others were faster every time.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// It could not be loaded.
    #[error(transparent)]
    Failed(#[from] Error),
}

struct Loaded<A> {
    state: A,
    version: u64,
    snapshot: u64,
}

impl<A: Aggregate, D: Store> Repository<A, D> {
    /// The aggregates of a store.
    pub fn new(store: EventStore<D>) -> Self {
        Repository { store, attempts: ATTEMPTS, snapshots: None, aggregate: PhantomData }
    }

    /// How often a command is decided, at most, if others append to the stream at the same time; 8 unless set.
    pub fn with_attempts(mut self, attempts: usize) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// Keeps the state as JSON after every so many events. The version is that of the state's shape: after a change of it,
    /// older snapshots are not used.
    pub fn with_snapshots(mut self, version: u32, every: u64) -> Self
    where
        A: Serialize + DeserializeOwned,
    {
        let read = |data: &[u8]| serde_json::from_slice(data);
        self.snapshots = Some(Snapshots { version, every: every.max(1), write: serde_json::to_vec, read });
        self
    }

    /// The store.
    pub fn store(&self) -> &EventStore<D> {
        &self.store
    }

    /// The name of an aggregate's stream.
    pub fn stream(id: &str) -> String {
        format!("{}-{id}", A::NAME)
    }

    /// The state as of some time, and its version; a new one if nothing had happened.
    ///
    /// # Errors
    /// `Decode` names an event that cannot be read; `Disconnected`, `TimedOut`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn load(&self, id: &str, at: At) -> Result<(A, u64)> {
        let mut connection = self.store.connection().await?;
        let loaded = self.load_in(&mut connection, &Self::stream(id), at).await?;
        Ok((loaded.state, loaded.version))
    }

    async fn load_in(&self, connection: &mut Connection<D>, stream: &str, at: At) -> Result<Loaded<A>> {
        let (state, snapshot) = self.start(connection, stream, at).await?;
        let apply = |state: &mut A, event: &super::Recorded| {
            state.apply(&A::Event::from_recorded(event)?);
            Ok(())
        };
        let (state, version) = self.store.fold_in(connection, stream, snapshot + 1, at, state, apply).await?;
        Ok(Loaded { state, version, snapshot })
    }

    /// A snapshot, or nothing.
    async fn start(&self, connection: &mut Connection<D>, stream: &str, at: At) -> Result<(A, u64)> {
        let Some(snapshots) = &self.snapshots else { return Ok((A::default(), 0)) };
        let Some(snapshot) = self.store.snapshot_in(connection, stream, snapshots.version).await? else {
            return Ok((A::default(), 0));
        };
        let fits = match at {
            At::Latest => true,
            At::Version(version) => snapshot.version <= version,
            At::Time(_) => false,
        };
        match (snapshots.read)(&snapshot.data) {
            Ok(state) if fits => Ok((state, snapshot.version)),
            Err(error) => {
                tracing::warn!(stream, %error, "the snapshot does not decode; all events are read");
                Ok((A::default(), 0))
            }
            Ok(_) => Ok((A::default(), 0)),
        }
    }

    /// Loads an aggregate, lets it decide and appends what happened, in one transaction; if somebody else appended meanwhile,
    /// again.
    ///
    /// # Errors
    /// [`CommandError`]; nothing was appended, unless the fate of the commit is unknown.
    ///
    /// # Cancel safety
    /// Not cancel safe: it may be appended all the same.
    pub async fn execute(&self, id: &str, command: A::Command) -> Result<Executed<A>, CommandError<A::Error>>
    where
        A::Command: Clone,
    {
        self.execute_with(id, command, |event| event).await
    }

    /// As [`Repository::execute`]; `describe` adds actor, correlation, causation to each event.
    ///
    /// # Errors
    /// As [`Repository::execute`].
    ///
    /// # Cancel safety
    /// As [`Repository::execute`].
    pub async fn execute_with(
        &self,
        id: &str,
        command: A::Command,
        describe: impl Fn(NewEvent) -> NewEvent + Send + Sync,
    ) -> Result<Executed<A>, CommandError<A::Error>>
    where
        A::Command: Clone,
    {
        let mut attempt = 1;
        loop {
            let mut transaction = self.store.begin().await?;
            let done = self.execute_in(&mut transaction, id, command.clone(), &describe).await;
            let done = match done {
                Ok(done) => commit::<D>(transaction).await.map(|()| done).map_err(CommandError::from),
                Err(error) => Err(error),
            };
            match done {
                Err(error) if attempt < self.attempts && is_race(&error) => attempt += 1,
                done => return done,
            }
        }
    }

    /// Executes a command in the caller's transaction, once.
    ///
    /// # Errors
    /// [`CommandError`]; after a conflict do the transaction again.
    ///
    /// # Cancel safety
    /// Not cancel safe: roll the transaction back.
    pub async fn execute_in(
        &self,
        connection: &mut Connection<D>,
        id: &str,
        command: A::Command,
        describe: impl Fn(NewEvent) -> NewEvent + Send + Sync,
    ) -> Result<Executed<A>, CommandError<A::Error>> {
        let stream = Self::stream(id);
        let Loaded { mut state, version, snapshot } = self.load_in(connection, &stream, At::Latest).await?;
        let events = state.decide(command).map_err(CommandError::Rejected)?;
        if events.is_empty() {
            return Ok(Executed { state, version, position: 0, events });
        }
        let new = events.iter().map(|event| event.to_new().map(&describe)).collect::<Result<Vec<_>>>()?;
        let appended = self.store.append(connection, &stream, Expected::Version(version), &new).await?;
        events.iter().for_each(|event| state.apply(event));
        self.keep(connection, &stream, &state, appended.version, snapshot).await?;
        Ok(Executed { state, version: appended.version, position: appended.position, events })
    }

    /// Keeps a snapshot if one is due.
    async fn keep(
        &self,
        connection: &mut Connection<D>,
        stream: &str,
        state: &A,
        version: u64,
        last: u64,
    ) -> Result<()> {
        let Some(snapshots) = self.snapshots.as_ref().filter(|s| version - last >= s.every) else {
            return Ok(());
        };
        let data = (snapshots.write)(state).map_err(|error| {
            Error::new(Kind::Decode, "keep a snapshot", "the state cannot be written as JSON")
                .with_source(error)
        })?;
        self.store.keep_snapshot(connection, stream, version, snapshots.version, data).await
    }
}

async fn commit<D: Store>(transaction: Transaction<D>) -> Result<()> {
    transaction.commit().await.map_err(|error| crate::database::typed("commit", error))
}

/// Whether another transaction was in the way, and this one had no effect.
fn is_race<E>(error: &CommandError<E>) -> bool {
    match error {
        CommandError::Append(AppendError::Conflict { .. }) => true,
        CommandError::Append(AppendError::Failed(error)) | CommandError::Failed(error) => {
            error.kind() == Kind::Throttled
        }
        _ => false,
    }
}
