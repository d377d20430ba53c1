create table {inbox} (
    consumer text not null,
    message_id text not null,
    at timestamptz not null default clock_timestamp(),
    -- Until when somebody handles it who notes the effect afterwards; null: it took effect.
    claimed_until timestamptz,
    primary key (consumer, message_id)
);
create index {inbox:bare}_at on {inbox} (at);
