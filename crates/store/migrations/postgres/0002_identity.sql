-- The identity service: memory holds all of it and searches there; rows are what is durable and unique.
-- Every unit that changes rows raises identity_revision, which other controllers watch.
CREATE TABLE identity_revision (
    id       BIGINT NOT NULL PRIMARY KEY,
    revision BIGINT NOT NULL
);
INSERT INTO identity_revision (id, revision) VALUES (1, 0);

CREATE TABLE identity_domains (
    id   TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    body TEXT NOT NULL
);

CREATE TABLE identity_projects (
    id        TEXT NOT NULL PRIMARY KEY,
    domain_id TEXT NOT NULL,
    name      TEXT NOT NULL,
    body      TEXT NOT NULL,
    UNIQUE (domain_id, name)
);

CREATE TABLE identity_users (
    id        TEXT NOT NULL PRIMARY KEY,
    domain_id TEXT NOT NULL,
    name      TEXT NOT NULL,
    body      TEXT NOT NULL,
    UNIQUE (domain_id, name)
);

CREATE TABLE identity_groups (
    id        TEXT NOT NULL PRIMARY KEY,
    domain_id TEXT NOT NULL,
    name      TEXT NOT NULL,
    body      TEXT NOT NULL,
    UNIQUE (domain_id, name)
);

CREATE TABLE identity_members (
    group_id TEXT NOT NULL,
    user_id  TEXT NOT NULL,
    PRIMARY KEY (group_id, user_id)
);

-- domain_id is '' for a role of the whole cloud.
CREATE TABLE identity_roles (
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

-- actor_kind: user, group; target_kind: project, domain, system (target_id '').
CREATE TABLE identity_grants (
    actor_kind  TEXT NOT NULL,
    actor_id    TEXT NOT NULL,
    target_kind TEXT NOT NULL,
    target_id   TEXT NOT NULL,
    role_id     TEXT NOT NULL,
    inherited   BIGINT NOT NULL,
    PRIMARY KEY (actor_kind, actor_id, target_kind, target_id, role_id, inherited)
);

CREATE TABLE identity_app_credentials (
    id      TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL,
    name    TEXT NOT NULL,
    body    TEXT NOT NULL,
    UNIQUE (user_id, name)
);

-- kind: service, endpoint, region.
CREATE TABLE identity_catalog (
    kind TEXT NOT NULL,
    id   TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, id)
);

CREATE TABLE identity_revoked_tokens (
    audit_id    TEXT NOT NULL PRIMARY KEY,
    descendants BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL
);

CREATE TABLE identity_signing_keys (
    id         TEXT NOT NULL PRIMARY KEY,
    created_at BIGINT NOT NULL,
    secret     BYTEA NOT NULL
);
