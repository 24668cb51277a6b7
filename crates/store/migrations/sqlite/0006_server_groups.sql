-- Server groups and where their members are.

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

-- host: where the member has its claim. Set only while the group's row is held, by guarded updates.
CREATE TABLE server_group_members (
    server_id TEXT NOT NULL PRIMARY KEY,
    group_id TEXT NOT NULL REFERENCES server_groups (id) ON DELETE CASCADE,
    host TEXT,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX server_group_members_host ON server_group_members (group_id, host);
