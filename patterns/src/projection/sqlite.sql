create table {projections} (
    name text not null,
    generation integer not null,
    -- What the code declared.
    version integer not null,
    partitions integer not null,
    state text not null check (state in ('live', 'building')),
    -- The read model's tables without their suffix, as a JSON list.
    tables text not null,
    -- Microseconds since 1970, here and below.
    created_at integer not null,
    primary key (name, generation),
    unique (name, state)
) without rowid;
create table {projection_checkpoints} (
    name text not null,
    generation integer not null,
    part integer not null,
    -- Everything up to here is in the read model, or parked.
    position integer not null check (position >= 0),
    updated_at integer not null,
    primary key (name, generation, part)
) without rowid;
create table {projection_parked} (
    name text not null,
    generation integer not null,
    position integer not null,
    stream text not null,
    version integer not null,
    -- Null: it only follows an earlier one of its stream.
    reason text,
    parked_at integer not null,
    primary key (name, generation, position)
) without rowid;
create index {projection_parked:bare}_stream on {projection_parked} (name, generation, stream, position);
