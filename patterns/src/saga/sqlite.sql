-- Times are milliseconds since 1970, by the database's clock.
create table {sagas} (
    saga text not null,
    id text not null,
    -- Of the data's schema.
    version integer not null,
    data text not null,
    state text not null check (state in
        ('running', 'compensating', 'completed', 'compensated', 'incomplete', 'parked', 'abandoned')),
    -- What a parked instance goes on with: running or compensating.
    resume text,
    reason text,
    started_at integer not null,
    changed_at integer not null,
    deadline_at integer,
    -- When there is something to do; null: never.
    due_at integer,
    -- Who runs it and until when without a sign of life; each owner has a higher fence than the one before.
    owner text,
    leased_until integer not null default 0,
    fence integer not null default 0,
    primary key (saga, id)
);
create index {sagas:bare}_due on {sagas} (saga, due_at) where due_at is not null;

create table {saga_steps} (
    saga text not null,
    id text not null,
    step text not null,
    -- failed: given up, without effect; unsure: given up, and the effect may be there all the same.
    state text not null check (state in ('begun', 'done', 'failed', 'unsure', 'compensated')),
    attempts integer not null default 0,
    undo_attempts integer not null default 0,
    -- The order in which the instance's steps ended.
    place integer not null default 0,
    changed_at integer not null,
    due_at integer,
    reason text,
    primary key (saga, id, step)
);

create table {saga_signals} (
    saga text not null,
    id text not null,
    name text not null,
    payload blob not null,
    noted_at integer not null,
    primary key (saga, id, name)
);

create table {saga_history} (
    number integer primary key autoincrement,
    saga text not null,
    id text not null,
    at integer not null,
    step text,
    attempt integer,
    what text not null,
    reason text
);
create index {saga_history:bare}_of on {saga_history} (saga, id, number);
