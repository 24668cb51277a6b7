//! Rows of the identity service: all are read at once, changes are written one by one, and a revision says
//! whether somebody else wrote meanwhile. Never judges a change: uniqueness is the only rule kept here.

use crate::damage::same;
use crate::{Error, Result, Row, Tx, Value, params};
use driver_api::Timestamp;
use model::Secret;
use model::identity::{
    Actor, AppCredential, CatalogService, Change, Domain, Endpoint, Grant, Group, Project, Region, RevokedToken, Role, SigningKey,
    Target, User,
};
use serde::Serialize;

/// The revision of what is stored.
pub fn revision(tx: &mut Tx) -> Result<u64> {
    let row = tx.query_one("SELECT revision FROM identity_revision WHERE id = 1", &[])?;
    row.ok_or_else(|| Error::corrupt("identity_revision", "no row"))?.get("revision")
}

/// Begins the revision anew if it is lost or no count: at `now` in µs, which is above every revision there was (each
/// is a write), so that no token that was void is worth something again. True if it was so.
pub fn mend_revision(tx: &mut Tx, now: Timestamp) -> Result<bool> {
    let rows = tx.query("SELECT id, revision FROM identity_revision", &[])?;
    if rows.len() == 1 && rows.iter().all(|row| check_revision(row).is_ok()) {
        return Ok(false);
    }
    tx.execute("DELETE FROM identity_revision", &[])?;
    tx.execute("INSERT INTO identity_revision (id, revision) VALUES (1, $1)", params![now.0])?;
    tx.note(crate::changes::Topic::Identity, "");
    Ok(true)
}

/// For [`crate::damage`].
pub(crate) fn check_revision(row: &Row) -> Result<()> {
    same(row, "id", 1_i64)?;
    crate::damage::whole(row, &["revision"])
}

/// Raises the revision if it still is `expected`; false if somebody else changed the directory.
pub fn advance(tx: &mut Tx, expected: u64) -> Result<bool> {
    let sql = "UPDATE identity_revision SET revision = revision + 1 WHERE id = 1 AND revision = $1";
    let advanced = tx.execute(sql, params![expected])? == 1;
    if advanced {
        tx.note(crate::changes::Topic::Identity, "");
    }
    Ok(advanced)
}

/// All that is stored, as the changes that lead to it. A damaged row is left out; a damaged revocation stays in force.
pub fn load(tx: &mut Tx) -> Result<(u64, Vec<Change>)> {
    let mut all = Vec::new();
    bodies(tx, "identity_domains", Change::PutDomain, check_domain, &mut all)?;
    bodies(tx, "identity_projects", Change::PutProject, check_project, &mut all)?;
    bodies(tx, "identity_users", Change::PutUser, check_user, &mut all)?;
    bodies(tx, "identity_groups", Change::PutGroup, check_group, &mut all)?;
    bodies(tx, "identity_roles", Change::PutRole, check_role, &mut all)?;
    bodies(tx, "identity_app_credentials", Change::PutAppCredential, check_app_credential, &mut all)?;
    let catalog = "SELECT kind, id, body FROM identity_catalog ORDER BY \
                   CASE kind WHEN 'region' THEN 0 WHEN 'service' THEN 1 ELSE 2 END, id";
    all.extend(tx.records("identity_catalog", catalog, &[], read_catalog)?);
    let members = "SELECT group_id, user_id FROM identity_members ORDER BY group_id, user_id";
    all.extend(tx.records("identity_members", members, &[], read_join)?);
    let implied = "SELECT prior_id, implied_id FROM identity_implied_roles ORDER BY prior_id, implied_id";
    all.extend(tx.records("identity_implied_roles", implied, &[], read_imply)?);
    let grants = "SELECT actor_kind, actor_id, target_kind, target_id, role_id, inherited FROM identity_grants";
    all.extend(tx.records("identity_grants", grants, &[], |row| read_grant(row).map(Change::Grant))?);
    for row in tx.query("SELECT audit_id, descendants, expires_at FROM identity_revoked_tokens", &[])? {
        match read_revoked(&row) {
            Ok(token) => all.push(Change::Revoke(token)),
            Err(Error::Corrupt { what, detail }) => {
                tx.tell("identity_revoked_tokens", &row, &what, &detail);
                if let Ok(audit_id) = row.get("audit_id") {
                    all.push(Change::Revoke(RevokedToken { audit_id, descendants: true, expires_at: Timestamp(i64::MAX) }));
                }
            }
            Err(other) => return Err(other),
        }
    }
    let keys = "SELECT id, created_at, secret FROM identity_signing_keys ORDER BY created_at, id";
    all.extend(tx.records("identity_signing_keys", keys, &[], |row| read_key(row).map(Change::PutKey))?);
    Ok((revision(tx)?, all))
}

