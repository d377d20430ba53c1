//! Appending to PostgreSQL: one statement for a few events, of any number of streams.

use std::collections::HashMap;

use anybroker_core::Result;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::event::{NewEvent, to_micros};
use super::postgres::{WRITING, fill};
use super::store::{Append, Placed};
use crate::database::{Names, typed};

/// Each part feeds the next, so that they run in this order: the writer's lock before any position is drawn, a stream's row
/// lock before the positions of its events (so that two appends to a stream draw theirs in the order of their versions).
/// A stream whose version is another one yields no row, and so no events.
const MOVE: &str = "
with writer as materialized (
    select pg_advisory_xact_lock_shared({WRITING}, '{events}'::regclass::oid::int4),
           case when $4 then pg_notify('{events:bare}', '') end
), asked as materialized (
    select a.stream, a.expected, a.count, a.n
    from writer, unnest($1::text[], $2::bigint[], $3::bigint[]) with ordinality as a (stream, expected, count, n)
), moved as (
    update {event_streams} s set version = s.version + a.count from asked a
    where s.stream = a.stream and s.archived_at is null and (a.expected is null or s.version = a.expected)
    returning s.stream, s.version - a.count as base
), made as (
    insert into {event_streams} (stream, version)
    select stream, count from asked where expected is null or expected = 0
    on conflict (stream) do nothing returning stream, 0::bigint as base
)";

/// After [`MOVE`]: the versions that the streams had.
const BASES: &str = " select * from moved union all select * from made";

/// After [`MOVE`]: the events.
const STORE: &str = ", taken as (
    select a.n, a.stream, t.base
    from asked a join (select * from moved union all select * from made) t using (stream)
), stored as (
    insert into {events} (stream, version, event_id, type, schema_version, occurred_at,
                          correlation, causation, actor, headers, data)
    select t.stream, t.base + e.at, e.id::uuid, e.type, e.schema_version, e.occurred_at,
           e.correlation, e.causation, e.actor, e.headers, e.data
    from unnest($5::bigint[], $6::bigint[], $7::text[], $8::text[], $9::int4[], $10::bigint[],
                $11::text[], $12::text[], $13::text[], $14::text[], $15::bytea[]) with ordinality
         as e (of, at, id, type, schema_version, occurred_at, correlation, causation, actor, headers, data, n)
    join taken t on t.n = e.of
    order by e.n
    returning stream, version, position
)
select stream, min(version) - 1, array_agg(position order by version) from stored group by stream";

fn moving(names: &Names, then: &str) -> AssertSqlSafe<String> {
    AssertSqlSafe(fill(names, &[MOVE, then].concat().replace("{WRITING}", &WRITING.to_string())))
}

/// Moves streams to the versions that they will have when their events are stored; gives those that they had.
pub(super) async fn place(
    names: &Names,
    connection: &mut PgConnection,
    appends: &[Append<'_>],
    notify: bool,
) -> Result<HashMap<String, i64>> {
    let query = sqlx::query_as(moving(names, BASES))
        .bind(appends.iter().map(|a| a.stream).collect::<Vec<_>>())
        .bind(appends.iter().map(|a| a.expected.map(|version| version as i64)).collect::<Vec<_>>())
        .bind(appends.iter().map(|a| a.events.len() as i64).collect::<Vec<_>>())
        .bind(notify);
    let bases = query.fetch_all(connection).await.map_err(|error| typed("append", error))?;
    Ok(bases.into_iter().collect())
}

pub(super) async fn append(
    names: &Names,
    connection: &mut PgConnection,
    appends: &[Append<'_>],
    notify: bool,
) -> Result<Vec<Option<Placed>>> {
    let columns = Columns::of(appends);
    let query = sqlx::query_as::<_, (String, i64, Vec<i64>)>(moving(names, STORE))
        .bind(appends.iter().map(|a| a.stream).collect::<Vec<_>>())
        .bind(appends.iter().map(|a| a.expected.map(|version| version as i64)).collect::<Vec<_>>())
        .bind(appends.iter().map(|a| a.events.len() as i64).collect::<Vec<_>>())
        .bind(notify)
        .bind(columns.of)
        .bind(columns.at)
        .bind(columns.ids)
        .bind(columns.types)
        .bind(columns.schemas)
        .bind(columns.times)
        .bind(columns.correlations)
        .bind(columns.causations)
        .bind(columns.actors)
        .bind(columns.headers)
        .bind(columns.data);
    let rows = query.fetch_all(connection).await.map_err(|error| typed("append", error))?;
    let mut placed: HashMap<String, Placed> = rows
        .into_iter()
        .map(|(stream, base, positions)| {
            let positions = positions.into_iter().map(|position| position as u64).collect();
            (stream, Placed { base: base as u64, positions })
        })
        .collect();
    Ok(appends.iter().map(|append| placed.remove(append.stream)).collect())
}

/// The events, turned into one array for each column.
#[derive(Default)]
struct Columns<'a> {
    of: Vec<i64>,
    at: Vec<i64>,
    ids: Vec<String>,
    types: Vec<&'a str>,
    schemas: Vec<i32>,
    times: Vec<i64>,
    correlations: Vec<Option<&'a str>>,
    causations: Vec<Option<&'a str>>,
    actors: Vec<Option<&'a str>>,
    headers: Vec<Option<String>>,
    data: Vec<&'a [u8]>,
}

impl<'a> Columns<'a> {
    fn of(appends: &'a [Append<'a>]) -> Self {
        let mut columns = Columns::default();
        for (of, append) in appends.iter().enumerate() {
            for (at, event) in append.events.iter().enumerate() {
                columns.push(of as i64 + 1, at as i64 + 1, event);
            }
        }
        columns
    }

    fn push(&mut self, of: i64, at: i64, event: &'a NewEvent) {
        let metadata = &event.metadata;
        self.of.push(of);
        self.at.push(at);
        self.ids.push(metadata.id.to_string());
        self.types.push(&event.event_type);
        self.schemas.push(event.schema_version as i32);
        self.times.push(to_micros(metadata.time));
        self.correlations.push(metadata.correlation.as_deref());
        self.causations.push(metadata.causation.as_deref());
        self.actors.push(metadata.actor.as_deref());
        self.headers.push(event.headers());
        self.data.push(&event.data);
    }
}
