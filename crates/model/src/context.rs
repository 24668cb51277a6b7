//! Who asks: the caller of a request, as the token says.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a token is scoped to (Keystone v3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// One project.
    Project {
        /// The project.
        id: String,
        /// Its name.
        name: String,
        /// Its domain.
        domain_id: String,
    },
    /// One domain.
    Domain {
        /// The domain.
        id: String,
    },
    /// The whole system.
    System,
    /// Nothing: only identity itself may be used.
    Unscoped,
}

/// The caller of one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    /// The user.
    pub user_id: String,
    /// The user's name.
    pub user_name: String,
    /// The user's domain.
    pub user_domain_id: String,
    /// What the token is for.
    pub scope: Scope,
    /// Role names, implied ones included, lower case.
    pub roles: BTreeSet<String>,
    /// `req-<uuid>`: identity of the request, in logs, answers and instance actions.
    pub request_id: String,
    /// `X-OpenStack-Request-ID` given by the client, if it has the right form.
    pub global_request_id: Option<String>,
}

impl Context {
    /// The project the token is for; empty if it is for none.
    pub fn project_id(&self) -> &str {
        match &self.scope {
            Scope::Project { id, .. } => id,
            _ => "",
        }
    }
    /// Has the role, itself or by implication.
    pub fn has(&self, role: &str) -> bool {
        self.roles.contains(role)
    }
    /// The cloud's administrator: role `admin` in any scope but unscoped, as Nova's legacy admin rule has it.
    pub fn is_admin(&self) -> bool {
        self.has("admin") && self.scope != Scope::Unscoped
    }
    /// A caller for the platform's own work (seeding, reconcilers). Never made from a request.
    pub fn platform(request_id: impl Into<String>) -> Context {
        Context {
            user_id: "kilonova".into(),
            user_name: "kilonova".into(),
            user_domain_id: "default".into(),
            scope: Scope::System,
            roles: ["admin", "manager", "member", "reader"].into_iter().map(String::from).collect(),
            request_id: request_id.into(),
            global_request_id: None,
        }
    }
}
