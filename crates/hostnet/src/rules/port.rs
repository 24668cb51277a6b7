//! The chains of one port.

use crate::names::{METADATA_IP, TABLE};
use crate::plan::{Mac, Port};
use driver_api::{Direction, EtherType, SecurityRule};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

/// A port with what of its network matters to its rules.
pub(crate) struct PortView<'a> {
    pub port: &'a Port,
    /// DHCP servers of the network; empty lets any answer (one beyond a physical network).
    pub dhcp: &'a [Ipv4Addr],
    /// Addresses of the host on this network, if it is the gateway.
    pub gateways: &'a [Ipv4Net],
}

const CHAINS: [&str; 7] = ["from", "body", "to", "hin", "hout", "newo", "newi"];
const MAPS: [(&str, &str); 4] = [("from_port", "from"), ("to_port", "to"), ("host_in", "hin"), ("host_out", "hout")];
/// Protocols with ports; TCP is apart since it has a beginning and an end.
const PORTS: &str = "@with_ports";
const KNOWN: &str = "@tracked";

/// One family's words.
struct Family {
    digit: char,
    ether: &'static str,
    ip: &'static str,
    address: &'static str,
    icmp: &'static str,
}

const FAMILIES: [Family; 2] = [
    Family { digit: '4', ether: "ip", ip: "ip", address: "ipv4_addr", icmp: "icmp" },
    Family { digit: '6', ether: "ip6", ip: "ip6", address: "ipv6_addr", icmp: "icmpv6" },
];

/// Whose point of view a key takes: flows are kept as the guest sees them, its own address first.
#[derive(Clone, Copy)]
enum Way {
    Out,
    In,
}

impl Family {
    fn ends(&self, way: Way) -> String {
        match way {
            Way::Out => format!("{0} saddr . {0} daddr", self.ip),
            Way::In => format!("{0} daddr . {0} saddr", self.ip),
        }
    }
    /// Key of a flow with ports.
    fn flow(&self, way: Way) -> String {
        let ports = match way {
            Way::Out => "th sport . th dport",
            Way::In => "th dport . th sport",
        };
        format!("{} . meta l4proto . {ports}", self.ends(way))
    }
    fn echo(&self, way: Way) -> String {
        format!("{} . {} id", self.ends(way), self.icmp)
    }
    fn other(&self, way: Way) -> String {
        format!("{} . meta l4proto", self.ends(way))
    }
}

/// Writes the commands of one port.
struct Script<'a> {
    device: &'a str,
    out: String,
}

