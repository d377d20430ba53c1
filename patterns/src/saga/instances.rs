//! Instances begin, and are told of events: what callers do in transactions of their own.

use std::time::Duration;

use anybroker_core::Result;

use super::definition::{Signalled, Started};
use super::state::State;
use super::store::{Connection, Store, Value};

/// An instance to be started.
pub(crate) struct NewInstance<'a> {
    pub(crate) saga: &'a str,
    pub(crate) id: &'a str,
    pub(crate) version: u32,
    pub(crate) data: &'a str,
    pub(crate) deadline: Option<i64>,
}

pub(crate) async fn start<D: Store>(
    store: &D,
    connection: &mut Connection<D>,
    new: NewInstance<'_>,
) -> Result<Started> {
    let sql = "insert into {sagas} (saga, id, version, data, state, started_at, changed_at, deadline_at, due_at)
               values ($1, $2, $3, $4, 'running', {now}, {now}, {now} + $5, {now}) on conflict (saga, id) do nothing";
    let values = vec![
        new.saga.into(),
        new.id.into(),
        i64::from(new.version).into(),
        new.data.into(),
        new.deadline.into(),
    ];
    if store.execute(connection, sql, values).await? == 0 {
        let state = lock(store, connection, new.saga, new.id).await?;
        return Ok(Started::Already(state.unwrap_or(State::Running)));
    }
    note(store, connection, Entry { what: "started", ..Entry::of(new.saga, new.id) }).await?;
    store.wake(connection).await?;
    Ok(Started::New)
}

pub(crate) async fn signal<D: Store>(
    store: &D,
    connection: &mut Connection<D>,
    saga: &str,
    id: &str,
    name: &str,
    payload: &[u8],
) -> Result<Signalled> {
    // The lock lets the runner see the event, or this see what the runner did.
    let Some(state) = lock(store, connection, saga, id).await? else { return Ok(Signalled::Unknown) };
    let entry = Entry { reason: Some(name), ..Entry::of(saga, id) };
    if state != State::Running {
        let known = "select name from {saga_signals} where saga = $1 and id = $2 and name = $3";
        if !store.fetch(connection, known, vec![saga.into(), id.into(), name.into()]).await?.is_empty() {
            return Ok(Signalled::Again);
        }
        note(store, connection, Entry { what: "event came too late", ..entry }).await?;
        return Ok(Signalled::TooLate(state));
    }
    let sql = "insert into {saga_signals} (saga, id, name, payload, noted_at) values ($1, $2, $3, $4, {now})
               on conflict (saga, id, name) do nothing";
    let values = vec![saga.into(), id.into(), name.into(), payload.into()];
    if store.execute(connection, sql, values).await? == 0 {
        return Ok(Signalled::Again);
    }
    let sql = "update {sagas} set due_at = {now} where saga = $1 and id = $2";
    store.execute(connection, sql, vec![saga.into(), id.into()]).await?;
    note(store, connection, Entry { what: "event", ..entry }).await?;
    store.wake(connection).await?;
    Ok(Signalled::Noted)
}

/// Locks an instance until the transaction ends, and says how it stands.
pub(crate) async fn lock<D: Store>(
    store: &D,
    connection: &mut Connection<D>,
    saga: &str,
    id: &str,
) -> Result<Option<State>> {
    let sql = "select state from {sagas} where saga = $1 and id = $2 {lock}";
    let rows = store.fetch(connection, sql, vec![saga.into(), id.into()]).await?;
    rows.into_iter().next().map(|mut row| row.text()?.parse()).transpose()
}

/// A line of an instance's history.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) saga: &'a str,
    pub(crate) id: &'a str,
    pub(crate) step: Option<&'a str>,
    pub(crate) attempt: Option<u32>,
    pub(crate) what: &'a str,
    pub(crate) reason: Option<&'a str>,
}

impl<'a> Entry<'a> {
    pub(crate) fn of(saga: &'a str, id: &'a str) -> Self {
        Entry { saga, id, step: None, attempt: None, what: "", reason: None }
    }
}

pub(crate) async fn note<D: Store>(
    store: &D,
    connection: &mut Connection<D>,
    entry: Entry<'_>,
) -> Result<()> {
    let sql = "insert into {saga_history} (saga, id, at, step, attempt, what, reason)
               values ($1, $2, {now}, $3, $4, $5, $6)";
    let values: Vec<Value> = vec![
        entry.saga.into(),
        entry.id.into(),
        entry.step.into(),
        entry.attempt.map(i64::from).into(),
        entry.what.into(),
        entry.reason.into(),
    ];
    store.execute(connection, sql, values).await.map(drop)
}

pub(crate) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 4)
}
