//! Security groups and their rules. The rules about rules are pure; [`check_rule`] says why one is none.

use crate::{Error, Result, Who};
use driver_api::{Direction, EtherType};
use ipnet::IpNet;
use model::Env;
use model::network::{DEFAULT_GROUP, SecurityGroup, SecurityGroupRule, protocol_number};
use model::quota::Resource;
use std::collections::BTreeSet;
use store::network::groups;
use store::{Tx, quotas};
use uuid::Uuid;

/// A counted resource by its name.
pub(crate) fn counted(name: &str) -> Result<&'static Resource> {
    let found = model::quota::NETWORK.iter().find(|r| r.name == name);
    found.ok_or_else(|| Error::Store(store::Error::Sql(format!("no resource {name}"))))
}

/// Takes quota; a project without id (the platform) has none.
pub(crate) fn charge(tx: &mut Tx, project: &str, name: &str, n: i64) -> Result<()> {
    if project.is_empty() || n == 0 {
        return Ok(());
    }
    Ok(quotas::claim(tx, project, &[(counted(name)?, n)])?)
}

/// Gives quota back.
pub(crate) fn refund(tx: &mut Tx, project: &str, name: &str, n: i64) -> Result<()> {
    if project.is_empty() || n == 0 {
        return Ok(());
    }
    Ok(quotas::release(tx, project, &[(counted(name)?, n)])?)
}

/// What makes a rule, as given.
#[derive(Debug, Clone)]
pub struct NewRule {
    /// Its group.
    pub security_group_id: Uuid,
    /// Which way.
    pub direction: Direction,
    /// Which family.
    pub ethertype: EtherType,
    /// Protocol, name or number.
    pub protocol: Option<String>,
    /// Lowest port, or ICMP type.
    pub port_range_min: Option<i64>,
    /// Highest port, or ICMP code.
    pub port_range_max: Option<i64>,
    /// Only members of this group.
    pub remote_group_id: Option<Uuid>,
    /// Only this range.
    pub remote_ip_prefix: Option<IpNet>,
    /// Free text.
    pub description: String,
}

/// A group record without rules.
fn record(env: &Env, project: &str, name: &str, description: &str, is_default: bool) -> SecurityGroup {
    let now = env.now();
    SecurityGroup {
        id: env.uuid(),
        project_id: project.to_owned(),
        name: name.to_owned(),
        description: description.to_owned(),
        is_default,
        stateful: true,
        tags: BTreeSet::new(),
        revision: 1,
        created_at: now,
        updated_at: now,
    }
}

/// The rules every group starts with: all may leave; into the default group its own members may come.
fn first_rules(env: &Env, g: &SecurityGroup) -> Vec<SecurityGroupRule> {
    let rule = |direction, ethertype, remote_group_id| SecurityGroupRule {
        id: env.uuid(),
        project_id: g.project_id.clone(),
        security_group_id: g.id,
        direction,
        ethertype,
        protocol: None,
        port_range_min: None,
        port_range_max: None,
        remote_group_id,
        remote_ip_prefix: None,
        description: String::new(),
        tags: BTreeSet::new(),
        revision: 0,
        created_at: g.created_at,
        updated_at: g.created_at,
    };
    let mut out = vec![rule(Direction::Egress, EtherType::V4, None), rule(Direction::Egress, EtherType::V6, None)];
    if g.is_default {
        out.push(rule(Direction::Ingress, EtherType::V4, Some(g.id)));
        out.push(rule(Direction::Ingress, EtherType::V6, Some(g.id)));
    }
    out
}

/// The project's default group, made on first use.
/// # Errors
/// The store's, or quota.
pub fn ensure_default(tx: &mut Tx, env: &Env, project: &str) -> Result<SecurityGroup> {
    if let Some(g) = groups::default_of(tx, project)? {
        return Ok(g);
    }
    let g = record(env, project, DEFAULT_GROUP, "Default security group", true);
    if !groups::insert(tx, &g)? {
        // Another controller was quicker.
        return groups::default_of(tx, project)?.ok_or(Error::Store(store::Error::Busy));
    }
    let rules = first_rules(env, &g);
    for r in &rules {
        groups::insert_rule(tx, r)?;
    }
    charge(tx, project, "security_group", 1)?;
    charge(tx, project, "security_group_rule", i64::try_from(rules.len()).unwrap_or(0))?;
    Ok(g)
}

