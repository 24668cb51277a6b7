//! Server groups against the servers: a member is where its server is, and no policy is broken. Only looks.

use super::Look;
use super::mend::Mend;
use super::records::UNREAD;
use model::server::Server;
use model::server_group::{Policy, ServerGroup};
use std::collections::BTreeMap;
use store::{Result, Tx, server_groups};
use uuid::Uuid;

/// What does not fit.
pub(super) fn look(tx: &mut Tx, servers: &BTreeMap<Uuid, &Server>, look: &mut Look) -> Result<()> {
    let unread = store::damage::any(tx, "servers")?;
    let mut hosts: BTreeMap<Uuid, BTreeMap<String, i64>> = BTreeMap::new();
    for m in server_groups::all_members(tx)? {
        match servers.get(&m.server) {
            None => {
                let mend = if unread { Mend::Leave(UNREAD) } else { Mend::Member(m.server) };
                look.add("group", m.server, format!("is a member of server group {} and is not there", m.group), mend);
            }
            Some(s) if s.host != m.host => {
                let words = |h: &Option<String>| h.clone().unwrap_or_else(|| "no host".into());
                let text = format!("is on {}, its server group has it on {}", words(&s.host), words(&m.host));
                let why = "whether its policy holds where it is, is the operator's to judge: delete it, or move it";
                look.add("group", m.server, text, Mend::Leave(why));
            }
            Some(_) => {}
        }
        if let Some(host) = m.host {
            *hosts.entry(m.group).or_default().entry(host).or_default() += 1;
        }
    }
    let why = "which of its servers has to go is the operator's choice";
    for g in server_groups::list(tx, None)? {
        if let Some(text) = hosts.get(&g.id).and_then(|seen| broken(&g, seen)) {
            look.add("group", g.id, text, Mend::Leave(why));
        }
    }
    Ok(())
}

/// How the policy is broken, if it is. Pure.
fn broken(group: &ServerGroup, hosts: &BTreeMap<String, i64>) -> Option<String> {
    let max = group.max_per_host.unwrap_or(1);
    match group.policy {
        Policy::AntiAffinity => {
            let (host, n) = hosts.iter().find(|(_, n)| **n > max)?;
            Some(format!("anti-affinity is broken: {n} of its servers are on {host}, at most {max} may be"))
        }
        Policy::Affinity if hosts.len() > 1 => Some(format!("affinity is broken: its servers are on {} hosts", hosts.len())),
        Policy::Affinity | Policy::SoftAffinity | Policy::SoftAntiAffinity => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Timestamp;

    #[test]
    fn a_broken_policy_is_found() {
        let group = |policy, max_per_host| ServerGroup {
            id: Uuid::nil(),
            project_id: "p".into(),
            user_id: "u".into(),
            name: "g".into(),
            policy,
            max_per_host,
            created_at: Timestamp(0),
        };
        let on = |hosts: &[(&str, i64)]| hosts.iter().map(|(h, n)| ((*h).to_owned(), *n)).collect::<BTreeMap<_, _>>();
        assert!(broken(&group(Policy::AntiAffinity, None), &on(&[("a", 2)])).is_some());
        assert!(broken(&group(Policy::AntiAffinity, Some(2)), &on(&[("a", 2), ("b", 1)])).is_none());
        assert!(broken(&group(Policy::Affinity, None), &on(&[("a", 1), ("b", 1)])).is_some());
        assert!(broken(&group(Policy::Affinity, None), &on(&[("a", 9)])).is_none());
        assert!(broken(&group(Policy::SoftAffinity, None), &on(&[("a", 1), ("b", 1)])).is_none());
    }
}
