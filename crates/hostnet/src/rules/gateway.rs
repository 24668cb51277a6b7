//! The host as a gateway: what guests may ask of it, whom they may reach through it, and the translation.

use crate::names::TABLE;
use crate::plan::NetPlan;
use std::fmt::Write as _;
use std::net::IpAddr;

/// Table `inet kilonova` for these networks, replaced as a whole; no network removes it.
/// Connections keep their translation: the kernel's tracking does not belong to the table.
pub(crate) fn gateway<'a>(plans: impl Iterator<Item = &'a NetPlan>) -> String {
    let plans: Vec<&NetPlan> = plans.filter(|p| p.routed()).collect();
    let mut out = format!("add table inet {TABLE}\ndelete table inet {TABLE}\n");
    if plans.is_empty() {
        return out;
    }
    let names: Vec<String> = plans.iter().map(|p| format!("\"{}\"", p.bridge)).collect();
    let names = names.join(", ");
    let _ = writeln!(out, "table inet {TABLE} {{");
    let _ = writeln!(out, "set routed {{ type ifname; elements = {{ {names} }}; }}");

    let _ = writeln!(out, "chain input {{\ntype filter hook input priority -10; policy accept;");
    let _ = writeln!(out, "iifname != @routed accept\nct state established,related accept\nmeta l4proto 1 accept");
    for plan in &plans {
        for gateway in &plan.gateways {
            let told = plan.subnets.iter().any(|s| s.dns.contains(&IpAddr::V4(gateway.addr())));
            if told {
                let rule =
                    format!("iifname \"{}\" ip daddr {} meta l4proto {{ 6, 17 }}", plan.bridge, gateway.addr());
                let _ = writeln!(out, "{rule} th dport 53 accept");
            }
        }
    }
    let _ = writeln!(out, "drop\n}}");

    let _ = writeln!(out, "chain forward {{\ntype filter hook forward priority -10; policy accept;");
    for plan in &plans {
        let (bridge, subnets) = (&plan.bridge, subnets(plan));
        // Between subnets of one network it is a router like any other.
        let _ = writeln!(out, "iifname \"{bridge}\" ip saddr != {subnets} drop");
        let _ = writeln!(out, "iifname \"{bridge}\" oifname \"{bridge}\" accept");
    }
    let _ = writeln!(out, "iifname @routed meta nfproto != ipv4 drop\niifname @routed oifname @routed drop\n}}");

    let _ = writeln!(out, "chain postrouting {{\ntype nat hook postrouting priority 100; policy accept;");
    for plan in &plans {
        let _ = writeln!(out, "ip saddr {} oifname != \"{}\" masquerade", subnets(plan), plan.bridge);
    }
    let _ = writeln!(out, "}}\n}}");
    out
}

/// The subnets that the host is the gateway of.
fn subnets(plan: &NetPlan) -> String {
    let nets: Vec<_> = plan.gateways.iter().map(ipnet::Ipv4Net::trunc).collect();
    let nets: Vec<String> = ipnet::Ipv4Net::aggregate(&nets).iter().map(ToString::to_string).collect();
    format!("{{ {} }}", nets.join(", "))
}