impl Script<'_> {
    fn rule(&mut self, chain: &str, rule: &str) {
        let _ = writeln!(self.out, "add rule bridge {TABLE} {chain}_{} {rule}", self.device);
    }
    fn goto(&self, chain: &str) -> String {
        format!("goto {chain}_{}", self.device)
    }
    fn set(&self, kind: char, family: &Family) -> String {
        format!("@{kind}{}_{}", family.digit, self.device)
    }

    /// Flows with ports that the guest opened (`f`), all others (`i`), echo requests (`e`), other protocols (`g`).
    /// Each has its bound, and what others send does not fill the set that the guest's own flows need. The kernel
    /// takes memory for a third more than the bound, rounded up to a power of two, until the first flow ends.
    fn sets(&mut self) {
        for family in &FAMILIES {
            let (address, digit, device) = (family.address, family.digit, self.device);
            let flow = format!("type {address} . {address} . inet_proto . inet_service . inet_service");
            let echo = format!("typeof {0} saddr . {0} daddr . {1} id", family.ip, family.icmp);
            let other = format!("type {address} . {address} . inet_proto");
            let flows = if digit == '4' { 24_576 } else { 3072 };
            for (kind, key, size) in [('f', &flow, flows), ('i', &flow, flows), ('e', &echo, 384), ('g', &other, 384)] {
                let _ = writeln!(
                    self.out,
                    "add set bridge {TABLE} {kind}{digit}_{device} {{ {key}; size {size}; flags dynamic,timeout; timeout 30s; }}"
                );
            }
        }
    }

    fn chains(&mut self) {
        for verb in ["add", "flush"] {
            for chain in CHAINS {
                let _ = writeln!(self.out, "{verb} chain bridge {TABLE} {chain}_{}", self.device);
            }
        }
    }

    fn elements(&mut self, verb: &str) {
        for (map, chain) in MAPS {
            let device = self.device;
            let _ =
                writeln!(self.out, "{verb} element bridge {TABLE} {map} {{ \"{device}\" : jump {chain}_{device} }}");
        }
    }

    /// `newo` and `newi`: remembers the flow of an allowed packet, then lets it pass. A full set lets it pass, too,
    /// but then the reply is not recognised.
    ///
    /// A TCP flow that the guest opens is in `f` from its first packet; one found in its midst (after the sets were
    /// emptied, or a reply to a flow that others opened) is in `i`.
    fn remember(&mut self) {
        for (chain, way) in [("newo", Way::Out), ("newi", Way::In)] {
            for family in &FAMILIES {
                let (flow, ether) = (family.flow(way), format!("ether type {}", family.ether));
                let (f, i) = (self.set('f', family), self.set('i', family));
                let (opened, datagrams) = match way {
                    Way::Out => (&f, (&f, "3m")),
                    Way::In => (&i, (&i, "1m")),
                };
                let tcp = format!("{ether} tcp flags &");
                self.rule(chain, &format!("{tcp} (syn|ack) == syn update {opened} {{ {flow} timeout 3m }} accept"));
                self.rule(chain, &format!("{tcp} (syn|fin|rst) == 0 update {i} {{ {flow} timeout 1d }} accept"));
                let (set, time) = datagrams;
                self.rule(
                    chain,
                    &format!("{ether} meta l4proto {PORTS} update {set} {{ {flow} timeout {time} }} accept"),
                );
                let (e, echo) = (self.set('e', family), family.echo(way));
                self.rule(
                    chain,
                    &format!("{} type echo-request update {e} {{ {echo} timeout 30s }} accept", family.icmp),
                );
                let (g, other) = (self.set('g', family), family.other(way));
                self.rule(
                    chain,
                    &format!("{ether} meta l4proto != {KNOWN} update {g} {{ {other} timeout 10m }} accept"),
                );
            }
            self.rule(chain, "accept");
        }
    }

    /// Lets pass what belongs to a flow, and what no group can forbid: later fragments, errors of routers.
    ///
    /// A TCP flow lasts for a day after its last data and for two minutes after its end; what only acknowledges
    /// renews nothing, for it also comes after the end. The first packet of a flow is never one of a flow.
    fn established(&mut self, chain: &str, way: Way) {
        self.rule(chain, "jump fragments");
        for family in &FAMILIES {
            let (flow, ether) = (family.flow(way), format!("ether type {}", family.ether));
            for (kind, datagrams) in [('f', "3m"), ('i', "1m")] {
                let set = self.set(kind, family);
                let renew = |time: &str| format!("{flow} {set} update {set} {{ {flow} timeout {time} }} accept");
                let tcp = format!("{ether} tcp flags &");
                self.rule(chain, &format!("{tcp} (fin|rst) != 0 {}", renew("2m")));
                self.rule(chain, &format!("{tcp} (syn|psh) == psh {}", renew("1d")));
                self.rule(chain, &format!("{tcp} (syn|ack) != syn {flow} {set} accept"));
                self.rule(chain, &format!("{ether} meta l4proto {PORTS} {}", renew(datagrams)));
            }
            let (e, echo) = (self.set('e', family), family.echo(way));
            self.rule(chain, &format!("{} type echo-reply {echo} {e} accept", family.icmp));
            let (g, other) = (self.set('g', family), family.other(way));
            self.rule(chain, &format!("{ether} meta l4proto != {KNOWN} {other} {g} accept"));
        }
        self.rule(
            chain,
            match way {
                Way::Out => "jump needs_out",
                Way::In => "jump needs_in",
            },
        );
    }
}

fn list(items: impl IntoIterator<Item = impl ToString>) -> String {
    let items: Vec<String> = items.into_iter().map(|i| i.to_string()).collect();
    format!("{{ {} }}", items.join(", "))
}

/// Ranges of one family without overlaps, which sets refuse; `None` if they cover everything.
fn ranges(nets: &[IpNet], v4: bool) -> Option<Vec<String>> {
    if v4 {
        let nets: Vec<Ipv4Net> =
            nets.iter().filter_map(|n| if let IpNet::V4(n) = n { Some(n.trunc()) } else { None }).collect();
        let nets = Ipv4Net::aggregate(&nets);
        (!nets.iter().any(|n| n.prefix_len() == 0)).then(|| nets.iter().map(ToString::to_string).collect())
    } else {
        let nets: Vec<Ipv6Net> =
            nets.iter().filter_map(|n| if let IpNet::V6(n) = n { Some(n.trunc()) } else { None }).collect();
        let nets = Ipv6Net::aggregate(&nets);
        (!nets.iter().any(|n| n.prefix_len() == 0)).then(|| nets.iter().map(ToString::to_string).collect())
    }
}

