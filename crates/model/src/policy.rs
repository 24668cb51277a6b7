//! Who may call what: the rules that routes name, as a pure function.
//!
//! A route names its policy (the original's name) and one of these rules; the rule is checked twice: before the
//! handler for what the token alone tells, and in the handler against the owner of the object it touches.
//! Source of the defaults: Nova's "secure RBAC" rules (`nova/policies/base.py`).

use crate::Context;

/// A rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Without a token (version documents, login).
    Anyone,
    /// Any valid token, unscoped ones included.
    Authenticated,
    /// `reader` in the project that owns the object, or admin.
    ProjectReader,
    /// `member` in the project that owns the object, or admin.
    ProjectMember,
    /// `manager` in the project that owns the object, or admin.
    ProjectManager,
    /// Role `admin`.
    Admin,
    /// Role `service` (other services of the cloud), or admin.
    Service,
}

impl Rule {
    /// Word for the generated policy reference.
    pub fn as_str(self) -> &'static str {
        match self {
            Rule::Anyone => "anyone",
            Rule::Authenticated => "any token",
            Rule::ProjectReader => "project reader or admin",
            Rule::ProjectMember => "project member or admin",
            Rule::ProjectManager => "project manager or admin",
            Rule::Admin => "admin",
            Rule::Service => "service or admin",
        }
    }
    /// May this caller try at all? Ownership is not known yet.
    pub fn admits(self, caller: Option<&Context>) -> bool {
        let Some(c) = caller else { return self == Rule::Anyone };
        match self {
            Rule::Anyone | Rule::Authenticated => true,
            Rule::Admin => c.is_admin(),
            Rule::Service => c.has("service") || c.is_admin(),
            Rule::ProjectReader => c.is_admin() || (c.has("reader") && !c.project_id().is_empty()),
            Rule::ProjectMember => c.is_admin() || (c.has("member") && !c.project_id().is_empty()),
            Rule::ProjectManager => c.is_admin() || (c.has("manager") && !c.project_id().is_empty()),
        }
    }
    /// May this caller touch an object of `owner` (a project id)?
    pub fn allows(self, caller: &Context, owner: &str) -> bool {
        self.admits(Some(caller))
            && match self {
                Rule::ProjectReader | Rule::ProjectMember | Rule::ProjectManager => {
                    caller.is_admin() || caller.project_id() == owner
                }
                Rule::Anyone | Rule::Authenticated | Rule::Admin | Rule::Service => true,
            }
    }
}