/// Makes a group.
/// # Errors
/// The name `default`, quota, the store.
pub fn create(tx: &mut Tx, env: &Env, project: &str, name: &str, description: &str) -> Result<SecurityGroup> {
    if !project.is_empty() {
        ensure_default(tx, env, project)?;
        if name == DEFAULT_GROUP {
            return Err(Error::conflict("SecurityGroupDefaultAlreadyExists", "Default security group already exists."));
        }
    }
    charge(tx, project, "security_group", 1)?;
    let g = record(env, project, name, description, false);
    groups::insert(tx, &g)?;
    let rules = first_rules(env, &g);
    for r in &rules {
        groups::insert_rule(tx, r)?;
    }
    charge(tx, project, "security_group_rule", i64::try_from(rules.len()).unwrap_or(0))?;
    Ok(g)
}

/// The group, if the caller may know of it.
/// # Errors
/// `NotFound`.
pub fn visible(tx: &mut Tx, who: &Who, id: Uuid) -> Result<SecurityGroup> {
    groups::get(tx, id)?.filter(|g| who.sees_group(g)).ok_or_else(|| Error::not_found("SecurityGroup", id))
}

/// Changes name and description.
/// # Errors
/// The default group keeps its name.
pub fn update(
    tx: &mut Tx,
    env: &Env,
    who: &Who,
    id: Uuid,
    name: Option<String>,
    description: Option<String>,
) -> Result<SecurityGroup> {
    let mut g = visible(tx, who, id)?;
    if let Some(name) = name {
        if g.is_default && name != g.name {
            let message = "Updating default security group not allowed.";
            return Err(Error::conflict("SecurityGroupCannotUpdateDefault", message));
        }
        g.name = name;
    }
    g.description = description.unwrap_or(g.description);
    g.updated_at = env.now();
    groups::update(tx, &mut g)?;
    Ok(g)
}

/// Removes a group; answers the groups whose rules named it.
/// # Errors
/// In use, or the default group.
pub fn delete(tx: &mut Tx, who: &Who, id: Uuid) -> Result<Vec<Uuid>> {
    let g = visible(tx, who, id)?;
    if g.is_default && !who.admin {
        let message = "Insufficient rights for removing default security group.";
        return Err(Error::conflict("SecurityGroupCannotRemoveDefault", message));
    }
    if groups::in_use(tx, id)? {
        return Err(Error::conflict("SecurityGroupInUse", format!("Security Group {id} in use.")));
    }
    let naming = groups::naming(tx, id)?;
    for (project, n) in groups::rules_going_with(tx, id)? {
        refund(tx, &project, "security_group_rule", n)?;
    }
    groups::delete(tx, id)?;
    refund(tx, &g.project_id, "security_group", 1)?;
    Ok(naming.into_iter().filter(|n| *n != id).collect())
}

/// Makes a rule.
/// # Errors
/// It makes no sense, is there already, or quota.
pub fn create_rule(tx: &mut Tx, env: &Env, who: &Who, new: &NewRule) -> Result<SecurityGroupRule> {
    let g = visible(tx, who, new.security_group_id)?;
    if let Some(remote) = new.remote_group_id {
        visible(tx, who, remote)?;
    }
    let (min, max) = check_rule(new)?;
    let now = env.now();
    let rule = SecurityGroupRule {
        id: env.uuid(),
        project_id: g.project_id.clone(),
        security_group_id: g.id,
        direction: new.direction,
        ethertype: new.ethertype,
        protocol: new.protocol.clone(),
        port_range_min: min,
        port_range_max: max,
        remote_group_id: new.remote_group_id,
        remote_ip_prefix: new.remote_ip_prefix,
        description: new.description.clone(),
        tags: BTreeSet::new(),
        revision: 0,
        created_at: now,
        updated_at: now,
    };
    if !groups::insert_rule(tx, &rule)? {
        let there = groups::same_rule(tx, &rule)?.map(|r| r.id).unwrap_or_default();
        let message = format!("Security group rule already exists. Rule id is {there}.");
        return Err(Error::conflict("SecurityGroupRuleExists", message));
    }
    charge(tx, &g.project_id, "security_group_rule", 1)?;
    let mut g = g;
    g.updated_at = now;
    groups::update(tx, &mut g)?;
    Ok(rule)
}