/// Rules for what the guest sends, before its security groups: its own addresses only, and nothing that only the
/// network may say.
fn anti_spoofing(script: &mut Script<'_>, port: &Port) {
    let macs = list(port.allowed.keys());
    script.rule("from", &format!("ether saddr != {macs} drop"));
    for (mac, nets) in &port.allowed {
        if let Some(own) = ranges(nets, true).filter(|r| !r.is_empty()) {
            script.rule("from", &format!("arp saddr ether {mac} arp saddr ip {} accept", list(own)));
        } else if ranges(nets, true).is_none() {
            script.rule("from", &format!("arp saddr ether {mac} accept"));
        }
        // Asking whether an address is free.
        script.rule("from", &format!("arp saddr ether {mac} arp saddr ip 0.0.0.0 accept"));
    }
    script.rule("from", "jump manners");
    let body = script.goto("body");
    for (mac, nets) in &port.allowed {
        match ranges(nets, true) {
            None => script.rule("from", &format!("ether saddr {mac} ether type ip {body}")),
            Some(own) if !own.is_empty() => {
                script.rule("from", &format!("ether saddr {mac} ip saddr {} {body}", list(own)));
            }
            Some(_) => {}
        }
        let own6: Vec<IpNet> = nets.iter().copied().chain([IpNet::from(IpAddr::V6(mac.link_local()))]).collect();
        match ranges(&own6, false) {
            None => script.rule("from", &format!("ether saddr {mac} ether type ip6 {body}")),
            Some(own) => script.rule("from", &format!("ether saddr {mac} ip6 saddr {} {body}", list(own))),
        }
    }
    script.rule("from", "drop");
    neighbour_adverts(script, port);
}

/// A neighbour advertisement may tell only of the guest's own addresses; the target stands behind its first 8 bytes.
fn neighbour_adverts(script: &mut Script<'_>, port: &Port) {
    let own = |mac: &Mac, nets: &[IpNet]| {
        let nets = nets.iter().filter_map(|n| if let IpNet::V6(n) = n { Some(n.trunc()) } else { None });
        nets.chain([Ipv6Net::from(mac.link_local())]).collect::<Vec<_>>()
    };
    for net in port.allowed.iter().flat_map(|(mac, nets)| own(mac, nets)) {
        let target = u128::from(net.network());
        let matches = match net.prefix_len() {
            128 => format!("@th,64,128 {target:#034x} "),
            0 => String::new(),
            _ => format!("@th,64,128 & {:#034x} == {target:#034x} ", u128::from(net.netmask())),
        };
        script.rule("body", &format!("icmpv6 type nd-neighbor-advert {matches}accept"));
    }
    script.rule("body", "icmpv6 type nd-neighbor-advert drop");
}

/// The condition of a security rule; `None` if it can match nothing.
fn condition(rule: &SecurityRule) -> Option<String> {
    if rule.remote_none {
        return None;
    }
    let v4 = rule.ethertype == EtherType::V4;
    let ip = if v4 { "ip" } else { "ip6" };
    let mut out = format!("ether type {ip}");
    if !rule.remote.is_empty() {
        let end = if rule.direction == Direction::Ingress { "saddr" } else { "daddr" };
        match ranges(&rule.remote, v4) {
            None => {}
            Some(ranges) if ranges.is_empty() => return None,
            Some(ranges) => {
                let _ = write!(out, " {ip} {end} {}", list(ranges));
            }
        }
    }
    let Some(protocol) = rule.protocol else {
        return Some(out);
    };
    // The user's word `icmp` means ICMPv6 in a rule for IPv6.
    let protocol = if protocol == 1 && !v4 { 58 } else { protocol };
    let _ = write!(out, " meta l4proto {protocol}");
    match (protocol, rule.port_min, rule.port_max) {
        (_, None, None) => {}
        (1 | 58, kind, code) => {
            let icmp = if v4 { "icmp" } else { "icmpv6" };
            let kind = kind.unwrap_or(0);
            // Types and codes have one byte; what cannot be sent is allowed to nobody.
            if kind > 255 || code.is_some_and(|c| c > 255) {
                return None;
            }
            let _ = write!(out, " {icmp} type {kind}");
            if let Some(code) = code {
                let _ = write!(out, " {icmp} code {code}");
            }
        }
        (6 | 17 | 33 | 132 | 136, min, max) => {
            let min = min.unwrap_or(0);
            let max = max.unwrap_or(if min == 0 { u16::MAX } else { min });
            if min > max {
                return None;
            }
            let _ = match min == max {
                true => write!(out, " th dport {min}"),
                false => write!(out, " th dport {min}-{max}"),
            };
        }
        // Other protocols have no ports to compare.
        _ => {}
    }
    Some(out)
}

