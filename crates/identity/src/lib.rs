//! Keystone v3: tokens, users, projects, roles, catalog.