/// The rule, if the caller may know of it.
/// # Errors
/// `NotFound`.
pub fn visible_rule(tx: &mut Tx, who: &Who, id: Uuid) -> Result<SecurityGroupRule> {
    let rule = groups::get_rule(tx, id)?.filter(|r| who.owns(&r.project_id));
    rule.ok_or_else(|| Error::not_found("SecurityGroupRule", id))
}

/// Removes a rule; answers its group.
/// # Errors
/// `NotFound`.
pub fn delete_rule(tx: &mut Tx, who: &Who, id: Uuid) -> Result<Uuid> {
    let rule = visible_rule(tx, who, id)?;
    groups::delete_rule(tx, id)?;
    refund(tx, &rule.project_id, "security_group_rule", 1)?;
    Ok(rule.security_group_id)
}

/// Why a rule is none; else its ports as stored.
fn check_rule(r: &NewRule) -> Result<(Option<u16>, Option<u16>)> {
    if r.remote_group_id.is_some() && r.remote_ip_prefix.is_some() {
        let message = "Only remote_ip_prefix or remote_group_id may be provided.";
        return Err(Error::invalid("SecurityGroupRemoteGroupAndRemoteIpPrefix", message));
    }
    if let Some(prefix) = r.remote_ip_prefix {
        let v4 = matches!(prefix, IpNet::V4(_));
        if v4 != (r.ethertype == EtherType::V4) {
            let family = if r.ethertype == EtherType::V4 { "IPv4" } else { "IPv6" };
            let message = format!("Conflicting value ethertype {family} for CIDR {prefix}");
            return Err(Error::invalid("SecurityGroupRuleParameterConflict", message));
        }
    }
    let number = match &r.protocol {
        None => None,
        Some(p) => Some(protocol_number(p).ok_or_else(|| {
            let message = format!("Security group rule protocol {p} not supported. Give a name such as tcp, udp, icmp, or a number from 0 to 255.");
            Error::invalid("SecurityGroupRuleInvalidProtocol", message)
        })?),
    };
    if number == Some(58) && r.ethertype == EtherType::V4 {
        let message = format!("Invalid ethertype IPv4 for protocol {}.", r.protocol.as_deref().unwrap_or_default());
        return Err(Error::invalid("SecurityGroupEthertypeConflictWithProtocol", message));
    }
    check_ports(number, r)
}

