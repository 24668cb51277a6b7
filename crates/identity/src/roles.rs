//! Which roles somebody holds somewhere: direct, through groups, inherited from above, implied by others. Pure.

use crate::directory::Directory;
use model::identity::{Actor, Grant, Project, Target};
use std::collections::BTreeSet;

impl Directory {
    /// The assignments that give a user anything, its own and its groups'.
    pub fn grants_reaching(&self, user: &str) -> Vec<&Grant> {
        let mut found: Vec<&Grant> = self.grants_of(&Actor::User(user.to_owned())).collect();
        for group in self.groups_of(user) {
            found.extend(self.grants_of(&Actor::Group(group.id.clone())));
        }
        found
    }

    /// Does this assignment hold at the target (directly, or inherited from above it)?
    pub fn reaches(&self, grant: &Grant, target: &Target) -> bool {
        if !grant.inherited {
            return grant.target == *target;
        }
        let Target::Project(id) = target else { return false };
        let Some(project) = self.projects.get(id) else { return false };
        match &grant.target {
            Target::Domain(domain) => project.domain_id == *domain,
            Target::Project(above) => self.ancestors(project).iter().any(|p| p.id == *above),
            Target::System => false,
        }
    }

    /// Role ids with all that they imply.
    pub fn with_implied(&self, roles: impl IntoIterator<Item = String>) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut open: Vec<String> = roles.into_iter().collect();
        while let Some(role) = open.pop() {
            if let Some(implied) = self.implied.get(&role) {
                open.extend(implied.iter().filter(|r| !found.contains(*r)).cloned());
            }
            found.insert(role);
        }
        found
    }

    /// Ids of the roles a user holds at a target, implied ones included. A domain's own roles are left out: they only
    /// imply.
    pub fn roles_at(&self, user: &str, target: &Target) -> BTreeSet<String> {
        let direct =
            self.grants_reaching(user).into_iter().filter(|g| self.reaches(g, target)).map(|g| g.role_id.clone());
        let mut all = self.with_implied(direct);
        all.retain(|id| self.roles.get(id).is_some_and(|r| r.domain_id.is_none()));
        all
    }

    /// Projects in which a user holds anything, by id.
    pub fn projects_of(&self, user: &str) -> Vec<&Project> {
        let mut ids = BTreeSet::new();
        for grant in self.grants_reaching(user) {
            match (&grant.target, grant.inherited) {
                (Target::Project(id), false) => drop(ids.insert(id.as_str())),
                (Target::Project(id), true) => ids.extend(self.subtree(id).into_iter().map(|p| p.id.as_str())),
                (Target::Domain(id), true) => {
                    ids.extend(self.projects.values().filter(|p| p.domain_id == *id).map(|p| p.id.as_str()));
                }
                (Target::Domain(_), false) | (Target::System, _) => {}
            }
        }
        ids.into_iter().filter_map(|id| self.projects.get(id)).collect()
    }

    /// Ids of the domains in which a user holds anything.
    pub fn domains_of(&self, user: &str) -> BTreeSet<&str> {
        let held = self.grants_reaching(user).into_iter().filter(|g| !g.inherited);
        held.filter_map(|g| match &g.target {
            Target::Domain(id) => Some(id.as_str()),
            _ => None,
        })
        .collect()
    }
}