pub(crate) fn read_join(row: &Row) -> Result<Change> {
    Ok(Change::Join { group: row.get("group_id")?, user: row.get("user_id")? })
}

pub(crate) fn read_imply(row: &Row) -> Result<Change> {
    Ok(Change::Imply { prior: row.get("prior_id")?, implied: row.get("implied_id")? })
}

pub(crate) fn read_revoked(row: &Row) -> Result<RevokedToken> {
    crate::damage::time(row, "expires_at")?;
    Ok(RevokedToken {
        audit_id: row.get("audit_id")?,
        descendants: row.get("descendants")?,
        expires_at: row.get("expires_at")?,
    })
}

pub(crate) fn read_key(row: &Row) -> Result<SigningKey> {
    let secret: Vec<u8> = row.get("secret")?;
    if secret.len() < 16 {
        return Err(Error::corrupt("column secret", "no key"));
    }
    // Every token carries the id.
    if !(1..=64).contains(&row.text("id")?.len()) {
        return Err(Error::corrupt("column id", "no id of a key"));
    }
    crate::damage::word(row, &["id"])?;
    crate::damage::time(row, "created_at")?;
    Ok(SigningKey { id: row.get("id")?, created_at: row.get("created_at")?, secret: Secret::new(secret) })
}

fn read_catalog(row: &Row) -> Result<Change> {
    let (id, change) = match row.text("kind")? {
        "region" => row.json::<Region>("body").map(|v| (v.id.clone(), Change::PutRegion(v))),
        "service" => row.json::<CatalogService>("body").map(|v| (v.id.clone(), Change::PutService(v))),
        "endpoint" => row.json::<Endpoint>("body").map(|v| (v.id.clone(), Change::PutEndpoint(v))),
        _ => Err(Error::corrupt("column kind", "no part of a catalog")),
    }?;
    same(row, "id", &id)?;
    Ok(change)
}

/// For [`crate::damage`].
pub(crate) fn check_catalog(row: &Row) -> Result<()> {
    read_catalog(row).map(drop)
}

/// For [`crate::damage`].
pub(crate) fn check_domain(row: &Row) -> Result<()> {
    let v: Domain = row.json("body")?;
    same(row, "id", &v.id)?;
    same(row, "name", &v.name)
}

macro_rules! check_owned {
    ($($name:ident: $record:ty, $owner:literal = |$v:ident| $value:expr;)+) => { $(
        /// For [`crate::damage`].
        pub(crate) fn $name(row: &Row) -> Result<()> {
            let $v: $record = row.json("body")?;
            same(row, "id", &$v.id)?;
            same(row, $owner, $value)?;
            same(row, "name", &$v.name)
        }
    )+ };
}

check_owned! {
    check_project: Project, "domain_id" = |v| &v.domain_id;
    check_user: User, "domain_id" = |v| &v.domain_id;
    check_group: Group, "domain_id" = |v| &v.domain_id;
    check_role: Role, "domain_id" = |v| v.domain_id.as_deref().unwrap_or_default();
    check_app_credential: AppCredential, "user_id" = |v| &v.user_id;
}

