//! Quotas: what a project uses of each counted resource, changed by guarded updates in the unit that makes or
//! removes the thing, so that two requests can never both take the last one. Never counts rows to decide.

use crate::{Error, Result, Row, Tx, params};
use model::quota::{Resource, Usage};
use std::collections::BTreeMap;

/// A claim did not fit; the unit ends with this ([`Error::aborted_as`] gives it back).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("quota exceeded for {resource}: requested {requested}, but already used {used} of {limit}")]
pub struct Exceeded {
    /// Resource name.
    pub resource: String,
    /// How many were asked for.
    pub requested: i64,
    /// How many are used.
    pub used: i64,
    /// How many there may be.
    pub limit: i64,
}

/// Takes `amount` of each resource for `project`, all or nothing. Resources are taken and given back in the
/// order of their names, so that no two units wait for each other.
pub fn claim(tx: &mut Tx, project: &str, wanted: &[(&Resource, i64)]) -> Result<()> {
    for (resource, amount) in by_name(wanted) {
        if take(tx, project, resource, amount)? {
            continue;
        }
        // The row comes with the first use.
        tx.execute(
            "INSERT INTO quotas (project_id, resource, hard_limit, used) VALUES ($1, $2, NULL, 0) ON CONFLICT DO NOTHING",
            params![project, resource.name],
        )?;
        if !take(tx, project, resource, amount)? {
            let now = usage(tx, project, resource)?;
            let (resource, used, limit) = (now.resource, now.used, now.limit);
            return Err(Error::abort(Exceeded { resource, requested: amount, used, limit }));
        }
    }
    Ok(())
}

fn take(tx: &mut Tx, project: &str, resource: &Resource, amount: i64) -> Result<bool> {
    let rows = tx.execute(
        "UPDATE quotas SET used = used + $3 WHERE project_id = $1 AND resource = $2 \
         AND (COALESCE(hard_limit, $4) < 0 OR used + $3 <= COALESCE(hard_limit, $4))",
        params![project, resource.name, amount, resource.default],
    )?;
    Ok(rows == 1)
}

/// Gives back; never below zero.
pub fn release(tx: &mut Tx, project: &str, back: &[(&Resource, i64)]) -> Result<()> {
    for (resource, amount) in by_name(back) {
        tx.execute(
            "UPDATE quotas SET used = CASE WHEN used > $3 THEN used - $3 ELSE 0 END WHERE project_id = $1 AND resource = $2",
            params![project, resource.name, amount],
        )?;
    }
    Ok(())
}

fn by_name<'a>(amounts: &[(&'a Resource, i64)]) -> Vec<(&'a Resource, i64)> {
    let mut sums: BTreeMap<&str, (&Resource, i64)> = BTreeMap::new();
    for (resource, amount) in amounts {
        sums.entry(resource.name).or_insert((resource, 0)).1 += amount;
    }
    sums.into_values().collect()
}

/// Limit and use of one resource.
pub fn usage(tx: &mut Tx, project: &str, resource: &Resource) -> Result<Usage> {
    let row = tx.query_one(
        "SELECT hard_limit, used FROM quotas WHERE project_id = $1 AND resource = $2",
        params![project, resource.name],
    )?;
    let (limit, used) = match row {
        Some(row) => (row.get::<Option<i64>>("hard_limit")?, row.get("used")?),
        None => (None, 0),
    };
    Ok(Usage { resource: resource.name.to_owned(), limit: limit.unwrap_or(resource.default), used })
}

/// For [`crate::damage`].
pub(crate) fn check(row: &Row) -> Result<()> {
    let resource = row.text("resource")?;
    let known = model::quota::COMPUTE.iter().chain(model::quota::NETWORK).any(|r| r.name == resource);
    if !known {
        return Err(Error::corrupt("column resource", "no such resource"));
    }
    if row.get::<Option<i64>>("hard_limit")?.is_some_and(|limit| limit < -1) {
        return Err(Error::corrupt("column hard_limit", "no limit"));
    }
    crate::damage::word(row, &["project_id"])?;
    crate::damage::whole(row, &["used"])
}

/// What is counted as used anywhere: project, resource, use. For audits.
pub fn in_use(tx: &mut Tx) -> Result<Vec<(String, String, i64)>> {
    let sql = "SELECT project_id, resource, used FROM quotas WHERE used <> 0 ORDER BY project_id, resource";
    tx.query(sql, &[])?.iter().map(|row| Ok((row.get("project_id")?, row.get("resource")?, row.get("used")?))).collect()
}

/// Limit and use of each of `resources`, in their order.
pub fn usages(tx: &mut Tx, project: &str, resources: &[Resource]) -> Result<Vec<Usage>> {
    let mut known = BTreeMap::new();
    for row in tx.query("SELECT resource, hard_limit, used FROM quotas WHERE project_id = $1", params![project])? {
        known.insert(row.get::<String>("resource")?, (row.get::<Option<i64>>("hard_limit")?, row.get("used")?));
    }
    let all = resources.iter().map(|resource| {
        let (limit, used) = known.get(resource.name).copied().unwrap_or_default();
        Usage { resource: resource.name.to_owned(), limit: limit.unwrap_or(resource.default), used }
    });
    Ok(all.collect())
}

