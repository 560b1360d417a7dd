-- The journal and what is found through it. Every key begins with the partition, so that the same
-- tables can be spread over several owners; one SQLite file has a single one, partition 0.
-- Times are microseconds since the epoch. Columns that hold JSON say so.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE runs (
    partition INTEGER NOT NULL,
    id TEXT NOT NULL,
    component TEXT NOT NULL,
    status TEXT NOT NULL,
    epoch INTEGER NOT NULL,             -- claims so far; the fencing token of what a worker says
    attempt INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    life INTEGER NOT NULL,              -- starts of the body from its top
    created_at INTEGER NOT NULL,
    started_at INTEGER NOT NULL,        -- 0 while it hasn't
    ended_at INTEGER NOT NULL,          -- 0 while it hasn't
    wake_at INTEGER,                    -- when the runtime has to look at it
    parent TEXT,
    link TEXT,                          -- JSON: the operation of the parent that it answers
    origin TEXT,                        -- JSON: the run that it was retried or forked from
    awaited INTEGER NOT NULL,           -- others than the parent wait for it (table waiters)
    tags TEXT,                          -- JSON
    idempotency_key TEXT,
    code TEXT NOT NULL,                 -- fingerprint of the code it last ran on
    idempotent INTEGER NOT NULL,
    crashes INTEGER NOT NULL,
    cancel_requested INTEGER NOT NULL,
    waiting TEXT,                       -- JSON: why it isn't running
    PRIMARY KEY (partition, id)
) WITHOUT ROWID;

CREATE INDEX runs_open ON runs (partition, status, component, id) WHERE status IN ('queued', 'running', 'blocked');
CREATE INDEX runs_wake ON runs (partition, wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX runs_parent ON runs (partition, parent) WHERE parent IS NOT NULL;

CREATE TABLE journal (
    partition INTEGER NOT NULL,
    run_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    at INTEGER NOT NULL,
    body TEXT NOT NULL,                 -- JSON
    checksum INTEGER NOT NULL,          -- CRC-32 of the body
    PRIMARY KEY (partition, run_id, position)
) WITHOUT ROWID;

CREATE TABLE events (
    partition INTEGER NOT NULL,
    id TEXT NOT NULL,
    at INTEGER NOT NULL,
    payload TEXT NOT NULL,              -- JSON
    PRIMARY KEY (partition, id)
) WITHOUT ROWID;

CREATE TABLE waiters (
    partition INTEGER NOT NULL,
    target TEXT NOT NULL,               -- event:ID or run:ID
    run_id TEXT NOT NULL,
    life INTEGER NOT NULL,
    op INTEGER NOT NULL,
    key TEXT NOT NULL,
    scope TEXT NOT NULL,
    PRIMARY KEY (partition, target, run_id, key)
) WITHOUT ROWID;

CREATE TABLE idempotency_keys (
    partition INTEGER NOT NULL,
    component TEXT NOT NULL,
    key TEXT NOT NULL,
    run_id TEXT NOT NULL,
    input_digest TEXT NOT NULL,
    PRIMARY KEY (partition, component, key)
) WITHOUT ROWID;

CREATE TABLE heartbeats (
    partition INTEGER NOT NULL,
    run_id TEXT NOT NULL,
    key TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    details TEXT NOT NULL,              -- JSON
    PRIMARY KEY (partition, run_id, key)
) WITHOUT ROWID;
