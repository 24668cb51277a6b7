-- servers, flows, flavors, keypairs, quotas, aggregates, services
-- Text that is compared or sorted does so by bytes, as SQLite's does.

-- Numbers that only grow (ids of aggregates and services), without a gap-free promise.
CREATE TABLE counters (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);

CREATE TABLE servers (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    project_id TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    vm_state TEXT COLLATE "C" NOT NULL,
    power_state BIGINT NOT NULL,
    action TEXT COLLATE "C",
    flow_id TEXT COLLATE "C",
    host TEXT COLLATE "C",
    node TEXT COLLATE "C",
    zone TEXT COLLATE "C",
    generation BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    launched_at BIGINT,
    deleted_at BIGINT,
    locked_by TEXT COLLATE "C",
    -- Taken from the body, for filters and sums.
    flavor_id TEXT COLLATE "C" NOT NULL,
    image_id TEXT COLLATE "C",
    key_name TEXT COLLATE "C",
    vcpus BIGINT NOT NULL,
    memory_mib BIGINT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX servers_live ON servers (created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX servers_live_project ON servers (project_id, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX servers_live_host ON servers (host, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX servers_changed ON servers (project_id, updated_at);
CREATE INDEX servers_gone ON servers (deleted_at, id) WHERE deleted_at IS NOT NULL;

-- The intent, the command to the host and the instance action in one row.
CREATE TABLE flows (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    action TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    server_id TEXT COLLATE "C" NOT NULL,
    project_id TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL,
    request_id TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    input TEXT NOT NULL,
    steps TEXT NOT NULL,
    -- Recorded results of remote steps, for replay.
    journal TEXT NOT NULL,
    message TEXT,
    owner TEXT COLLATE "C" NOT NULL,
    lease_until BIGINT NOT NULL,
    cancel BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX flows_server ON flows (server_id, created_at, id);
CREATE INDEX flows_unfinished ON flows (lease_until, id) WHERE state IN ('running', 'unwinding');

CREATE TABLE flavors (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL UNIQUE,
    vcpus BIGINT NOT NULL,
    memory_mib BIGINT NOT NULL,
    root_gib BIGINT NOT NULL,
    ephemeral_gib BIGINT NOT NULL,
    swap_mib BIGINT NOT NULL,
    rxtx_factor DOUBLE PRECISION NOT NULL,
    is_public BIGINT NOT NULL,
    disabled BIGINT NOT NULL,
    description TEXT,
    access TEXT NOT NULL,
    extra_specs TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE keypairs (
    user_id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    fingerprint TEXT COLLATE "C" NOT NULL,
    public_key TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, name)
);

-- hard_limit NULL: the default of the day. -1: unlimited.
CREATE TABLE quotas (
    project_id TEXT COLLATE "C" NOT NULL,
    resource TEXT COLLATE "C" NOT NULL,
    hard_limit BIGINT,
    used BIGINT NOT NULL,
    PRIMARY KEY (project_id, resource)
);

CREATE TABLE aggregates (
    id BIGINT NOT NULL PRIMARY KEY,
    uuid TEXT COLLATE "C" NOT NULL UNIQUE,
    name TEXT COLLATE "C" NOT NULL UNIQUE,
    hosts TEXT NOT NULL,
    metadata TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT
);

CREATE TABLE services (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL UNIQUE,
    host TEXT COLLATE "C" NOT NULL UNIQUE,
    driver TEXT COLLATE "C" NOT NULL,
    disabled BIGINT NOT NULL,
    disabled_reason TEXT,
    forced_down BIGINT NOT NULL,
    facets TEXT NOT NULL,
    traits TEXT NOT NULL,
    nodes TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- Keys that the platform made for itself; never a user's.
CREATE TABLE secrets (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);