/// Sets the project's own limit; -1 is unlimited. It may lie below what is used: nothing more is given then.
pub fn set_limit(tx: &mut Tx, project: &str, resource: &Resource, limit: i64) -> Result<()> {
    tx.execute(
        "INSERT INTO quotas (project_id, resource, hard_limit, used) VALUES ($1, $2, $3, 0) \
         ON CONFLICT (project_id, resource) DO UPDATE SET hard_limit = EXCLUDED.hard_limit",
        params![project, resource.name, limit],
    )?;
    Ok(())
}

/// Forgets the project's own limits of `resources`: the defaults hold again. What is used stays.
pub fn reset_limits(tx: &mut Tx, project: &str, resources: &[Resource]) -> Result<()> {
    for (resource, _) in by_name(&resources.iter().map(|r| (r, 0)).collect::<Vec<_>>()) {
        tx.execute(
            "UPDATE quotas SET hard_limit = NULL WHERE project_id = $1 AND resource = $2",
            params![project, resource.name],
        )?;
    }
    Ok(())
}

/// Where the things of a counted resource are: what the network service and servers count.
fn counting(resource: &str) -> Option<&'static str> {
    Some(match resource {
        "instances" => "SELECT project_id, COUNT(*) AS n FROM servers WHERE deleted_at IS NULL GROUP BY project_id",
        "cores" => {
            "SELECT project_id, CAST(SUM(CASE WHEN vcpus BETWEEN 0 AND 1000000000 THEN vcpus ELSE 0 END) AS BIGINT) AS n \
             FROM servers WHERE deleted_at IS NULL GROUP BY project_id"
        }
        "ram" => {
            "SELECT project_id, CAST(SUM(CASE WHEN memory_mib BETWEEN 0 AND 1000000000000 THEN memory_mib ELSE 0 END) AS BIGINT) AS n \
             FROM servers WHERE deleted_at IS NULL GROUP BY project_id"
        }
        "server_groups" => "SELECT project_id, COUNT(*) AS n FROM server_groups GROUP BY project_id",
        "network" => "SELECT project_id, COUNT(*) AS n FROM networks GROUP BY project_id",
        "subnet" => "SELECT project_id, COUNT(*) AS n FROM subnets GROUP BY project_id",
        // The platform's own port on each network costs its project nothing.
        "port" => {
            "SELECT project_id, COUNT(*) AS n FROM ports \
             WHERE NOT (device_owner = 'network:dhcp' AND device_id LIKE 'dhcp-%') GROUP BY project_id"
        }
        "security_group" => "SELECT project_id, COUNT(*) AS n FROM security_groups GROUP BY project_id",
        "security_group_rule" => "SELECT project_id, COUNT(*) AS n FROM security_group_rules GROUP BY project_id",
        _ => return None,
    })
}

/// What is there of a resource, by project.
fn found(tx: &mut Tx, resource: &str) -> Result<BTreeMap<String, i64>> {
    let Some(sql) = counting(resource) else { return Ok(BTreeMap::new()) };
    let rows = tx.query(sql, &[])?;
    rows.iter().map(|row| Ok((row.get("project_id")?, row.get("n")?))).collect()
}

/// Where what is counted as used is not what is there: project, resource, counted, found. For audits.
pub fn differences(tx: &mut Tx) -> Result<Vec<(String, String, i64, i64)>> {
    let mut counted: BTreeMap<(String, String), i64> = BTreeMap::new();
    for (project, resource, used) in in_use(tx)? {
        counted.insert((resource, project), used);
    }
    let mut out = Vec::new();
    for resource in model::quota::COMPUTE.iter().chain(model::quota::NETWORK).filter(|r| counting(r.name).is_some()) {
        let mut found = found(tx, resource.name)?;
        for ((_, project), used) in counted.iter().filter(|((name, _), _)| name == resource.name) {
            let there = found.remove(project).unwrap_or(0);
            if there != *used {
                out.push((project.clone(), resource.name.to_owned(), *used, there));
            }
        }
        let uncounted = found.into_iter().filter(|(_, there)| *there != 0);
        out.extend(uncounted.map(|(project, there)| (project, resource.name.to_owned(), 0, there)));
    }
    out.sort();
    Ok(out)
}

/// Makes what is counted as used what is there, in one unit with what makes and removes things; the new count, if it
/// was another. For repairs.
pub fn recount(tx: &mut Tx, project: &str, resource: &str) -> Result<Option<i64>> {
    let there = found(tx, resource)?.get(project).copied().unwrap_or(0);
    let rows = tx.execute(
        "INSERT INTO quotas (project_id, resource, hard_limit, used) VALUES ($1, $2, NULL, $3) \
         ON CONFLICT (project_id, resource) DO UPDATE SET used = EXCLUDED.used WHERE quotas.used <> EXCLUDED.used",
        params![project, resource, there],
    )?;
    Ok((rows == 1).then_some(there))
}
