//! What a token is worth right now: judged against the directory at every use, so that whatever is disabled, removed or
//! revoked works at once and nothing has to be forgotten. Pure: memory, a token and the time.

use crate::directory::Directory;
use crate::token::{Token, TokenScope};
use model::identity::{Domain, Project, Role, Target, User};
use model::{Context, Scope, Timestamp};
use std::collections::BTreeSet;
use web::TokenFault;

/// A token that holds, with what it means.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The token.
    pub token: Token,
    /// Its user.
    pub user: User,
    /// Its project, if it is for one.
    pub project: Option<Project>,
    /// Its domain, if it is for one.
    pub domain: Option<Domain>,
    /// Roles, implied ones included, by id.
    pub roles: Vec<Role>,
}

impl Directory {
    /// Reads and judges the string a client sent.
    /// # Errors
    /// Why it is not accepted.
    pub fn admit(&self, text: &str, now: Timestamp) -> Result<Standing, TokenFault> {
        let key = |id: &str| self.keys.iter().find(|k| k.id == id);
        let token = Token::verify(text, key).ok_or(TokenFault::Invalid)?;
        if token.expires_at <= now {
            return Err(TokenFault::Expired);
        }
        self.judge(token, now)
    }

    /// Judges a token whose signature and life are right.
    /// # Errors
    /// [`TokenFault::Invalid`] if anything it rests on is gone.
    pub fn judge(&self, token: Token, now: Timestamp) -> Result<Standing, TokenFault> {
        if self.is_revoked(&token) {
            return Err(TokenFault::Invalid);
        }
        let user = self.live_user(&token.user_id).filter(|u| u.token_floor <= token.revision);
        let user = user.ok_or(TokenFault::Invalid)?.clone();
        let home = self.domains.get(&user.domain_id).ok_or(TokenFault::Invalid)?;
        if home.token_floor > token.revision {
            return Err(TokenFault::Invalid);
        }
        let (mut project, mut domain) = (None, None);
        let target = match &token.scope {
            TokenScope::Unscoped => None,
            TokenScope::System => Some(Target::System),
            TokenScope::Domain(id) => {
                let found = self.domains.get(id).filter(|d| d.enabled && d.token_floor <= token.revision);
                domain = Some(found.ok_or(TokenFault::Invalid)?.clone());
                Some(Target::Domain(id.clone()))
            }
            TokenScope::Project(id) => {
                let found = self.live_project(id).ok_or(TokenFault::Invalid)?;
                let owner = self.domains.get(&found.domain_id).ok_or(TokenFault::Invalid)?;
                if found.token_floor.max(owner.token_floor) > token.revision {
                    return Err(TokenFault::Invalid);
                }
                project = Some(found.clone());
                Some(Target::Project(id.clone()))
            }
        };
        let roles = match target {
            None => Vec::new(),
            Some(target) => {
                let ids = self.token_roles(&token, &target, now)?;
                ids.iter().filter_map(|id| self.roles.get(id)).cloned().collect()
            }
        };
        Ok(Standing { token, user, project, domain, roles })
    }

    /// Ids of the roles of a scoped token; none is no scope.
    fn token_roles(&self, token: &Token, target: &Target, now: Timestamp) -> Result<BTreeSet<String>, TokenFault> {
        let mut ids = self.roles_at(&token.user_id, target);
        if let Some(id) = &token.app_credential_id {
            let credential = self.app_credentials.get(id).ok_or(TokenFault::Invalid)?;
            if credential.expires_at.is_some_and(|at| at <= now) {
                return Err(TokenFault::Invalid);
            }
            let given = self.with_implied(credential.roles.iter().filter(|r| ids.contains(*r)).cloned());
            ids.retain(|r| given.contains(r));
        }
        if ids.is_empty() { Err(TokenFault::Invalid) } else { Ok(ids) }
    }

    fn is_revoked(&self, token: &Token) -> bool {
        let chain = self.revoked.get(token.chain_id()).is_some_and(|r| r.descendants);
        chain || self.revoked.contains_key(token.audit_id())
    }

    /// A user who may act: enabled, as is the domain.
    pub fn live_user(&self, id: &str) -> Option<&User> {
        let user = self.users.get(id).filter(|u| u.enabled)?;
        self.domains.get(&user.domain_id).filter(|d| d.enabled).map(|_| user)
    }

    /// A project that may be a scope: enabled, as is the domain.
    pub fn live_project(&self, id: &str) -> Option<&Project> {
        let project = self.projects.get(id).filter(|p| p.enabled)?;
        self.domains.get(&project.domain_id).filter(|d| d.enabled).map(|_| project)
    }
}

impl Standing {
    /// The caller that all doors see.
    pub fn context(&self, request_id: &str) -> Context {
        let scope = match (&self.token.scope, &self.project) {
            (TokenScope::Project(_), Some(p)) => {
                Scope::Project { id: p.id.clone(), name: p.name.clone(), domain_id: p.domain_id.clone() }
            }
            (TokenScope::Domain(id), _) => Scope::Domain { id: id.clone() },
            (TokenScope::System, _) => Scope::System,
            _ => Scope::Unscoped,
        };
        Context {
            user_id: self.user.id.clone(),
            user_name: self.user.name.clone(),
            user_domain_id: self.user.domain_id.clone(),
            scope,
            roles: self.roles.iter().map(|r| r.name.to_lowercase()).collect(),
            request_id: request_id.to_owned(),
            global_request_id: None,
        }
    }
}
