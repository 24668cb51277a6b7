//! The first domain, roles, project and user, and others a server seeds: made where missing, never changed where there,
//! so that a restart takes nothing back that an administrator did.

use crate::directory::Directory;
use crate::{Error, Identity};
use model::Secret;
use model::identity::{Actor, Change, Domain, Grant, Project, Role, Target, User};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Id of the first domain, as the original has it.
pub(crate) const DEFAULT_DOMAIN: &str = "default";
/// Roles of every cloud, each implying the next (`service` stands alone).
pub(crate) const LADDER: [&str; 4] = ["admin", "manager", "member", "reader"];

/// What a seeding made or found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seed {
    /// User.
    pub user_id: String,
    /// Its project.
    pub project_id: String,
}

fn immutable() -> Map<String, Value> {
    Map::from_iter([("immutable".to_owned(), json!(true))])
}

impl Identity {
    /// Makes what every cloud has: domain `default`, the roles, project and user `admin` with role admin in the
    /// project, the domain and the system. An existing user keeps its password.
    /// # Errors
    /// The database's.
    pub async fn bootstrap(&self, admin_password: &Secret<String>) -> Result<Seed, Error> {
        let role_ids: Vec<String> = (0..5).map(|_| self.env().hex_id()).collect();
        self.change(move |d| Ok((plan_base(d, &role_ids), ()))).await?;
        let seed = self.ensure_user("admin", admin_password, "admin", &["admin"]).await?;
        let user = Actor::User(seed.user_id.clone());
        self.change(move |d| {
            let role = d.role_named(None, "admin").ok_or_else(|| Error::not_found("role", "admin"))?;
            let targets = [Target::Domain(DEFAULT_DOMAIN.into()), Target::System];
            let wanted = targets.map(|t| grant(&user, t, &role.id));
            Ok((wanted.into_iter().filter(|g| !d.has_grant(g)).map(Change::Grant).collect(), ()))
        })
        .await?;
        Ok(seed)
    }

    /// Makes a project of the first domain, and a user with these roles in it. A user that exists is left alone, with
    /// its password and its roles.
    /// # Errors
    /// The database's; 404 for an unknown role.
    pub async fn ensure_user(
        &self,
        name: &str,
        password: &Secret<String>,
        project: &str,
        roles: &[&str],
    ) -> Result<Seed, Error> {
        let known = self.directory().user_named(DEFAULT_DOMAIN, name).is_some();
        let hash = if known { None } else { Some(self.passwords().hash(password.reveal(), &self.env().random).await?) };
        let fresh = Seed { user_id: self.env().hex_id(), project_id: self.env().hex_id() };
        let (name, project) = (name.to_owned(), project.to_owned());
        let roles: BTreeSet<String> = roles.iter().map(|r| (*r).to_owned()).collect();
        self.change(move |d| plan_user(d, &fresh, &name, hash.as_ref(), &project, &roles)).await
    }

    /// Gives a user of the first domain a new password, for an administrator who forgot it. Its tokens are void.
    /// # Errors
    /// 404, or the database's.
    pub async fn reset_password(&self, name: &str, password: &Secret<String>) -> Result<(), Error> {
        let hash = self.passwords().hash(password.reveal(), &self.env().random).await?;
        let name = name.to_owned();
        self.change(move |d| {
            let user = d.user_named(DEFAULT_DOMAIN, &name).ok_or_else(|| Error::not_found("user", &name))?;
            let token_floor = d.revision + 1;
            let user = User { password: Some(hash.clone()), enabled: true, token_floor, ..user.clone() };
            Ok((vec![Change::PutUser(user)], ()))
        })
        .await
    }
}

fn grant(actor: &Actor, target: Target, role: &str) -> Grant {
    Grant { actor: actor.clone(), target, role_id: role.to_owned(), inherited: false }
}

fn plan_base(d: &Directory, role_ids: &[String]) -> Vec<Change> {
    let mut changes = Vec::new();
    if !d.domains.contains_key(DEFAULT_DOMAIN) {
        changes.push(Change::PutDomain(Domain {
            id: DEFAULT_DOMAIN.into(),
            name: "Default".into(),
            description: "The default domain".into(),
            enabled: true,
            token_floor: 0,
            options: Map::new(),
            extra: Map::new(),
        }));
    }
    let mut ids = Vec::new();
    let mut fresh = false;
    for (name, id) in LADDER.into_iter().chain(["service"]).zip(role_ids) {
        if let Some(role) = d.role_named(None, name) {
            ids.push(role.id.clone());
            continue;
        }
        fresh = true;
        ids.push(id.clone());
        let (id, name) = (id.clone(), name.to_owned());
        changes.push(Change::PutRole(Role {
            id,
            domain_id: None,
            name,
            description: None,
            options: immutable(),
            extra: Map::new(),
        }));
    }
    // Only together with new roles: an implication an administrator took away does not come back.
    if fresh {
        let steps = ids.windows(2).take(LADDER.len() - 1);
        changes.extend(steps.map(|pair| Change::Imply { prior: pair[0].clone(), implied: pair[1].clone() }));
    }
    changes
}

fn plan_user(
    d: &Directory,
    fresh: &Seed,
    name: &str,
    hash: Option<&Secret<String>>,
    project: &str,
    roles: &BTreeSet<String>,
) -> Result<(Vec<Change>, Seed), Error> {
    let mut changes = Vec::new();
    let mut seed = fresh.clone();
    match d.project_named(DEFAULT_DOMAIN, project) {
        Some(found) => seed.project_id = found.id.clone(),
        None => changes.push(Change::PutProject(Project {
            id: seed.project_id.clone(),
            domain_id: DEFAULT_DOMAIN.into(),
            parent_id: None,
            name: project.to_owned(),
            description: String::new(),
            enabled: true,
            tags: BTreeSet::new(),
            token_floor: 0,
            options: Map::new(),
            extra: Map::new(),
        })),
    }
    if let Some(found) = d.user_named(DEFAULT_DOMAIN, name) {
        seed.user_id = found.id.clone();
        return Ok((changes, seed));
    }
    let hash = hash.ok_or(Error::Busy)?;
    changes.push(Change::PutUser(User {
        id: seed.user_id.clone(),
        domain_id: DEFAULT_DOMAIN.into(),
        name: name.to_owned(),
        enabled: true,
        password: Some(hash.clone()),
        default_project_id: Some(seed.project_id.clone()),
        token_floor: 0,
        options: Map::new(),
        extra: Map::new(),
    }));
    for role in roles {
        let role = d.role_named(None, role).ok_or_else(|| Error::not_found("role", role))?;
        let actor = Actor::User(seed.user_id.clone());
        changes.push(Change::Grant(grant(&actor, Target::Project(seed.project_id.clone()), &role.id)));
    }
    Ok((changes, seed))
}
