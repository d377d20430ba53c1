create table {outbox} (
    id integer primary key autoincrement,
    topic text not null,
    key blob,
    message_id text not null,
    attributes text,
    payload blob not null,
    staged_at integer not null default (cast(unixepoch('subsec') * 1000 as integer))
);

create table {outbox_quarantine} (
    id integer primary key,
    topic text not null,
    key blob,
    message_id text not null,
    attributes text,
    payload blob not null,
    staged_at integer not null,
    quarantined_at integer not null default (cast(unixepoch('subsec') * 1000 as integer)),
    reason text not null,
    behind integer not null,
    retry integer not null default 0
);
create index {outbox_quarantine:bare}_key on {outbox_quarantine} (topic, key);

-- The one relay that is at work, and until when without a sign of life, in milliseconds since 1970.
create table {outbox_relay} (
    one integer primary key check (one = 1),
    owner text not null,
    until integer not null
);
insert into {outbox_relay} (one, owner, until) values (1, '', 0);
