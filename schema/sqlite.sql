-- Generated from the migrations; see crates/store/tests/schema.rs. Not run by anything.

CREATE TABLE aggregates (
    id INTEGER NOT NULL PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL UNIQUE,
    hosts TEXT NOT NULL,
    metadata TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER
) STRICT;
CREATE TABLE allocations (
    consumer TEXT NOT NULL REFERENCES consumers (id),
    provider TEXT NOT NULL REFERENCES resource_providers (id),
    class TEXT NOT NULL,
    used INTEGER NOT NULL,
    PRIMARY KEY (consumer, provider, class)
) STRICT;
CREATE INDEX allocations_provider ON allocations (provider, class);
CREATE TABLE changes (
    seq INTEGER NOT NULL PRIMARY KEY,
    xid INTEGER NOT NULL,
    topic TEXT NOT NULL,
    key TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX changes_created ON changes (created_at);
CREATE INDEX changes_xid ON changes (xid, seq);
CREATE TABLE consumers (
    id TEXT NOT NULL PRIMARY KEY,
    generation INTEGER NOT NULL,
    project_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    kind TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX consumers_project ON consumers (project_id, user_id);
CREATE TABLE controllers (
    name TEXT NOT NULL PRIMARY KEY,
    owner TEXT NOT NULL,
    beat INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE TABLE counters (
    name TEXT NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT;
CREATE TABLE custom_classes (
    name TEXT NOT NULL PRIMARY KEY,
    created_at INTEGER NOT NULL
) STRICT;
CREATE TABLE custom_traits (
    name TEXT NOT NULL PRIMARY KEY,
    created_at INTEGER NOT NULL
) STRICT;
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
CREATE TABLE host_vteps (
    host TEXT NOT NULL PRIMARY KEY,
    vtep TEXT NOT NULL
) STRICT;
CREATE TABLE identity_app_credentials (
    id      TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL,
    name    TEXT NOT NULL,
    body    TEXT NOT NULL,
    UNIQUE (user_id, name)
);
CREATE TABLE identity_catalog (
    kind TEXT NOT NULL,
    id   TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE TABLE identity_domains (
    id   TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    body TEXT NOT NULL
);
CREATE TABLE identity_grants (
    actor_kind  TEXT NOT NULL,
    actor_id    TEXT NOT NULL,
    target_kind TEXT NOT NULL,
    target_id   TEXT NOT NULL,
    role_id     TEXT NOT NULL,
    inherited   BIGINT NOT NULL,
    PRIMARY KEY (actor_kind, actor_id, target_kind, target_id, role_id, inherited)
);
CREATE TABLE identity_groups (
    id        TEXT NOT NULL PRIMARY KEY,
    domain_id TEXT NOT NULL,
    name      TEXT NOT NULL,
    body      TEXT NOT NULL,
    UNIQUE (domain_id, name)
);
CREATE TABLE identity_implied_roles (
    prior_id   TEXT NOT NULL,
    implied_id TEXT NOT NULL,
    PRIMARY KEY (prior_id, implied_id)
);
CREATE TABLE identity_members (
    group_id TEXT NOT NULL,
    user_id  TEXT NOT NULL,
    PRIMARY KEY (group_id, user_id)
);
CREATE TABLE identity_projects (
    id        TEXT NOT NULL PRIMARY KEY,
    domain_id TEXT NOT NULL,
    name      TEXT NOT NULL,
    body      TEXT NOT NULL,
    UNIQUE (domain_id, name)
);
CREATE TABLE identity_revision (
    id       BIGINT NOT NULL PRIMARY KEY,
    revision BIGINT NOT NULL
);
CREATE TABLE identity_revoked_tokens (
    audit_id    TEXT NOT NULL PRIMARY KEY,
    descendants BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL
);
CREATE TABLE identity_roles (
    id        TEXT NOT NULL PRIMARY KEY,
    domain_id TEXT NOT NULL,
    name      TEXT NOT NULL,
    body      TEXT NOT NULL,
    UNIQUE (domain_id, name)
);
CREATE TABLE identity_signing_keys (
    id         TEXT NOT NULL PRIMARY KEY,
    created_at BIGINT NOT NULL,
    secret     BLOB NOT NULL
);
CREATE TABLE identity_users (
    id        TEXT NOT NULL PRIMARY KEY,
    domain_id TEXT NOT NULL,
    name      TEXT NOT NULL,
    body      TEXT NOT NULL,
    UNIQUE (domain_id, name)
);
CREATE TABLE image_members (
    image_id TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    member TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (image_id, member)
);
CREATE INDEX image_members_member ON image_members (member);
CREATE TABLE image_properties (
    image_id TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (image_id, name)
);
CREATE TABLE image_tags (
    image_id TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    tag TEXT NOT NULL,
    PRIMARY KEY (image_id, tag)
);
CREATE INDEX image_tags_tag ON image_tags (tag);
CREATE TABLE image_tombstones (
    id TEXT NOT NULL PRIMARY KEY,
    deleted_at BIGINT NOT NULL
);
CREATE TABLE images (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT,
    owner TEXT,
    status TEXT NOT NULL,
    visibility TEXT NOT NULL,
    container_format TEXT,
    disk_format TEXT,
    size BIGINT,
    virtual_size BIGINT,
    checksum TEXT,
    os_hash_algo TEXT,
    os_hash_value TEXT,
    min_disk BIGINT NOT NULL,
    min_ram BIGINT NOT NULL,
    protected BIGINT NOT NULL,
    os_hidden BIGINT NOT NULL,
    writer TEXT,
    body TEXT NOT NULL,
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX images_created ON images (created_at, id);
CREATE INDEX images_name ON images (name);
CREATE INDEX images_owner ON images (owner);
CREATE INDEX images_visibility ON images (visibility);
CREATE TABLE inventories (
    provider TEXT NOT NULL REFERENCES resource_providers (id) ON DELETE CASCADE,
    class TEXT NOT NULL,
    total INTEGER NOT NULL,
    reserved INTEGER NOT NULL,
    min_unit INTEGER NOT NULL,
    max_unit INTEGER NOT NULL,
    step_size INTEGER NOT NULL,
    allocation_ratio REAL NOT NULL,
    capacity INTEGER NOT NULL,
    used INTEGER NOT NULL CHECK (used >= 0),
    PRIMARY KEY (provider, class)
) STRICT;
CREATE TABLE ip_allocations (
    subnet_id TEXT NOT NULL REFERENCES subnets (id),
    ip TEXT NOT NULL,
    port_id TEXT NOT NULL,
    PRIMARY KEY (subnet_id, ip)
) STRICT;
CREATE INDEX ip_allocations_port ON ip_allocations (port_id);
CREATE TABLE keypairs (
    user_id TEXT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    public_key TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, name)
) STRICT;
CREATE TABLE network_segments (
    kind TEXT NOT NULL,
    tag TEXT NOT NULL,
    network_id TEXT NOT NULL REFERENCES networks (id) ON DELETE CASCADE,
    PRIMARY KEY (kind, tag)
) STRICT;
CREATE INDEX network_segments_network ON network_segments (network_id);
CREATE TABLE networks (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL,
    name TEXT NOT NULL,
    shared INTEGER NOT NULL,
    external INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX networks_project ON networks (project_id);
CREATE TABLE port_security_groups (
    port_id TEXT NOT NULL REFERENCES ports (id) ON DELETE CASCADE,
    group_id TEXT NOT NULL REFERENCES security_groups (id),
    PRIMARY KEY (port_id, group_id)
) STRICT;
CREATE INDEX port_security_groups_group ON port_security_groups (group_id);
CREATE TABLE ports (
    id TEXT NOT NULL PRIMARY KEY,
    network_id TEXT NOT NULL REFERENCES networks (id),
    project_id TEXT NOT NULL,
    name TEXT NOT NULL,
    mac TEXT NOT NULL,
    device_id TEXT NOT NULL,
    device_owner TEXT NOT NULL,
    host TEXT,
    revision INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (network_id, mac)
) STRICT;
CREATE INDEX ports_device ON ports (device_id);
CREATE INDEX ports_network_host ON ports (network_id, host);
CREATE INDEX ports_project ON ports (project_id);
CREATE TABLE provider_aggregates (
    provider TEXT NOT NULL REFERENCES resource_providers (id) ON DELETE CASCADE,
    aggregate TEXT NOT NULL,
    PRIMARY KEY (provider, aggregate)
) STRICT;
CREATE TABLE provider_traits (
    provider TEXT NOT NULL REFERENCES resource_providers (id) ON DELETE CASCADE,
    trait TEXT NOT NULL,
    reported INTEGER NOT NULL,
    PRIMARY KEY (provider, trait)
) STRICT;
CREATE INDEX provider_traits_trait ON provider_traits (trait);
CREATE TABLE quotas (
    project_id TEXT NOT NULL,
    resource TEXT NOT NULL,
    hard_limit INTEGER,
    used INTEGER NOT NULL,
    PRIMARY KEY (project_id, resource)
) STRICT;
CREATE TABLE resource_providers (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    generation INTEGER NOT NULL,
    parent TEXT REFERENCES resource_providers (id),
    root TEXT NOT NULL,
    host TEXT,
    node TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX resource_providers_host ON resource_providers (host);
CREATE INDEX resource_providers_parent ON resource_providers (parent);
CREATE INDEX resource_providers_root ON resource_providers (root);
CREATE TABLE schema_migrations (version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL);
CREATE TABLE secrets (
    name TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE TABLE security_group_rules (
    id TEXT NOT NULL PRIMARY KEY,
    group_id TEXT NOT NULL REFERENCES security_groups (id) ON DELETE CASCADE,
    remote_group_id TEXT REFERENCES security_groups (id) ON DELETE CASCADE,
    project_id TEXT NOT NULL,
    -- What it allows, in one word: two rules of a group never allow the same.
    mark TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (group_id, mark)
) STRICT;
CREATE INDEX security_group_rules_project ON security_group_rules (project_id);
CREATE INDEX security_group_rules_remote ON security_group_rules (remote_group_id);
CREATE TABLE security_groups (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL,
    name TEXT NOT NULL,
    -- The project, for its default group only: one a project.
    default_of TEXT UNIQUE,
    revision INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX security_groups_project ON security_groups (project_id);
CREATE TABLE server_group_members (
    server_id TEXT NOT NULL PRIMARY KEY,
    group_id TEXT NOT NULL REFERENCES server_groups (id) ON DELETE CASCADE,
    host TEXT,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX server_group_members_host ON server_group_members (group_id, host);
CREATE TABLE server_groups (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    name TEXT NOT NULL,
    policy TEXT NOT NULL,
    max_per_host INTEGER,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX server_groups_project ON server_groups (project_id, created_at, id);
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
CREATE INDEX servers_changed ON servers (project_id, updated_at);
CREATE INDEX servers_gone ON servers (deleted_at, id) WHERE deleted_at IS NOT NULL;
CREATE INDEX servers_live ON servers (created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX servers_live_host ON servers (host, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX servers_live_project ON servers (project_id, created_at, id) WHERE deleted_at IS NULL;
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
, controller TEXT, down_reason TEXT) STRICT;
CREATE TABLE subnets (
    id TEXT NOT NULL PRIMARY KEY,
    network_id TEXT NOT NULL REFERENCES networks (id),
    project_id TEXT NOT NULL,
    name TEXT NOT NULL,
    revision INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX subnets_network ON subnets (network_id);
CREATE INDEX subnets_project ON subnets (project_id);
