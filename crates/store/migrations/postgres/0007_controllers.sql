-- Controllers that share a database, and the log of what changed, so that each can follow what the others did. SQLite
-- has one controller and never a row in the log.

-- owner: the life that the name has now; beat grows while it lives; ended = 1: it left in order.
CREATE TABLE controllers (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    owner TEXT COLLATE "C" NOT NULL,
    beat BIGINT NOT NULL,
    ended BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

-- xid: the transaction that wrote it; see src/changes.rs.
CREATE TABLE changes (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid BIGINT NOT NULL,
    topic TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX changes_xid ON changes (xid, seq);
CREATE INDEX changes_created ON changes (created_at);

-- Which controller holds the host, and why the host is down; NULL: it is up.
ALTER TABLE services ADD COLUMN controller TEXT COLLATE "C";
ALTER TABLE services ADD COLUMN down_reason TEXT;
