//! Security groups and their rules.

use super::{Where, bodies};
use crate::{Error, Result, Tx, Value, params};
use model::network::{SecurityGroup, SecurityGroupRule};
use uuid::Uuid;

/// Adds a group; false if it is a default group and the project has one.
pub fn insert(tx: &mut Tx, g: &SecurityGroup) -> Result<bool> {
    let default_of = g.is_default.then_some(&g.project_id);
    let rows = tx.execute(
        "INSERT INTO security_groups (id, project_id, name, default_of, revision, created_at, body) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
        params![g.id, &g.project_id, &g.name, default_of, g.revision, g.created_at, Value::json(g)?],
    )?;
    Ok(rows == 1)
}

/// One group.
pub fn get(tx: &mut Tx, id: Uuid) -> Result<Option<SecurityGroup>> {
    tx.query_one("SELECT id, body FROM security_groups WHERE id = $1", params![id])?.map(|r| r.json("body")).transpose()
}

/// A project's default group.
pub fn default_of(tx: &mut Tx, project: &str) -> Result<Option<SecurityGroup>> {
    tx.query_one("SELECT id, body FROM security_groups WHERE default_of = $1", params![project])?
        .map(|r| r.json("body"))
        .transpose()
}

/// What to look for; an empty list is no condition.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Ids.
    pub ids: Vec<Uuid>,
    /// Names.
    pub names: Vec<String>,
    /// Owners.
    pub projects: Vec<String>,
}

/// Groups by age.
pub fn list(tx: &mut Tx, f: &Filter) -> Result<Vec<SecurityGroup>> {
    let mut w = Where::default();
    w.among("id", &f.ids);
    w.among("name", &f.names);
    w.among("project_id", &f.projects);
    let sql = format!("SELECT id, body FROM security_groups{} ORDER BY created_at, id", w.sql());
    bodies(tx, "security_groups", &sql, &w.params)
}

/// Writes a changed group whose revision was `g.revision`; the stored one is one higher.
pub fn update(tx: &mut Tx, g: &mut SecurityGroup) -> Result<()> {
    let seen = g.revision;
    g.revision += 1;
    let rows = tx.execute(
        "UPDATE security_groups SET name = $3, revision = $4, body = $5 WHERE id = $1 AND revision = $2",
        params![g.id, seen, &g.name, g.revision, Value::json(g)?],
    )?;
    if rows == 1 { Ok(()) } else { Err(Error::Busy) }
}

/// Has any port this group?
pub fn in_use(tx: &mut Tx, id: Uuid) -> Result<bool> {
    Ok(!tx.query("SELECT port_id FROM port_security_groups WHERE group_id = $1 LIMIT 1", params![id])?.is_empty())
}

/// Removes a group with its rules and the rules that name it as remote; no port may have it.
pub fn delete(tx: &mut Tx, id: Uuid) -> Result<bool> {
    Ok(tx.execute("DELETE FROM security_groups WHERE id = $1", params![id])? == 1)
}

/// Adds a rule; false if the group has one that allows the same.
pub fn insert_rule(tx: &mut Tx, r: &SecurityGroupRule) -> Result<bool> {
    let rows = tx.execute(
        "INSERT INTO security_group_rules (id, group_id, remote_group_id, project_id, mark, created_at, body) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
        params![
            r.id,
            r.security_group_id,
            r.remote_group_id,
            &r.project_id,
            r.mark(),
            r.created_at,
            Value::json(r)?
        ],
    )?;
    Ok(rows == 1)
}

/// The rule of a group that allows the same as `r`.
pub fn same_rule(tx: &mut Tx, r: &SecurityGroupRule) -> Result<Option<SecurityGroupRule>> {
    tx.query_one(
        "SELECT id, body FROM security_group_rules WHERE group_id = $1 AND mark = $2",
        params![r.security_group_id, r.mark()],
    )?
    .map(|r| r.json("body"))
    .transpose()
}

/// One rule.
pub fn get_rule(tx: &mut Tx, id: Uuid) -> Result<Option<SecurityGroupRule>> {
    tx.query_one("SELECT id, body FROM security_group_rules WHERE id = $1", params![id])?.map(|r| r.json("body")).transpose()
}

/// The rules of groups, by age.
pub fn rules_of(tx: &mut Tx, groups: &[Uuid]) -> Result<Vec<SecurityGroupRule>> {
    if groups.is_empty() {
        return Ok(Vec::new());
    }
    let mut w = Where::default();
    w.among("group_id", groups);
    let sql = format!("SELECT id, body FROM security_group_rules{} ORDER BY created_at, id", w.sql());
    bodies(tx, "security_group_rules", &sql, &w.params)
}

/// All rules, or those of groups of a project.
pub fn rules(tx: &mut Tx, project: Option<&str>, groups: &[Uuid]) -> Result<Vec<SecurityGroupRule>> {
    let mut w = Where::default();
    if let Some(p) = project {
        w.with("project_id = ?", p);
    }
    w.among("group_id", groups);
    let sql = format!("SELECT id, body FROM security_group_rules{} ORDER BY created_at, id", w.sql());
    bodies(tx, "security_group_rules", &sql, &w.params)
}

/// How many rules each project has that would go with the group: its own, and those that name it as remote.
pub fn rules_going_with(tx: &mut Tx, group: Uuid) -> Result<Vec<(String, i64)>> {
    tx.query(
        "SELECT project_id, COUNT(*) AS n FROM security_group_rules WHERE group_id = $1 OR remote_group_id = $1 \
         GROUP BY project_id ORDER BY project_id",
        params![group],
    )?
    .iter()
    .map(|r| Ok((r.get("project_id")?, r.get("n")?)))
    .collect()
}

/// Groups whose rules name `group` as remote.
pub fn naming(tx: &mut Tx, group: Uuid) -> Result<Vec<Uuid>> {
    tx.records(
        "security_group_rules",
        "SELECT DISTINCT group_id FROM security_group_rules WHERE remote_group_id = $1 ORDER BY group_id",
        params![group],
        |r| r.get("group_id"),
    )
}

/// Removes a rule.
pub fn delete_rule(tx: &mut Tx, id: Uuid) -> Result<bool> {
    Ok(tx.execute("DELETE FROM security_group_rules WHERE id = $1", params![id])? == 1)
}
