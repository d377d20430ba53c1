create table {outbox} (
    lane smallint not null,
    id bigint generated always as identity,
    topic text not null,
    key bytea,
    message_id text not null,
    attributes jsonb,
    payload bytea not null,
    staged_at timestamptz not null default clock_timestamp(),
    primary key (lane, id)
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.2, autovacuum_vacuum_cost_delay = 0);

create table {outbox_quarantine} (
    id bigint primary key,
    lane smallint not null,
    topic text not null,
    key bytea,
    message_id text not null,
    attributes jsonb,
    payload bytea not null,
    staged_at timestamptz not null,
    quarantined_at timestamptz not null default clock_timestamp(),
    reason text not null,
    behind boolean not null,
    retry boolean not null default false
);
create index {outbox_quarantine:bare}_key on {outbox_quarantine} (lane, topic, key);
