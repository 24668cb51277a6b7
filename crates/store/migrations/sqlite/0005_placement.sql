-- Placement: resource providers, what they have, and who holds it.

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
CREATE INDEX resource_providers_root ON resource_providers (root);
CREATE INDEX resource_providers_host ON resource_providers (host);
CREATE INDEX resource_providers_parent ON resource_providers (parent);

-- capacity = floor((total - reserved) * allocation_ratio), kept by every writer; `used` only by guarded updates.
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

-- Traits and classes beyond the standard ones, which are part of the program.
CREATE TABLE custom_traits (
    name TEXT NOT NULL PRIMARY KEY,
    created_at INTEGER NOT NULL
) STRICT;
CREATE TABLE custom_classes (
    name TEXT NOT NULL PRIMARY KEY,
    created_at INTEGER NOT NULL
) STRICT;

-- reported = 1: the host says so and may take it back; 0: an operator set it through the API.
CREATE TABLE provider_traits (
    provider TEXT NOT NULL REFERENCES resource_providers (id) ON DELETE CASCADE,
    trait TEXT NOT NULL,
    reported INTEGER NOT NULL,
    PRIMARY KEY (provider, trait)
) STRICT;
CREATE INDEX provider_traits_trait ON provider_traits (trait);

CREATE TABLE provider_aggregates (
    provider TEXT NOT NULL REFERENCES resource_providers (id) ON DELETE CASCADE,
    aggregate TEXT NOT NULL,
    PRIMARY KEY (provider, aggregate)
) STRICT;

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

CREATE TABLE allocations (
    consumer TEXT NOT NULL REFERENCES consumers (id),
    provider TEXT NOT NULL REFERENCES resource_providers (id),
    class TEXT NOT NULL,
    used INTEGER NOT NULL,
    PRIMARY KEY (consumer, provider, class)
) STRICT;
CREATE INDEX allocations_provider ON allocations (provider, class);
