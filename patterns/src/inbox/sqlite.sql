create table {inbox} (
    consumer text not null,
    message_id text not null,
    at integer not null default (cast(unixepoch('subsec') * 1000 as integer)),
    -- Until when somebody handles it who notes the effect afterwards, in milliseconds since 1970; null: it took effect.
    claimed_until integer,
    primary key (consumer, message_id)
) without rowid;
create index {inbox:bare}_at on {inbox} (at);
