//! Who acts, and what of the network service's policy depends on the object: its owner, or its network's.

use crate::{Error, Result};
use model::Context;
use model::network::{Network, Port, SecurityGroup, Subnet};

/// The caller, as far as ownership goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// Project of the token; empty for tokens of no project.
    pub project_id: String,
    /// Role admin.
    pub admin: bool,
    /// Role member: may change what is the project's.
    pub member: bool,
}

impl From<&Context> for Who {
    fn from(c: &Context) -> Who {
        let member = c.is_admin() || c.has("member");
        Who { project_id: c.project_id().to_owned(), admin: c.is_admin(), member }
    }
}

impl Who {
    /// The platform itself.
    pub fn platform() -> Who {
        Who { project_id: String::new(), admin: true, member: true }
    }
    /// Owns objects of `project`.
    pub fn owns(&self, project: &str) -> bool {
        self.admin || (!self.project_id.is_empty() && self.project_id == project)
    }
    /// May see the network.
    pub fn sees_network(&self, n: &Network) -> bool {
        self.owns(&n.project_id) || n.shared || n.external
    }
    /// May see the subnet of a network.
    pub fn sees_subnet(&self, s: &Subnet, n: &Network) -> bool {
        self.owns(&s.project_id) || n.shared
    }
    /// May see the port of a network.
    pub fn sees_port(&self, p: &Port, n: &Network) -> bool {
        self.owns(&p.project_id) || self.owns(&n.project_id)
    }
    /// May see the group.
    pub fn sees_group(&self, g: &SecurityGroup) -> bool {
        self.owns(&g.project_id)
    }
    /// Refuses what only administrators may.
    pub fn admin_for(&self, policy: &str) -> Result<()> {
        if self.admin { Ok(()) } else { Err(forbidden(policy)) }
    }
    /// Refuses what only the network's owner may: what would let a tenant pose as another on a shared network.
    pub fn network_owner_for(&self, n: &Network, policy: &str) -> Result<()> {
        if self.owns(&n.project_id) { Ok(()) } else { Err(forbidden(policy)) }
    }
}

pub(crate) fn forbidden(policy: &str) -> Error {
    Error::Forbidden(format!("rule:{policy} is disallowed by policy"))
}
