//! What goes with a thing that is deleted, and what its deletion is refused for. Pure plans over the directory.

use crate::Error;
use crate::directory::Directory;
use model::identity::{Actor, Change, Grant, Target};
use serde_json::{Map, Value};

/// Refuses to change what is marked immutable, unless the change takes exactly that mark away.
/// # Errors
/// 403.
pub(crate) fn mutable(what: &str, id: &str, options: &Map<String, Value>, verb: &str) -> Result<(), Error> {
    if options.get("immutable") == Some(&Value::Bool(true)) {
        return Err(Error::Forbidden(format!(
            "{verb} immutable {what} {id}: set its option \"immutable\" to false first"
        )));
    }
    Ok(())
}

fn ungrant_where(d: &Directory, gone: impl Fn(&Grant) -> bool) -> Vec<Change> {
    d.grants().filter(|g| gone(g)).cloned().map(Change::Ungrant).collect()
}

/// A user with its memberships, assignments and application credentials.
pub(crate) fn drop_user(d: &Directory, id: &str) -> Vec<Change> {
    let actor = Actor::User(id.to_owned());
    let mut changes: Vec<Change> = d.grants_of(&actor).cloned().map(Change::Ungrant).collect();
    changes.extend(d.groups_of(id).map(|g| Change::Leave { group: g.id.clone(), user: id.to_owned() }));
    changes.extend(d.app_credentials_of(id).map(|c| Change::DropAppCredential(c.id.clone())));
    changes.push(Change::DropUser(id.to_owned()));
    changes
}

/// A group with its memberships and assignments.
pub(crate) fn drop_group(d: &Directory, id: &str) -> Vec<Change> {
    let actor = Actor::Group(id.to_owned());
    let mut changes: Vec<Change> = d.grants_of(&actor).cloned().map(Change::Ungrant).collect();
    changes.extend(d.members_of(id).map(|u| Change::Leave { group: id.to_owned(), user: u.id.clone() }));
    changes.push(Change::DropGroup(id.to_owned()));
    changes
}

/// A project with its assignments and application credentials; users lose it as their default.
pub(crate) fn drop_project(d: &Directory, id: &str) -> Vec<Change> {
    let target = Target::Project(id.to_owned());
    let mut changes = ungrant_where(d, |g| g.target == target);
    let credentials = d.app_credentials.values().filter(|c| c.project_id == id);
    changes.extend(credentials.map(|c| Change::DropAppCredential(c.id.clone())));
    let users = d.users.values().filter(|u| u.default_project_id.as_deref() == Some(id));
    changes.extend(users.cloned().map(|mut u| {
        u.default_project_id = None;
        Change::PutUser(u)
    }));
    changes.push(Change::DropProject(id.to_owned()));
    changes
}

/// A role with its assignments, its implications and its place in application credentials.
pub(crate) fn drop_role(d: &Directory, id: &str) -> Vec<Change> {
    let mut changes = ungrant_where(d, |g| g.role_id == id);
    for (prior, all) in &d.implied {
        let gone = all.iter().filter(|implied| prior == id || *implied == id);
        changes.extend(gone.map(|implied| Change::Unimply { prior: prior.clone(), implied: implied.clone() }));
    }
    for credential in d.app_credentials.values().filter(|c| c.roles.contains(id)) {
        let mut left = credential.clone();
        left.roles.remove(id);
        // One without a role could never log in again.
        let change =
            if left.roles.is_empty() { Change::DropAppCredential(left.id) } else { Change::PutAppCredential(left) };
        changes.push(change);
    }
    changes.push(Change::DropRole(id.to_owned()));
    changes
}

/// A domain with all that it owns.
pub(crate) fn drop_domain(d: &Directory, id: &str) -> Vec<Change> {
    let mut changes = Vec::new();
    for user in d.users.values().filter(|u| u.domain_id == id) {
        changes.extend(drop_user(d, &user.id));
    }
    for group in d.groups.values().filter(|g| g.domain_id == id) {
        changes.extend(drop_group(d, &group.id));
    }
    for project in d.projects.values().filter(|p| p.domain_id == id) {
        // Users of this domain are gone already: dropping its projects must not put them back.
        let back = |c: &Change| matches!(c, Change::PutUser(u) if u.domain_id == id);
        changes.extend(drop_project(d, &project.id).into_iter().filter(|c| !back(c)));
    }
    for role in d.roles.values().filter(|r| r.domain_id.as_deref() == Some(id)) {
        let back = |c: &Change| matches!(c, Change::PutAppCredential(_));
        changes.extend(drop_role(d, &role.id).into_iter().filter(|c| !back(c)));
    }
    let target = Target::Domain(id.to_owned());
    changes.extend(ungrant_where(d, |g| g.target == target));
    changes.push(Change::DropDomain(id.to_owned()));
    changes
}
