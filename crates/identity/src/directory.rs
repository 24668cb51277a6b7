//! The directory: every domain, project, user, role and assignment in memory, with the indexes that logins and checks
//! need. Changed only by [`Directory::apply`], after the same change is durable. Decides nothing about who may do what.

use model::identity::{
    Actor, AppCredential, CatalogService, Change, Domain, Endpoint, Grant, Group, Project, Region, RevokedToken, Role,
    SigningKey, User,
};
use std::collections::{BTreeMap, BTreeSet};

/// Role ids that each role implies directly.
type Implied = BTreeMap<String, BTreeSet<String>>;

/// The directory at one revision.
#[derive(Debug, Default)]
pub struct Directory {
    /// Number of units that led here.
    pub revision: u64,
    /// Domains.
    pub domains: BTreeMap<String, Domain>,
    /// Projects.
    pub projects: BTreeMap<String, Project>,
    /// Users.
    pub users: BTreeMap<String, User>,
    /// Groups.
    pub groups: BTreeMap<String, Group>,
    /// Roles.
    pub roles: BTreeMap<String, Role>,
    /// Application credentials.
    pub app_credentials: BTreeMap<String, AppCredential>,
    /// Services an administrator added.
    pub services: BTreeMap<String, CatalogService>,
    /// Endpoints an administrator added.
    pub endpoints: BTreeMap<String, Endpoint>,
    /// Regions an administrator added.
    pub regions: BTreeMap<String, Region>,
    /// Revoked tokens by audit id.
    pub revoked: BTreeMap<String, RevokedToken>,
    /// Signing keys, oldest first.
    pub keys: Vec<SigningKey>,
    /// Direct implications.
    pub implied: Implied,
    grants: BTreeMap<Actor, BTreeSet<Grant>>,
    domain_names: BTreeMap<String, String>,
    project_names: BTreeMap<(String, String), String>,
    user_names: BTreeMap<(String, String), String>,
    /// (user, group).
    memberships: BTreeSet<(String, String)>,
    /// (group, user).
    members: BTreeSet<(String, String)>,
    /// (parent, child).
    children: BTreeSet<(String, String)>,
    /// (user, application credential).
    credentials_of: BTreeSet<(String, String)>,
}

/// The second halves of the pairs whose first half is `first`.
fn seconds<'a>(pairs: &'a BTreeSet<(String, String)>, first: &'a str) -> impl Iterator<Item = &'a str> {
    pairs.range((first.to_owned(), String::new())..).take_while(move |(f, _)| f == first).map(|(_, s)| s.as_str())
}

impl Directory {
    /// What `changes` lead to, from nothing.
    pub fn from_changes(revision: u64, changes: Vec<Change>) -> Directory {
        let mut directory = Directory::default();
        directory.apply(changes, revision);
        directory
    }

    /// Takes over what is now durable.
    pub fn apply(&mut self, changes: Vec<Change>, revision: u64) {
        for change in changes {
            self.apply_one(change);
        }
        self.revision = revision;
    }

    fn apply_one(&mut self, change: Change) {
        match change {
            Change::PutDomain(v) => {
                if let Some(old) = self.domains.get(&v.id) {
                    self.domain_names.remove(&old.name);
                }
                self.domain_names.insert(v.name.clone(), v.id.clone());
                self.domains.insert(v.id.clone(), v);
            }
            Change::DropDomain(id) => {
                if let Some(old) = self.domains.remove(&id) {
                    self.domain_names.remove(&old.name);
                }
            }
            Change::PutProject(v) => {
                self.forget_project(&v.id);
                self.project_names.insert((v.domain_id.clone(), v.name.clone()), v.id.clone());
                if let Some(parent) = &v.parent_id {
                    self.children.insert((parent.clone(), v.id.clone()));
                }
                self.projects.insert(v.id.clone(), v);
            }
            Change::DropProject(id) => self.forget_project(&id),
            Change::PutUser(v) => {
                self.forget_user(&v.id);
                self.user_names.insert((v.domain_id.clone(), v.name.clone()), v.id.clone());
                self.users.insert(v.id.clone(), v);
            }
            Change::DropUser(id) => self.forget_user(&id),
            Change::PutAppCredential(v) => {
                self.credentials_of.insert((v.user_id.clone(), v.id.clone()));
                self.app_credentials.insert(v.id.clone(), v);
            }
            Change::DropAppCredential(id) => {
                if let Some(old) = self.app_credentials.remove(&id) {
                    self.credentials_of.remove(&(old.user_id, id));
                }
            }
            other => self.apply_plain(other),
        }
    }