fn check_ports(number: Option<u8>, r: &NewRule) -> Result<(Option<u16>, Option<u16>)> {
    let (min, max) = (r.port_range_min, r.port_range_max);
    if min.is_none() && max.is_none() {
        return Ok((None, None));
    }
    let fits = |v: Option<i64>, top: u16| -> Option<Option<u16>> {
        match v {
            None => Some(None),
            Some(v) => u16::try_from(v).ok().filter(|v| *v <= top).map(Some),
        }
    };
    match number {
        None => Err(Error::invalid(
            "SecurityGroupProtocolRequiredWithPorts",
            "Must also specify protocol if port range is given.",
        )),
        Some(6 | 17 | 33 | 132 | 136) => {
            let value = |v: Option<i64>| v.map(|v| v.to_string()).unwrap_or_else(|| "None".into());
            let port = |v| fits(v, u16::MAX).filter(|p| *p != Some(0)).ok_or_else(|| {
                let message = format!("Invalid value for port {}: give 1 to 65535.", value(v));
                Error::invalid("SecurityGroupInvalidPortValue", message)
            });
            let (low, high) = (port(min)?, port(max)?);
            if low.is_none() || high.is_none() || low > high {
                let message = "For TCP/UDP protocols, port_range_min must be <= port_range_max, and both must be given";
                return Err(Error::invalid("SecurityGroupInvalidPortRange", message));
            }
            Ok((low, high))
        }
        Some(1 | 58) => {
            if min.is_none() {
                let message = "ICMP code (port-range-max) is provided but ICMP type (port-range-min) is missing.";
                return Err(Error::invalid("SecurityGroupMissingIcmpType", message));
            }
            let value = |v, field: &str| fits(v, 255).ok_or_else(|| {
                let message = format!("Invalid value for ICMP {field}. It must be 0 to 255.");
                Error::invalid("SecurityGroupInvalidIcmpValue", message)
            });
            Ok((value(min, "type (port-range-min)")?, value(max, "code (port-range-max)")?))
        }
        Some(_) => {
            let message = format!(
                "Invalid protocol {} for port range, only supported for TCP, UDP, UDPLITE, SCTP and DCCP.",
                r.protocol.as_deref().unwrap_or_default()
            );
            Err(Error::invalid("SecurityGroupInvalidProtocolForPort", message))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn rules_that_make_no_sense_are_named() {
        let base = NewRule {
            security_group_id: Uuid::nil(),
            direction: Direction::Ingress,
            ethertype: EtherType::V4,
            protocol: Some("tcp".into()),
            port_range_min: Some(22),
            port_range_max: Some(22),
            remote_group_id: None,
            remote_ip_prefix: None,
            description: String::new(),
        };
        let kind = |change: &dyn Fn(&mut NewRule)| {
            let mut r = base.clone();
            change(&mut r);
            match check_rule(&r) {
                Ok(_) => "ok",
                Err(Error::Invalid { kind, .. }) => kind,
                Err(_) => "other",
            }
        };
        assert_eq!(kind(&|_| ()), "ok");
        assert_eq!(kind(&|r| r.protocol = None), "SecurityGroupProtocolRequiredWithPorts");
        assert_eq!(kind(&|r| r.protocol = Some("nope".into())), "SecurityGroupRuleInvalidProtocol");
        assert_eq!(kind(&|r| r.protocol = Some("47".into())), "SecurityGroupInvalidProtocolForPort");
        assert_eq!(kind(&|r| r.port_range_max = Some(21)), "SecurityGroupInvalidPortRange");
        assert_eq!(kind(&|r| r.port_range_max = None), "SecurityGroupInvalidPortRange");
        assert_eq!(kind(&|r| r.port_range_max = Some(65536)), "SecurityGroupInvalidPortValue");
        assert_eq!(kind(&|r| r.port_range_min = Some(0)), "SecurityGroupInvalidPortValue");
        assert_eq!(kind(&|r| r.remote_ip_prefix = Some("fd00::/8".parse().unwrap())), "SecurityGroupRuleParameterConflict");
        let icmp = |r: &mut NewRule, a: Option<i64>, b: Option<i64>| {
            r.protocol = Some("icmp".into());
            (r.port_range_min, r.port_range_max) = (a, b);
        };
        assert_eq!(kind(&|r| icmp(r, Some(8), Some(0))), "ok");
        assert_eq!(kind(&|r| icmp(r, None, Some(0))), "SecurityGroupMissingIcmpType");
        assert_eq!(kind(&|r| icmp(r, Some(256), None)), "SecurityGroupInvalidIcmpValue");
        assert_eq!(kind(&|r| r.protocol = Some("icmpv6".into())), "SecurityGroupEthertypeConflictWithProtocol");
        let both = |r: &mut NewRule| {
            r.remote_group_id = Some(Uuid::nil());
            r.remote_ip_prefix = Some("10.0.0.0/8".parse().unwrap());
        };
        assert_eq!(kind(&both), "SecurityGroupRemoteGroupAndRemoteIpPrefix");
    }
}