/// Writes one change. Putting what is there replaces it, dropping what is not there does nothing.
pub fn apply(tx: &mut Tx, change: &Change) -> Result<()> {
    match change {
        Change::PutDomain(v) => {
            let sql = "INSERT INTO identity_domains (id, name, body) VALUES ($1, $2, $3) \
                       ON CONFLICT (id) DO UPDATE SET name = excluded.name, body = excluded.body";
            tx.execute(sql, params![&v.id, &v.name, Value::json(v)?])?;
        }
        Change::PutProject(v) => put(tx, "identity_projects", "domain_id", [&v.id, &v.domain_id, &v.name], v)?,
        Change::PutUser(v) => put(tx, "identity_users", "domain_id", [&v.id, &v.domain_id, &v.name], v)?,
        Change::PutGroup(v) => put(tx, "identity_groups", "domain_id", [&v.id, &v.domain_id, &v.name], v)?,
        Change::PutRole(v) => {
            let domain = v.domain_id.as_deref().unwrap_or_default();
            put(tx, "identity_roles", "domain_id", [&v.id, domain, &v.name], v)?;
        }
        Change::PutAppCredential(v) => {
            put(tx, "identity_app_credentials", "user_id", [&v.id, &v.user_id, &v.name], v)?;
        }
        Change::PutService(v) => put_catalog(tx, "service", &v.id, v)?,
        Change::PutEndpoint(v) => put_catalog(tx, "endpoint", &v.id, v)?,
        Change::PutRegion(v) => put_catalog(tx, "region", &v.id, v)?,
        Change::DropDomain(id) => drop_row(tx, "DELETE FROM identity_domains WHERE id = $1", params![id])?,
        Change::DropProject(id) => drop_row(tx, "DELETE FROM identity_projects WHERE id = $1", params![id])?,
        Change::DropUser(id) => drop_row(tx, "DELETE FROM identity_users WHERE id = $1", params![id])?,
        Change::DropGroup(id) => drop_row(tx, "DELETE FROM identity_groups WHERE id = $1", params![id])?,
        Change::DropRole(id) => drop_row(tx, "DELETE FROM identity_roles WHERE id = $1", params![id])?,
        Change::DropAppCredential(id) => {
            drop_row(tx, "DELETE FROM identity_app_credentials WHERE id = $1", params![id])?;
        }
        Change::DropService(id) => drop_catalog(tx, "service", id)?,
        Change::DropEndpoint(id) => drop_catalog(tx, "endpoint", id)?,
        Change::DropRegion(id) => drop_catalog(tx, "region", id)?,
        other => apply_relation(tx, other)?,
    }
    Ok(())
}

/// The changes of rows that are nothing but keys.
fn apply_relation(tx: &mut Tx, change: &Change) -> Result<()> {
    match change {
        Change::Join { group, user } => {
            let sql = "INSERT INTO identity_members (group_id, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING";
            tx.execute(sql, params![group, user])?;
        }
        Change::Leave { group, user } => {
            let sql = "DELETE FROM identity_members WHERE group_id = $1 AND user_id = $2";
            drop_row(tx, sql, params![group, user])?;
        }
        Change::Imply { prior, implied } => {
            let sql =
                "INSERT INTO identity_implied_roles (prior_id, implied_id) VALUES ($1, $2) ON CONFLICT DO NOTHING";
            tx.execute(sql, params![prior, implied])?;
        }
        Change::Unimply { prior, implied } => {
            let sql = "DELETE FROM identity_implied_roles WHERE prior_id = $1 AND implied_id = $2";
            drop_row(tx, sql, params![prior, implied])?;
        }
        Change::Grant(grant) => {
            let sql = "INSERT INTO identity_grants (actor_kind, actor_id, target_kind, target_id, role_id, inherited) \
                       VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
            tx.execute(sql, &grant_key(grant))?;
        }
        Change::Ungrant(grant) => {
            let sql = "DELETE FROM identity_grants WHERE actor_kind = $1 AND actor_id = $2 AND target_kind = $3 \
                       AND target_id = $4 AND role_id = $5 AND inherited = $6";
            drop_row(tx, sql, &grant_key(grant))?;
        }
        Change::Revoke(token) => {
            let sql = "INSERT INTO identity_revoked_tokens (audit_id, descendants, expires_at) VALUES ($1, $2, $3) \
                       ON CONFLICT (audit_id) DO UPDATE SET descendants = excluded.descendants";
            tx.execute(sql, params![&token.audit_id, token.descendants, token.expires_at])?;
        }
        Change::ForgetRevoked(before) => {
            drop_row(tx, "DELETE FROM identity_revoked_tokens WHERE expires_at < $1", params![*before])?;
        }
        Change::PutKey(key) => {
            let sql = "INSERT INTO identity_signing_keys (id, created_at, secret) VALUES ($1, $2, $3)";
            tx.execute(sql, params![&key.id, key.created_at, key.secret.reveal()])?;
        }
        Change::DropKey(id) => drop_row(tx, "DELETE FROM identity_signing_keys WHERE id = $1", params![id])?,
        _ => return Err(Error::corrupt("identity change", "an entity was given where a relation belongs")),
    }
    Ok(())
}