    /// Changes of what has no index by name.
    fn apply_plain(&mut self, change: Change) {
        match change {
            Change::PutGroup(v) => drop(self.groups.insert(v.id.clone(), v)),
            Change::DropGroup(id) => drop(self.groups.remove(&id)),
            Change::Join { group, user } => {
                self.memberships.insert((user.clone(), group.clone()));
                self.members.insert((group, user));
            }
            Change::Leave { group, user } => {
                self.memberships.remove(&(user.clone(), group.clone()));
                self.members.remove(&(group, user));
            }
            Change::PutRole(v) => drop(self.roles.insert(v.id.clone(), v)),
            Change::DropRole(id) => drop(self.roles.remove(&id)),
            Change::Imply { prior, implied } => drop(self.implied.entry(prior).or_default().insert(implied)),
            Change::Unimply { prior, implied } => {
                if let Some(all) = self.implied.get_mut(&prior) {
                    all.remove(&implied);
                }
                self.implied.retain(|_, all| !all.is_empty());
            }
            Change::Grant(v) => drop(self.grants.entry(v.actor.clone()).or_default().insert(v)),
            Change::Ungrant(v) => {
                if let Some(all) = self.grants.get_mut(&v.actor) {
                    all.remove(&v);
                }
                self.grants.retain(|_, all| !all.is_empty());
            }
            Change::PutService(v) => drop(self.services.insert(v.id.clone(), v)),
            Change::DropService(id) => drop(self.services.remove(&id)),
            Change::PutEndpoint(v) => drop(self.endpoints.insert(v.id.clone(), v)),
            Change::DropEndpoint(id) => drop(self.endpoints.remove(&id)),
            Change::PutRegion(v) => drop(self.regions.insert(v.id.clone(), v)),
            Change::DropRegion(id) => drop(self.regions.remove(&id)),
            Change::Revoke(v) => drop(self.revoked.insert(v.audit_id.clone(), v)),
            Change::ForgetRevoked(before) => self.revoked.retain(|_, v| v.expires_at >= before),
            Change::PutKey(v) => {
                self.keys.push(v);
                self.keys.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
            }
            Change::DropKey(id) => self.keys.retain(|k| k.id != id),
            // The entities with indexes were handled by the caller.
            Change::PutDomain(_)
            | Change::DropDomain(_)
            | Change::PutProject(_)
            | Change::DropProject(_)
            | Change::PutUser(_)
            | Change::DropUser(_)
            | Change::PutAppCredential(_)
            | Change::DropAppCredential(_) => {}
        }
    }

    fn forget_project(&mut self, id: &str) {
        if let Some(old) = self.projects.remove(id) {
            if let Some(parent) = old.parent_id {
                self.children.remove(&(parent, old.id));
            }
            self.project_names.remove(&(old.domain_id, old.name));
        }
    }

    fn forget_user(&mut self, id: &str) {
        if let Some(old) = self.users.remove(id) {
            self.user_names.remove(&(old.domain_id, old.name));
        }
    }

    /// A domain by its name.
    pub fn domain_named(&self, name: &str) -> Option<&Domain> {
        self.domain_names.get(name).and_then(|id| self.domains.get(id))
    }
    /// A domain's name; its id if it is gone.
    pub fn domain_name<'a>(&'a self, id: &'a str) -> &'a str {
        self.domains.get(id).map_or(id, |d| d.name.as_str())
    }
    /// A project by its name.
    pub fn project_named(&self, domain_id: &str, name: &str) -> Option<&Project> {
        self.project_names.get(&(domain_id.to_owned(), name.to_owned())).and_then(|id| self.projects.get(id))
    }
    /// A user by its name.
    pub fn user_named(&self, domain_id: &str, name: &str) -> Option<&User> {
        self.user_names.get(&(domain_id.to_owned(), name.to_owned())).and_then(|id| self.users.get(id))
    }
    /// A group by its name.
    pub fn group_named(&self, domain_id: &str, name: &str) -> Option<&Group> {
        self.groups.values().find(|g| g.domain_id == domain_id && g.name == name)
    }
    /// A role by its name, of the cloud or of one domain.
    pub fn role_named(&self, domain_id: Option<&str>, name: &str) -> Option<&Role> {
        self.roles.values().find(|r| r.domain_id.as_deref() == domain_id && r.name == name)
    }
    /// Groups of a user.
    pub fn groups_of<'a>(&'a self, user: &'a str) -> impl Iterator<Item = &'a Group> {
        seconds(&self.memberships, user).filter_map(|id| self.groups.get(id))
    }
    /// Users of a group.
    pub fn members_of<'a>(&'a self, group: &'a str) -> impl Iterator<Item = &'a User> {
        seconds(&self.members, group).filter_map(|id| self.users.get(id))
    }
    /// Is the user in the group?
    pub fn is_member(&self, group: &str, user: &str) -> bool {
        self.members.contains(&(group.to_owned(), user.to_owned()))
    }
    /// Application credentials of a user.
    pub fn app_credentials_of<'a>(&'a self, user: &'a str) -> impl Iterator<Item = &'a AppCredential> {
        seconds(&self.credentials_of, user).filter_map(|id| self.app_credentials.get(id))
    }
    /// Projects right below a project.
    pub fn children_of<'a>(&'a self, project: &'a str) -> impl Iterator<Item = &'a Project> {
        seconds(&self.children, project).filter_map(|id| self.projects.get(id))
    }
    /// Projects above a project, nearest first.
    pub fn ancestors(&self, project: &Project) -> Vec<&Project> {
        let mut found = Vec::new();
        let mut next = project.parent_id.as_deref();
        while let Some(parent) = next.and_then(|id| self.projects.get(id)) {
            // Parents are older than their children and never change, so this ends; the bound is for damaged data.
            if found.len() > self.projects.len() {
                break;
            }
            found.push(parent);
            next = parent.parent_id.as_deref();
        }
        found
    }
    /// Everything below a project, parents before children.
    pub fn subtree(&self, project: &str) -> Vec<&Project> {
        let Some(root) = self.projects.get(project) else { return Vec::new() };
        let mut found: Vec<&Project> = self.children_of(&root.id).collect();
        let mut at = 0;
        while let Some(p) = found.get(at).copied() {
            found.extend(self.children_of(&p.id));
            at += 1;
        }
        found
    }
    /// Every assignment.
    pub fn grants(&self) -> impl Iterator<Item = &Grant> {
        self.grants.values().flatten()
    }
    /// Assignments of one actor.
    pub fn grants_of(&self, actor: &Actor) -> impl Iterator<Item = &Grant> + use<'_> {
        self.grants.get(actor).into_iter().flatten()
    }
    /// Is this assignment there?
    pub fn has_grant(&self, grant: &Grant) -> bool {
        self.grants.get(&grant.actor).is_some_and(|all| all.contains(grant))
    }
}
