-- The run: one row. `resumed` counts the times that it was cut off and continued; `ordered` is how many orders the shop
-- knows to be published.
CREATE TABLE IF NOT EXISTS run (
    id TEXT NOT NULL,
    broker TEXT NOT NULL,
    orders INTEGER NOT NULL,
    phase TEXT NOT NULL,
    resumed INTEGER NOT NULL DEFAULT 0,
    ordered INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Which messages a service has handled, and what followed: inbox and outbox in one. `life` is run.resumed at that time.
CREATE TABLE IF NOT EXISTS handled (
    service TEXT NOT NULL,
    message TEXT NOT NULL,
    life INTEGER NOT NULL,
    follows TEXT,
    PRIMARY KEY (service, message)
) STRICT, WITHOUT ROWID;

-- What the services have done. No constraint stops them from doing it twice: the report would show it.
CREATE TABLE IF NOT EXISTS steps (number INTEGER PRIMARY KEY, last INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS charges (number INTEGER NOT NULL, cents INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS reservations (number INTEGER NOT NULL, items INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS finished (number INTEGER NOT NULL, state TEXT NOT NULL) STRICT;

CREATE TABLE IF NOT EXISTS counts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
