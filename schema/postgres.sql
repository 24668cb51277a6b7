-- Generated from the migrations; see crates/store/tests/schema.rs. Not run by anything.

CREATE TABLE aggregates (
    id bigint NOT NULL,
    uuid text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    hosts text NOT NULL,
    metadata text NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint,
    PRIMARY KEY (id),
    UNIQUE (name),
    UNIQUE (uuid)
);
CREATE TABLE allocations (
    consumer text NOT NULL,
    provider text NOT NULL,
    class text NOT NULL,
    used bigint NOT NULL,
    FOREIGN KEY (consumer) REFERENCES consumers(id),
    FOREIGN KEY (provider) REFERENCES resource_providers(id),
    PRIMARY KEY (consumer, provider, class)
);
CREATE TABLE changes (
    seq bigint NOT NULL,
    xid bigint NOT NULL,
    topic text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (seq)
);
CREATE TABLE consumers (
    id text NOT NULL,
    generation bigint NOT NULL,
    project_id text NOT NULL,
    user_id text NOT NULL,
    kind text,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE controllers (
    name text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,
    beat bigint NOT NULL,
    ended bigint NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (name)
);
CREATE TABLE counters (
    name text COLLATE "C" NOT NULL,
    value bigint NOT NULL,
    PRIMARY KEY (name)
);
CREATE TABLE custom_classes (
    name text NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (name)
);
CREATE TABLE custom_traits (
    name text NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (name)
);
CREATE TABLE flavors (
    id text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    vcpus bigint NOT NULL,
    memory_mib bigint NOT NULL,
    root_gib bigint NOT NULL,
    ephemeral_gib bigint NOT NULL,
    swap_mib bigint NOT NULL,
    rxtx_factor double precision NOT NULL,
    is_public bigint NOT NULL,
    disabled bigint NOT NULL,
    description text,
    access text NOT NULL,
    extra_specs text NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (name)
);
CREATE TABLE flows (
    id text COLLATE "C" NOT NULL,
    action text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    server_id text COLLATE "C" NOT NULL,
    project_id text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    request_id text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    input text NOT NULL,
    steps text NOT NULL,
    journal text NOT NULL,
    message text,
    owner text COLLATE "C" NOT NULL,
    lease_until bigint NOT NULL,
    cancel bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE host_vteps (
    host text NOT NULL,
    vtep text NOT NULL,
    PRIMARY KEY (host)
);
CREATE TABLE identity_app_credentials (
    id text NOT NULL,
    user_id text NOT NULL,
    name text NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (user_id, name)
);
CREATE TABLE identity_catalog (
    kind text NOT NULL,
    id text NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE TABLE identity_domains (
    id text NOT NULL,
    name text NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (name)
);
CREATE TABLE identity_grants (
    actor_kind text NOT NULL,
    actor_id text NOT NULL,
    target_kind text NOT NULL,
    target_id text NOT NULL,
    role_id text NOT NULL,
    inherited bigint NOT NULL,
    PRIMARY KEY (actor_kind, actor_id, target_kind, target_id, role_id, inherited)
);
CREATE TABLE identity_groups (
    id text NOT NULL,
    domain_id text NOT NULL,
    name text NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (domain_id, name)
);
CREATE TABLE identity_implied_roles (
    prior_id text NOT NULL,
    implied_id text NOT NULL,
    PRIMARY KEY (prior_id, implied_id)
);
CREATE TABLE identity_members (
    group_id text NOT NULL,
    user_id text NOT NULL,
    PRIMARY KEY (group_id, user_id)
);
CREATE TABLE identity_projects (
    id text NOT NULL,
    domain_id text NOT NULL,
    name text NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (domain_id, name)
);
CREATE TABLE identity_revision (
    id bigint NOT NULL,
    revision bigint NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE identity_revoked_tokens (
    audit_id text NOT NULL,
    descendants bigint NOT NULL,
    expires_at bigint NOT NULL,
    PRIMARY KEY (audit_id)
);
CREATE TABLE identity_roles (
    id text NOT NULL,
    domain_id text NOT NULL,
    name text NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (domain_id, name)
);
CREATE TABLE identity_signing_keys (
    id text NOT NULL,
    created_at bigint NOT NULL,
    secret bytea NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE identity_users (
    id text NOT NULL,
    domain_id text NOT NULL,
    name text NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (domain_id, name)
);
CREATE TABLE image_members (
    image_id text NOT NULL,
    member text NOT NULL,
    status text NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    FOREIGN KEY (image_id) REFERENCES images(id) ON DELETE CASCADE,
    PRIMARY KEY (image_id, member)
);
CREATE TABLE image_properties (
    image_id text NOT NULL,
    name text NOT NULL,
    value text NOT NULL,
    FOREIGN KEY (image_id) REFERENCES images(id) ON DELETE CASCADE,
    PRIMARY KEY (image_id, name)
);
CREATE TABLE image_tags (
    image_id text NOT NULL,
    tag text NOT NULL,
    FOREIGN KEY (image_id) REFERENCES images(id) ON DELETE CASCADE,
    PRIMARY KEY (image_id, tag)
);
CREATE TABLE image_tombstones (
    id text NOT NULL,
    deleted_at bigint NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE images (
    id text NOT NULL,
    name text COLLATE "C",
    owner text,
    status text COLLATE "C" NOT NULL,
    visibility text NOT NULL,
    container_format text COLLATE "C",
    disk_format text COLLATE "C",
    size bigint,
    virtual_size bigint,
    checksum text,
    os_hash_algo text,
    os_hash_value text,
    min_disk bigint NOT NULL,
    min_ram bigint NOT NULL,
    protected bigint NOT NULL,
    os_hidden bigint NOT NULL,
    writer text,
    body text NOT NULL,
    revision bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE inventories (
    provider text NOT NULL,
    class text NOT NULL,
    total bigint NOT NULL,
    reserved bigint NOT NULL,
    min_unit bigint NOT NULL,
    max_unit bigint NOT NULL,
    step_size bigint NOT NULL,
    allocation_ratio double precision NOT NULL,
    capacity bigint NOT NULL,
    used bigint NOT NULL,
    CHECK ((used >= 0)),
    FOREIGN KEY (provider) REFERENCES resource_providers(id) ON DELETE CASCADE,
    PRIMARY KEY (provider, class)
);
CREATE TABLE ip_allocations (
    subnet_id text NOT NULL,
    ip text NOT NULL,
    port_id text NOT NULL,
    FOREIGN KEY (subnet_id) REFERENCES subnets(id),
    PRIMARY KEY (subnet_id, ip)
);
CREATE TABLE keypairs (
    user_id text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    fingerprint text COLLATE "C" NOT NULL,
    public_key text NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (user_id, name)
);
CREATE TABLE network_segments (
    kind text NOT NULL,
    tag text NOT NULL,
    network_id text NOT NULL,
    FOREIGN KEY (network_id) REFERENCES networks(id) ON DELETE CASCADE,
    PRIMARY KEY (kind, tag)
);
CREATE TABLE networks (
    id text NOT NULL,
    project_id text NOT NULL,
    name text NOT NULL,
    shared bigint NOT NULL,
    external bigint NOT NULL,
    revision bigint NOT NULL,
    created_at bigint NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE port_security_groups (
    port_id text NOT NULL,
    group_id text NOT NULL,
    FOREIGN KEY (group_id) REFERENCES security_groups(id),
    FOREIGN KEY (port_id) REFERENCES ports(id) ON DELETE CASCADE,
    PRIMARY KEY (port_id, group_id)
);
CREATE TABLE ports (
    id text NOT NULL,
    network_id text NOT NULL,
    project_id text NOT NULL,
    name text NOT NULL,
    mac text NOT NULL,
    device_id text NOT NULL,
    device_owner text NOT NULL,
    host text,
    revision bigint NOT NULL,
    created_at bigint NOT NULL,
    body text NOT NULL,
    FOREIGN KEY (network_id) REFERENCES networks(id),
    PRIMARY KEY (id),
    UNIQUE (network_id, mac)
);
CREATE TABLE provider_aggregates (
    provider text NOT NULL,
    aggregate text NOT NULL,
    FOREIGN KEY (provider) REFERENCES resource_providers(id) ON DELETE CASCADE,
    PRIMARY KEY (provider, aggregate)
);
CREATE TABLE provider_traits (
    provider text NOT NULL,
    trait text NOT NULL,
    reported bigint NOT NULL,
    FOREIGN KEY (provider) REFERENCES resource_providers(id) ON DELETE CASCADE,
    PRIMARY KEY (provider, trait)
);
CREATE TABLE quotas (
    project_id text COLLATE "C" NOT NULL,
    resource text COLLATE "C" NOT NULL,
    hard_limit bigint,
    used bigint NOT NULL,
    PRIMARY KEY (project_id, resource)
);
CREATE TABLE resource_providers (
    id text NOT NULL,
    name text NOT NULL,
    generation bigint NOT NULL,
    parent text,
    root text NOT NULL,
    host text,
    node text,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    FOREIGN KEY (parent) REFERENCES resource_providers(id),
    PRIMARY KEY (id),
    UNIQUE (name)
);
CREATE TABLE schema_migrations (
    version bigint NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    PRIMARY KEY (version)
);
CREATE TABLE secrets (
    name text COLLATE "C" NOT NULL,
    value bytea NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (name)
);
CREATE TABLE security_group_rules (
    id text NOT NULL,
    group_id text NOT NULL,
    remote_group_id text,
    project_id text NOT NULL,
    mark text NOT NULL,
    created_at bigint NOT NULL,
    body text NOT NULL,
    FOREIGN KEY (group_id) REFERENCES security_groups(id) ON DELETE CASCADE,
    FOREIGN KEY (remote_group_id) REFERENCES security_groups(id) ON DELETE CASCADE,
    PRIMARY KEY (id),
    UNIQUE (group_id, mark)
);
CREATE TABLE security_groups (
    id text NOT NULL,
    project_id text NOT NULL,
    name text NOT NULL,
    default_of text,
    revision bigint NOT NULL,
    created_at bigint NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (default_of)
);
CREATE TABLE server_group_members (
    server_id text COLLATE "C" NOT NULL,
    group_id text COLLATE "C" NOT NULL,
    host text COLLATE "C",
    created_at bigint NOT NULL,
    FOREIGN KEY (group_id) REFERENCES server_groups(id) ON DELETE CASCADE,
    PRIMARY KEY (server_id)
);
CREATE TABLE server_groups (
    id text COLLATE "C" NOT NULL,
    project_id text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    policy text COLLATE "C" NOT NULL,
    max_per_host bigint,
    created_at bigint NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE servers (
    id text COLLATE "C" NOT NULL,
    project_id text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    vm_state text COLLATE "C" NOT NULL,
    power_state bigint NOT NULL,
    action text COLLATE "C",
    flow_id text COLLATE "C",
    host text COLLATE "C",
    node text COLLATE "C",
    zone text COLLATE "C",
    generation bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    launched_at bigint,
    deleted_at bigint,
    locked_by text COLLATE "C",
    flavor_id text COLLATE "C" NOT NULL,
    image_id text COLLATE "C",
    key_name text COLLATE "C",
    vcpus bigint NOT NULL,
    memory_mib bigint NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE services (
    id text COLLATE "C" NOT NULL,
    number bigint NOT NULL,
    host text COLLATE "C" NOT NULL,
    driver text COLLATE "C" NOT NULL,
    disabled bigint NOT NULL,
    disabled_reason text,
    forced_down bigint NOT NULL,
    facets text NOT NULL,
    traits text NOT NULL,
    nodes text NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    controller text COLLATE "C",
    down_reason text,
    PRIMARY KEY (id),
    UNIQUE (host),
    UNIQUE (number)
);
CREATE TABLE subnets (
    id text NOT NULL,
    network_id text NOT NULL,
    project_id text NOT NULL,
    name text NOT NULL,
    revision bigint NOT NULL,
    created_at bigint NOT NULL,
    body text NOT NULL,
    FOREIGN KEY (network_id) REFERENCES networks(id),
    PRIMARY KEY (id)
);
CREATE INDEX allocations_provider ON allocations USING btree (provider, class);
CREATE INDEX changes_created ON changes USING btree (created_at);
CREATE INDEX changes_xid ON changes USING btree (xid, seq);
CREATE INDEX consumers_project ON consumers USING btree (project_id, user_id);
CREATE INDEX flows_server ON flows USING btree (server_id, created_at, id);
CREATE INDEX flows_unfinished ON flows USING btree (lease_until, id) WHERE (state = ANY (ARRAY['running'::text, 'unwinding'::text]));
CREATE INDEX image_members_member ON image_members USING btree (member);
CREATE INDEX image_tags_tag ON image_tags USING btree (tag);
CREATE INDEX images_created ON images USING btree (created_at, id);
CREATE INDEX images_name ON images USING btree (name);
CREATE INDEX images_owner ON images USING btree (owner);
CREATE INDEX images_visibility ON images USING btree (visibility);
CREATE INDEX ip_allocations_port ON ip_allocations USING btree (port_id);
CREATE INDEX network_segments_network ON network_segments USING btree (network_id);
CREATE INDEX networks_project ON networks USING btree (project_id);
CREATE INDEX port_security_groups_group ON port_security_groups USING btree (group_id);
CREATE INDEX ports_device ON ports USING btree (device_id);
CREATE INDEX ports_network_host ON ports USING btree (network_id, host);
CREATE INDEX ports_project ON ports USING btree (project_id);
CREATE INDEX provider_traits_trait ON provider_traits USING btree (trait);
CREATE INDEX resource_providers_host ON resource_providers USING btree (host);
CREATE INDEX resource_providers_parent ON resource_providers USING btree (parent);
CREATE INDEX resource_providers_root ON resource_providers USING btree (root);
CREATE INDEX security_group_rules_project ON security_group_rules USING btree (project_id);
CREATE INDEX security_group_rules_remote ON security_group_rules USING btree (remote_group_id);
CREATE INDEX security_groups_project ON security_groups USING btree (project_id);
CREATE INDEX server_group_members_host ON server_group_members USING btree (group_id, host);
CREATE INDEX server_groups_project ON server_groups USING btree (project_id, created_at, id);
CREATE INDEX servers_changed ON servers USING btree (project_id, updated_at);
CREATE INDEX servers_gone ON servers USING btree (deleted_at, id) WHERE (deleted_at IS NOT NULL);
CREATE INDEX servers_live ON servers USING btree (created_at, id) WHERE (deleted_at IS NULL);
CREATE INDEX servers_live_host ON servers USING btree (host, created_at, id) WHERE (deleted_at IS NULL);
CREATE INDEX servers_live_project ON servers USING btree (project_id, created_at, id) WHERE (deleted_at IS NULL);
CREATE INDEX subnets_network ON subnets USING btree (network_id);
CREATE INDEX subnets_project ON subnets USING btree (project_id);
