create table {projections} (
    name text not null,
    generation bigint not null,
    -- What the code declared.
    version bigint not null,
    partitions bigint not null,
    state text not null check (state in ('live', 'building')),
    -- The read model's tables without their suffix, as a JSON list.
    tables text not null,
    -- Microseconds since 1970, here and below.
    created_at bigint not null,
    primary key (name, generation),
    unique (name, state)
);
create table {projection_checkpoints} (
    name text not null,
    generation bigint not null,
    part bigint not null,
    -- Everything up to here is in the read model, or parked.
    position bigint not null check (position >= 0),
    updated_at bigint not null,
    primary key (name, generation, part)
);
create table {projection_parked} (
    name text not null,
    generation bigint not null,
    position bigint not null,
    stream text not null,
    version bigint not null,
    -- Null: it only follows an earlier one of its stream.
    reason text,
    parked_at bigint not null,
    primary key (name, generation, position)
);
create index {projection_parked:bare}_stream on {projection_parked} (name, generation, stream, position);
