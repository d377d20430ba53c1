//! Reading the order of all events, as far as it is settled.

use std::time::Duration;

use anybroker_core::Result;

use super::horizon::Horizon;
use super::store::{Scan, Scanned};
use super::{EventStore, Filter, Recorded, Store};

/// Rows of one reading.
const BATCH: usize = 500;

/// The shortest time between two looks at a writer that is waited for; it doubles up to the polling interval.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// A place in the order of all events.
#[derive(Clone, Debug)]
pub(crate) struct Reader<D> {
    store: EventStore<D>,
    filter: Filter,
    pub(crate) batch: usize,
    cursor: u64,
    horizon: Horizon,
    pause: Duration,
}

/// What came of reading.
#[derive(Debug)]
pub(crate) struct Reading<E = Recorded> {
    pub(crate) events: Vec<E>,
    /// There was nothing more.
    pub(crate) caught_up: bool,
    /// When to read again if nobody says that there is more.
    pub(crate) pause: Duration,
}

/// Rows that may be handed out.
struct Ready {
    rows: Vec<Scanned>,
    /// There are no others up to what is settled.
    all: bool,
    /// There are no others.
    caught_up: bool,
}

impl<D: Store> Reader<D> {
    pub(crate) fn new(store: EventStore<D>, filter: Filter, after: u64) -> Self {
        Reader { store, filter, batch: BATCH, cursor: after, horizon: Horizon::default(), pause: LOOK_AGAIN }
    }

    pub(crate) fn store(&self) -> &EventStore<D> {
        &self.store
    }

    pub(crate) fn position(&self) -> u64 {
        self.cursor
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.horizon.is_waiting()
    }

    /// What can be handed out now; perhaps nothing. It ends before an event that cannot be read, and fails at it.
    pub(crate) async fn read(&mut self) -> Result<Reading> {
        let Ready { rows, all, caught_up } = self.ready().await?;
        let mut events = Vec::new();
        for row in rows {
            match row.event.and_then(|event| self.upcast(event)) {
                Ok(event) => events.extend(event),
                Err(error) if events.is_empty() => return Err(error),
                Err(_) => return Ok(Reading { events, caught_up, pause: self.pause() }),
            }
            self.cursor = row.position;
        }
        self.passed(all);
        Ok(Reading { events, caught_up, pause: self.pause() })
    }

    /// As [`Reader::read`], for those who can go on after an event that cannot be read: it has its error in its place.
    pub(crate) async fn read_rows(&mut self) -> Result<Reading<Scanned>> {
        let Ready { rows, all, caught_up } = self.ready().await?;
        let mut events = Vec::with_capacity(rows.len());
        for row in rows {
            self.cursor = row.position;
            events.extend(self.store.wanted(&self.filter, row));
        }
        self.passed(all);
        Ok(Reading { events, caught_up, pause: self.pause() })
    }

    /// The rows that will not change any more.
    async fn ready(&mut self) -> Result<Ready> {
        let mut connection = self.store.connection().await?;
        let database = &self.store.database;
        if self.horizon.settled() == 0 && !self.horizon.is_waiting() {
            // Old gaps are settled at once, and the filter works in the database.
            self.horizon.look(1, database.look(&mut connection).await?);
        }
        loop {
            let (after, settled) = (self.cursor, self.horizon.settled());
            let scan = Scan { after, settled, filter: &self.filter, max: self.batch };
            let mut rows = database.scan(&mut connection, scan).await?;
            let ready = self.horizon.ready(after, rows.iter().map(|row| row.position));
            let (all, gap) = (rows.len() < self.batch, ready < rows.len());
            if ready == 0 && gap {
                let look = database.look(&mut connection).await?;
                if self.horizon.look(after.max(settled) + 1, look) {
                    continue;
                }
            }
            rows.truncate(ready);
            return Ok(Ready { rows, all: all || gap, caught_up: all && !gap });
        }
    }

    /// Moves the cursor; `all` if there are no other rows up to what is settled.
    fn passed(&mut self, all: bool) {
        if all {
            self.cursor = self.cursor.max(self.horizon.settled());
        }
    }

    fn upcast(&self, event: Recorded) -> Result<Option<Recorded>> {
        if self.filter.wants(&event) { self.store.upcast(event).map(Some) } else { Ok(None) }
    }

    /// Nobody announces that a transaction was rolled back.
    fn pause(&mut self) -> Duration {
        if !self.horizon.is_waiting() {
            self.pause = LOOK_AGAIN;
            return self.store.poll;
        }
        let pause = self.pause.min(self.store.poll);
        self.pause = pause.saturating_mul(2);
        pause
    }
}

impl<D: Store> EventStore<D> {
    /// The row as a filter lets it pass, its event as the newest version. What does not decode cannot be judged by its type.
    pub(crate) fn wanted(&self, filter: &Filter, row: Scanned) -> Option<Scanned> {
        let Scanned { position, stream, version, event } = row;
        let event = match event {
            Ok(event) if !filter.wants(&event) => return None,
            Err(_) if !stream.starts_with(filter.prefix()) => return None,
            event => event.and_then(|event| self.upcast(event)),
        };
        Some(Scanned { position, stream, version, event })
    }
}
