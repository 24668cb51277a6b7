-- servers, flows, flavors, keypairs, quotas, aggregates, services

-- Numbers that only grow (ids of aggregates and services), without a gap-free promise.
CREATE TABLE counters (
    name TEXT NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT;

CREATE TABLE servers (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    name TEXT NOT NULL,
    vm_state TEXT NOT NULL,
    power_state INTEGER NOT NULL,
    action TEXT,
    flow_id TEXT,
    host TEXT,
    node TEXT,
    zone TEXT,
    generation INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    launched_at INTEGER,
    deleted_at INTEGER,
    locked_by TEXT,
    -- Taken from the body, for filters and sums.
    flavor_id TEXT NOT NULL,
    image_id TEXT,
    key_name TEXT,
    vcpus INTEGER NOT NULL,
    memory_mib INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX servers_live ON servers (created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX servers_live_project ON servers (project_id, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX servers_live_host ON servers (host, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX servers_changed ON servers (project_id, updated_at);
CREATE INDEX servers_gone ON servers (deleted_at, id) WHERE deleted_at IS NOT NULL;

-- The intent, the command to the host and the instance action in one row.
CREATE TABLE flows (
    id TEXT NOT NULL PRIMARY KEY,
    action TEXT NOT NULL,
    version INTEGER NOT NULL,
    server_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    request_id TEXT NOT NULL,
    state TEXT NOT NULL,
    input TEXT NOT NULL,
    steps TEXT NOT NULL,
    -- Recorded results of remote steps, for replay.
    journal TEXT NOT NULL,
    message TEXT,
    owner TEXT NOT NULL,
    lease_until INTEGER NOT NULL,
    cancel INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX flows_server ON flows (server_id, created_at, id);
CREATE INDEX flows_unfinished ON flows (lease_until, id) WHERE state IN ('running', 'unwinding');

CREATE TABLE flavors (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    vcpus INTEGER NOT NULL,
    memory_mib INTEGER NOT NULL,
    root_gib INTEGER NOT NULL,
    ephemeral_gib INTEGER NOT NULL,
    swap_mib INTEGER NOT NULL,
    rxtx_factor REAL NOT NULL,
    is_public INTEGER NOT NULL,
    disabled INTEGER NOT NULL,
    description TEXT,
    access TEXT NOT NULL,
    extra_specs TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE keypairs (
    user_id TEXT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    public_key TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, name)
) STRICT;

-- hard_limit NULL: the default of the day. -1: unlimited.
CREATE TABLE quotas (
    project_id TEXT NOT NULL,
    resource TEXT NOT NULL,
    hard_limit INTEGER,
    used INTEGER NOT NULL,
    PRIMARY KEY (project_id, resource)
) STRICT;

CREATE TABLE aggregates (
    id INTEGER NOT NULL PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL UNIQUE,
    hosts TEXT NOT NULL,
    metadata TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER
) STRICT;

CREATE TABLE services (
    id TEXT NOT NULL PRIMARY KEY,
    number INTEGER NOT NULL UNIQUE,
    host TEXT NOT NULL UNIQUE,
    driver TEXT NOT NULL,
    disabled INTEGER NOT NULL,
    disabled_reason TEXT,
    forced_down INTEGER NOT NULL,
    facets TEXT NOT NULL,
    traits TEXT NOT NULL,
    nodes TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

-- Keys that the platform made for itself; never a user's.
CREATE TABLE secrets (
    name TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
