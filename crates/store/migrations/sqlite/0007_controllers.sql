-- Controllers that share a database, and the log of what changed, so that each can follow what the others did. SQLite
-- has one controller and never a row in the log.

-- owner: the life that the name has now; beat grows while it lives; ended = 1: it left in order.
CREATE TABLE controllers (
    name TEXT NOT NULL PRIMARY KEY,
    owner TEXT NOT NULL,
    beat INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- xid: the transaction that wrote it; see src/changes.rs.
CREATE TABLE changes (
    seq INTEGER NOT NULL PRIMARY KEY,
    xid INTEGER NOT NULL,
    topic TEXT NOT NULL,
    key TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX changes_xid ON changes (xid, seq);
CREATE INDEX changes_created ON changes (created_at);

-- Which controller holds the host, and why the host is down; NULL: it is up.
ALTER TABLE services ADD COLUMN controller TEXT;
ALTER TABLE services ADD COLUMN down_reason TEXT;
