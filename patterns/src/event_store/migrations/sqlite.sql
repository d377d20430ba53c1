create table {event_streams} (
    stream text primary key,
    version integer not null check (version >= 0),
    archived_at integer
) without rowid;
create table {events} (
    -- A position is never used again, not even after a deletion.
    position integer primary key autoincrement,
    stream text not null,
    version integer not null,
    event_id text not null,
    type text not null,
    schema_version integer not null,
    -- Microseconds since 1970, here and below.
    occurred_at integer not null,
    correlation text,
    causation text,
    actor text,
    -- A JSON object of strings, or null for none.
    headers text,
    data blob not null,
    unique (stream, version)
);
create table {event_snapshots} (
    stream text primary key,
    version integer not null,
    snapshot_version integer not null,
    taken_at integer not null,
    data blob not null
);
