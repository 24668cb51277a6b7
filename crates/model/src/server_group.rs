//! Server groups: servers that shall share a host, or shall not.

use driver_api::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What a group asks of its members' hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// All on one host, or not at all.
    Affinity,
    /// At most so many on one host, or not at all.
    AntiAffinity,
    /// Together where it can be.
    SoftAffinity,
    /// Apart where it can be.
    SoftAntiAffinity,
}

impl Policy {
    /// All of them, the hard ones first: the order in which they came into the API.
    pub const ALL: [Policy; 4] = [Policy::AntiAffinity, Policy::Affinity, Policy::SoftAntiAffinity, Policy::SoftAffinity];
    /// The API's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Policy::Affinity => "affinity",
            Policy::AntiAffinity => "anti-affinity",
            Policy::SoftAffinity => "soft-affinity",
            Policy::SoftAntiAffinity => "soft-anti-affinity",
        }
    }
    /// The policy of that word.
    pub fn parse(word: &str) -> Option<Policy> {
        Policy::ALL.into_iter().find(|p| p.as_str() == word)
    }
}

/// A group (table `server_groups`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerGroup {
    /// Identity.
    pub id: Uuid,
    /// Project.
    pub project_id: String,
    /// User who made it.
    pub user_id: String,
    /// Name; not unique.
    pub name: String,
    /// Policy.
    pub policy: Policy,
    /// `max_server_per_host`, of anti-affinity only; 1 where nothing is said.
    pub max_per_host: Option<i64>,
    /// Made at.
    pub created_at: Timestamp,
}

impl ServerGroup {
    /// May one more member go to a host, if `here` of them are on it and `elsewhere` on others?
    pub fn admits(&self, here: i64, elsewhere: i64) -> bool {
        match self.policy {
            Policy::Affinity => elsewhere == 0,
            Policy::AntiAffinity => here < self.max_per_host.unwrap_or(1),
            Policy::SoftAffinity | Policy::SoftAntiAffinity => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_rules() {
        for p in Policy::ALL {
            assert_eq!(Policy::parse(p.as_str()), Some(p));
        }
        assert_eq!(Policy::parse("legacy"), None);
        let group = |policy, max_per_host| ServerGroup {
            id: Uuid::nil(),
            project_id: "p".into(),
            user_id: "u".into(),
            name: "g".into(),
            policy,
            max_per_host,
            created_at: Timestamp(0),
        };
        let anti = group(Policy::AntiAffinity, None);
        assert!(anti.admits(0, 9) && !anti.admits(1, 0));
        let three = group(Policy::AntiAffinity, Some(3));
        assert!(three.admits(2, 0) && !three.admits(3, 0));
        let together = group(Policy::Affinity, None);
        assert!(together.admits(5, 0) && together.admits(0, 0) && !together.admits(0, 1));
        assert!(group(Policy::SoftAffinity, None).admits(1, 1));
    }
}
