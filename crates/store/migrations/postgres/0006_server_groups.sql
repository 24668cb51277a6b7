-- Server groups and where their members are.

CREATE TABLE server_groups (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    project_id TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    policy TEXT COLLATE "C" NOT NULL,
    max_per_host BIGINT,
    created_at BIGINT NOT NULL
);
CREATE INDEX server_groups_project ON server_groups (project_id, created_at, id);

-- host: where the member has its claim. Set only while the group's row is held, by guarded updates.
CREATE TABLE server_group_members (
    server_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    group_id TEXT COLLATE "C" NOT NULL REFERENCES server_groups (id) ON DELETE CASCADE,
    host TEXT COLLATE "C",
    created_at BIGINT NOT NULL
);
CREATE INDEX server_group_members_host ON server_group_members (group_id, host);
