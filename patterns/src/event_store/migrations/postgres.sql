create table {event_streams} (
    stream text primary key,
    version bigint not null check (version >= 0),
    archived_at bigint
);
create table {events} (
    -- Drawn while the writer's lock is held: see docs of the module's subscription. The sequence must not cache values.
    position bigint generated always as identity primary key,
    stream text not null,
    version bigint not null,
    event_id uuid not null,
    type text not null,
    schema_version integer not null,
    -- Microseconds since 1970, here and below.
    occurred_at bigint not null,
    correlation text,
    causation text,
    actor text,
    -- A JSON object of strings, or null for none.
    headers text,
    data bytea not null,
    unique (stream, version)
);
create table {event_snapshots} (
    stream text primary key,
    version bigint not null,
    snapshot_version integer not null,
    taken_at bigint not null,
    data bytea not null
);
