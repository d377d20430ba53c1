//! An instance as its rows say it stands.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use anybroker_core::Result;

use super::context::Signal;
use super::state::{State, StepState};
use super::store::{Connection, Row, Store};

/// An instance, its steps and its events.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// By the database's clock.
    pub(crate) now: i64,
    pub(crate) state: State,
    pub(crate) version: i64,
    pub(crate) data: String,
    pub(crate) started_at: i64,
    pub(crate) deadline_at: Option<i64>,
    pub(crate) steps: BTreeMap<String, LoadedStep>,
    pub(crate) signals: Vec<Signal>,
}

/// A step that has been tried.
#[derive(Clone, Debug)]
pub(crate) struct LoadedStep {
    pub(crate) state: StepState,
    pub(crate) attempts: u32,
    pub(crate) undo_attempts: u32,
    pub(crate) place: i64,
    pub(crate) changed_at: i64,
    pub(crate) due_at: Option<i64>,
    pub(crate) reason: Option<String>,
}

/// Reads an instance; none if it is not there.
pub(crate) async fn load<D: Store>(
    store: &D,
    connection: &mut Connection<D>,
    saga: &str,
    id: &str,
) -> Result<Option<Loaded>> {
    let of = || vec![saga.into(), id.into()];
    // Events first: one that comes in between is found by whoever looks again before the instance is left.
    let signals = signals(store, connection, saga, id).await?;
    let sql =
        "select step, state, attempts, undo_attempts, place, changed_at, due_at, reason from {saga_steps}
               where saga = $1 and id = $2";
    let rows = store.fetch(connection, sql, of()).await?;
    let steps = rows.into_iter().map(step).collect::<Result<_>>()?;
    let sql = "select {now}, state, version, data, started_at, deadline_at from {sagas}
               where saga = $1 and id = $2";
    let Some(mut row) = store.fetch(connection, sql, of()).await?.into_iter().next() else { return Ok(None) };
    Ok(Some(Loaded {
        now: row.number()?,
        state: row.text()?.parse()?,
        version: row.number()?,
        data: row.text()?,
        started_at: row.number()?,
        deadline_at: row.maybe_number()?,
        steps,
        signals,
    }))
}

fn step(mut row: Row) -> Result<(String, LoadedStep)> {
    let name = row.text()?;
    let step = LoadedStep {
        state: row.text()?.parse()?,
        attempts: row.number()? as u32,
        undo_attempts: row.number()? as u32,
        place: row.number()?,
        changed_at: row.number()?,
        due_at: row.maybe_number()?,
        reason: row.maybe_text()?,
    };
    Ok((name, step))
}

pub(crate) async fn signals<D: Store>(
    store: &D,
    connection: &mut Connection<D>,
    saga: &str,
    id: &str,
) -> Result<Vec<Signal>> {
    let sql = "select name, payload, noted_at from {saga_signals} where saga = $1 and id = $2
               order by noted_at, name";
    let rows = store.fetch(connection, sql, vec![saga.into(), id.into()]).await?;
    let signal = |mut row: Row| {
        Ok(Signal { name: row.text()?, payload: row.bytes()?.into(), noted_at: time(row.number()?) })
    };
    rows.into_iter().map(signal).collect()
}

pub(crate) fn time(millis: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(millis.max(0) as u64)
}