/// The entities of a table. One whose row contradicts itself is left out too: half a user is nobody's.
fn bodies<T: serde::de::DeserializeOwned>(
    tx: &mut Tx,
    table: &'static str,
    make: impl Fn(T) -> Change,
    check: fn(&Row) -> Result<()>,
    all: &mut Vec<Change>,
) -> Result<()> {
    all.extend(tx.records(table, &format!("SELECT * FROM {table} ORDER BY id"), &[], |row| {
        check(row)?;
        row.json("body").map(&make)
    })?);
    Ok(())
}

/// `table` and `owner` are names of ours; what comes from outside is bound.
fn put<T: Serialize>(tx: &mut Tx, table: &str, owner: &str, [id, owner_id, name]: [&str; 3], body: &T) -> Result<()> {
    let sql = format!(
        "INSERT INTO {table} (id, {owner}, name, body) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO UPDATE \
         SET {owner} = excluded.{owner}, name = excluded.name, body = excluded.body"
    );
    tx.execute(&sql, params![id, owner_id, name, Value::json(body)?]).map(drop)
}

fn put_catalog<T: Serialize>(tx: &mut Tx, kind: &str, id: &str, body: &T) -> Result<()> {
    let sql = "INSERT INTO identity_catalog (kind, id, body) VALUES ($1, $2, $3) \
               ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body";
    tx.execute(sql, params![kind, id, Value::json(body)?]).map(drop)
}

fn drop_catalog(tx: &mut Tx, kind: &str, id: &str) -> Result<()> {
    drop_row(tx, "DELETE FROM identity_catalog WHERE kind = $1 AND id = $2", params![kind, id])
}

fn drop_row(tx: &mut Tx, sql: &str, params: &[Value]) -> Result<()> {
    tx.execute(sql, params).map(drop)
}

fn grant_key(grant: &Grant) -> [Value; 6] {
    let (actor_kind, actor) = match &grant.actor {
        Actor::User(id) => ("user", id.as_str()),
        Actor::Group(id) => ("group", id.as_str()),
    };
    let (target_kind, target) = match &grant.target {
        Target::Project(id) => ("project", id.as_str()),
        Target::Domain(id) => ("domain", id.as_str()),
        Target::System => ("system", ""),
    };
    [
        actor_kind.into(),
        actor.into(),
        target_kind.into(),
        target.into(),
        grant.role_id.as_str().into(),
        grant.inherited.into(),
    ]
}

pub(crate) fn read_grant(row: &Row) -> Result<Grant> {
    let (actor, target): (String, String) = (row.get("actor_id")?, row.get("target_id")?);
    let actor = match row.text("actor_kind")? {
        "user" => Actor::User(actor),
        "group" => Actor::Group(actor),
        _ => return Err(Error::corrupt("column actor_kind", "no kind of actor")),
    };
    let target = match row.text("target_kind")? {
        "project" => Target::Project(target),
        "domain" => Target::Domain(target),
        "system" => Target::System,
        _ => return Err(Error::corrupt("column target_kind", "no kind of target")),
    };
    Ok(Grant { actor, target, role_id: row.get("role_id")?, inherited: row.get("inherited")? })
}

/// How many revocations are kept (for tests and status).
pub fn revoked_count(tx: &mut Tx) -> Result<u64> {
    let row = tx.query_one("SELECT COUNT(*) AS n FROM identity_revoked_tokens", &[])?;
    row.ok_or_else(|| Error::corrupt("count", "no row"))?.get("n")
}

#[cfg(test)]
#[path = "identity/tests.rs"]
mod tests;