fn security_groups(script: &mut Script<'_>, port: &Port, direction: Direction, chain: &str, accept: &str) {
    for rule in port.nic.rules.iter().filter(|r| r.direction == direction) {
        if let Some(condition) = condition(rule) {
            script.rule(chain, &format!("{condition} {accept}"));
        }
    }
    script.rule(chain, "drop");
}

/// `body`: what the guest sends under its own address.
fn outgoing(script: &mut Script<'_>, port: &Port) {
    anti_spoofing(script, port);
    script.established("body", Way::Out);
    let new = script.goto("newo");
    script.rule("body", &format!("ip daddr {METADATA_IP} tcp dport 80 {new}"));
    security_groups(script, port, Direction::Egress, "body", &new);
}

/// Frames for others are flooded while a bridge does not know them; nobody may read them.
fn not_for_others(port: &Port) -> String {
    let macs = list(port.allowed.keys());
    format!("ether daddr & 01:00:00:00:00:00 == 00:00:00:00:00:00 ether daddr != {macs} drop")
}

/// `to`: what reaches the guest.
fn incoming(script: &mut Script<'_>, view: &PortView<'_>) {
    let port = view.port;
    script.rule("to", &not_for_others(port));
    script.rule("to", "ether type arp accept");
    script.rule("to", "jump kinds");
    let servers = if view.dhcp.is_empty() { String::new() } else { format!("ip saddr {} ", list(view.dhcp)) };
    script.rule("to", &format!("ether type ip {servers}udp sport 67 udp dport 68 accept"));
    script.established("to", Way::In);
    let new = script.goto("newi");
    security_groups(script, port, Direction::Ingress, "to", &new);
}

/// `hin` and `hout`: the host itself. Only a gateway has anything to say on a network of guests.
fn host(script: &mut Script<'_>, view: &PortView<'_>) {
    if view.gateways.is_empty() {
        script.rule("hin", "drop");
        script.rule("hout", "drop");
        return;
    }
    script.rule("hin", "ether type arp accept");
    script.rule("hin", "ether type ip accept");
    script.rule("hin", "drop");
    // The host may reach its guests whatever their groups say. Nobody else can have this source: a packet that is
    // forwarded with one of our own addresses is dropped by the kernel as a martian.
    let own = list(view.gateways.iter().map(Ipv4Net::addr));
    let new = script.goto("newi");
    script.rule("hout", &not_for_others(view.port));
    script.rule("hout", &format!("ip saddr {own} {new}"));
    let to = script.goto("to");
    script.rule("hout", &to);
}

/// Everything about one port, replacing what there was; the flows stay.
pub(crate) fn port(view: &PortView<'_>) -> String {
    let mut script = Script { device: &view.port.device, out: String::new() };
    script.sets();
    script.chains();
    let nic = &view.port.nic;
    if !nic.admin_up {
        for chain in ["from", "to", "hin", "hout"] {
            script.rule(chain, "drop");
        }
    } else if nic.port_security {
        script.remember();
        outgoing(&mut script, view.port);
        incoming(&mut script, view);
        host(&mut script, view);
    } else {
        script.rule("from", "accept");
        script.rule("to", "accept");
        for chain in ["hin", "hout"] {
            if !view.gateways.is_empty() {
                script.rule(chain, "ether type arp accept");
                script.rule(chain, "ether type ip accept");
            }
            script.rule(chain, "drop");
        }
    }
    script.elements("add");
    script.out
}

/// Forgets the flows of a port, so that what is no longer allowed ends at once. A flow that is still allowed is
/// found again by its next packet from the side that may begin it.
pub(crate) fn forget_flows(device: &str) -> String {
    let mut out = String::new();
    for (kind, digit) in ['f', 'i', 'e', 'g'].into_iter().flat_map(|kind| ['4', '6'].map(|digit| (kind, digit))) {
        let _ = writeln!(out, "flush set bridge {TABLE} {kind}{digit}_{device}");
    }
    out
}

/// Removes all of a port, there or not: adding it first makes each removal possible.
pub(crate) fn remove_port(device: &str) -> String {
    let mut script = Script { device, out: String::new() };
    script.sets();
    script.chains();
    script.elements("add");
    script.elements("delete");
    let mut out = script.out;
    for chain in CHAINS {
        let _ = writeln!(out, "delete chain bridge {TABLE} {chain}_{device}");
    }
    for (kind, digit) in ['f', 'i', 'e', 'g'].into_iter().flat_map(|kind| ['4', '6'].map(|digit| (kind, digit))) {
        let _ = writeln!(out, "delete set bridge {TABLE} {kind}{digit}_{device}");
    }
    out
}

#[cfg(test)]
mod tests;
