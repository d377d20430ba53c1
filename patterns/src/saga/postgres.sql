-- Times are milliseconds since 1970, by the database's clock.
create table {sagas} (
    saga text not null,
    id text not null,
    -- Of the data's schema.
    version bigint not null,
    data text not null,
    state text not null check (state in
        ('running', 'compensating', 'completed', 'compensated', 'incomplete', 'parked', 'abandoned')),
    -- What a parked instance goes on with: running or compensating.
    resume text,
    reason text,
    started_at bigint not null,
    changed_at bigint not null,
    deadline_at bigint,
    -- When there is something to do; null: never.
    due_at bigint,
    -- Who runs it and until when without a sign of life; each owner has a higher fence than the one before.
    owner text,
    leased_until bigint not null default 0,
    fence bigint not null default 0,
    primary key (saga, id)
);
create index {sagas:bare}_due on {sagas} (saga, due_at) where due_at is not null;

create table {saga_steps} (
    saga text not null,
    id text not null,
    step text not null,
    -- failed: given up, without effect; unsure: given up, and the effect may be there all the same.
    state text not null check (state in ('begun', 'done', 'failed', 'unsure', 'compensated')),
    attempts bigint not null default 0,
    undo_attempts bigint not null default 0,
    -- The order in which the instance's steps ended.
    place bigint not null default 0,
    changed_at bigint not null,
    due_at bigint,
    reason text,
    primary key (saga, id, step)
);

create table {saga_signals} (
    saga text not null,
    id text not null,
    name text not null,
    payload bytea not null,
    noted_at bigint not null,
    primary key (saga, id, name)
);

create table {saga_history} (
    number bigint generated always as identity primary key,
    saga text not null,
    id text not null,
    at bigint not null,
    step text,
    attempt bigint,
    what text not null,
    reason text
);
create index {saga_history:bare}_of on {saga_history} (saga, id, number);
