//! What a DHCP request is answered; pure (RFC 2131, RFC 3442).

use crate::names::METADATA_IP;
use crate::plan::{Mac, Port};
use dhcproto::v4::{DhcpOption, Flags, Message, MessageType, Opcode, OptionCode};
use driver_api::SubnetSpec;
use ipnet::{IpNet, Ipv4Net};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// Seconds of a lease, as Neutron's default. It only bounds how late a guest learns of a change.
const LEASE: u32 = 86_400;

/// What a port is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lease {
    pub ip: Ipv4Addr,
    pub net: Ipv4Net,
    /// Our own address on the subnet.
    pub server: Ipv4Addr,
    pub gateway: Option<Ipv4Addr>,
    pub dns: Vec<Ipv4Addr>,
    pub routes: Vec<(Ipv4Net, Ipv4Addr)>,
    pub mtu: u16,
}

fn v4(ip: IpAddr) -> Option<Ipv4Addr> {
    if let IpAddr::V4(ip) = ip { Some(ip) } else { None }
}

fn lease(subnet: &SubnetSpec, ip: Ipv4Addr, mtu: u32) -> Option<Lease> {
    let IpNet::V4(net) = subnet.cidr else {
        return None;
    };
    let route = |r: &driver_api::Route| match (r.destination, r.nexthop) {
        (IpNet::V4(net), IpAddr::V4(hop)) => Some((net.trunc(), hop)),
        _ => None,
    };
    Some(Lease {
        ip,
        net,
        server: v4(subnet.dhcp_ip?).filter(|_| subnet.dhcp)?,
        gateway: subnet.gateway.and_then(v4),
        dns: subnet.dns.iter().copied().filter_map(v4).collect(),
        routes: subnet.routes.iter().filter_map(route).collect(),
        mtu: u16::try_from(mtu).unwrap_or(u16::MAX),
    })
}

/// The leases of a network: for each port its first address on a subnet with DHCP.
pub(crate) fn leases<'a>(subnets: &[SubnetSpec], ports: impl Iterator<Item = &'a Port>) -> BTreeMap<Mac, Lease> {
    let of = |port: &Port| {
        port.nic.fixed_ips.iter().find_map(|fixed| {
            let subnet = subnets.iter().find(|s| s.id == fixed.subnet_id)?;
            lease(subnet, v4(fixed.ip)?, port.nic.mtu)
        })
    };
    ports.filter_map(|port| Some((port.mac, of(port)?))).collect()
}

/// Where an answer goes at the level of IP; the frame always goes to the client's hardware address.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub message: Message,
    pub from: Ipv4Addr,
    pub to: Ipv4Addr,
}

/// Hardware address of a request that comes from an Ethernet client without a relay.
pub(crate) fn client(request: &Message) -> Option<Mac> {
    let plain = request.opcode() == Opcode::BootRequest && request.hlen() == 6 && request.giaddr().is_unspecified();
    plain.then(|| <[u8; 6]>::try_from(request.chaddr()).ok()).flatten().map(Mac)
}

/// What the request wants: an offer, the lease, its parameters, or to hear that it is wrong. `None` stays silent.
fn kind(request: &Message, lease: &Lease) -> Option<MessageType> {
    let options = request.opts();
    let server = match options.get(OptionCode::ServerIdentifier) {
        Some(DhcpOption::ServerIdentifier(ip)) => Some(*ip),
        _ => None,
    };
    let wanted = match options.get(OptionCode::RequestedIpAddress) {
        Some(DhcpOption::RequestedIpAddress(ip)) => Some(*ip),
        _ => None,
    };
    match options.msg_type()? {
        MessageType::Discover => Some(MessageType::Offer),
        MessageType::Inform => Some(MessageType::Ack),
        MessageType::Request => {
            // Chosen another server; then it is for that one to answer.
            if server.is_some_and(|s| s != lease.server) {
                return None;
            }
            let asked = wanted.unwrap_or(request.ciaddr());
            Some(if asked == lease.ip { MessageType::Ack } else { MessageType::Nak })
        }
        // The address is the port's whether or not the guest says it is done with it or dislikes it.
        _ => None,
    }
}

fn name(text: &str) -> Option<String> {
    (!text.is_empty() && text.len() <= 253).then(|| text.to_owned())
}

/// The answer to `request` for the holder of `lease`; `host` and `domain` may be empty.
pub(crate) fn answer(request: &Message, lease: &Lease, host: &str, domain: &str) -> Option<Answer> {
    let kind = kind(request, lease)?;
    let inform = request.opts().msg_type() == Some(MessageType::Inform);
    let nak = kind == MessageType::Nak;
    let yiaddr = if inform || nak { Ipv4Addr::UNSPECIFIED } else { lease.ip };
    let ciaddr = if nak { Ipv4Addr::UNSPECIFIED } else { request.ciaddr() };
    let mut message = Message::new_with_id(
        request.xid(),
        ciaddr,
        yiaddr,
        if nak { Ipv4Addr::UNSPECIFIED } else { lease.server },
        Ipv4Addr::UNSPECIFIED,
        request.chaddr(),
    );
    message.set_opcode(Opcode::BootReply).set_htype(request.htype());
    let broadcast = request.flags().broadcast();
    if broadcast || nak {
        message.set_flags(Flags::default().set_broadcast());
    }
    let options = message.opts_mut();
    options.insert(DhcpOption::MessageType(kind));
    options.insert(DhcpOption::ServerIdentifier(lease.server));
    // A client finds its own requests by the identifier it sent (RFC 6842).
    if let Some(id) = request.opts().get(OptionCode::ClientIdentifier) {
        options.insert(id.clone());
    }
    if !nak {
        if !inform {
            options.insert(DhcpOption::AddressLeaseTime(LEASE));
            options.insert(DhcpOption::Renewal(LEASE / 2));
            options.insert(DhcpOption::Rebinding(LEASE / 8 * 7));
        }
        parameters(lease, host, domain, |option| {
            options.insert(option);
        });
    }
    let to = match () {
        () if nak => Ipv4Addr::BROADCAST,
        () if !request.ciaddr().is_unspecified() => request.ciaddr(),
        () if broadcast => Ipv4Addr::BROADCAST,
        () => lease.ip,
    };
    Some(Answer { message, from: lease.server, to })
}

fn parameters(lease: &Lease, host: &str, domain: &str, mut insert: impl FnMut(DhcpOption)) {
    insert(DhcpOption::SubnetMask(lease.net.netmask()));
    insert(DhcpOption::BroadcastAddr(lease.net.broadcast()));
    insert(DhcpOption::InterfaceMtu(lease.mtu));
    if !lease.dns.is_empty() {
        insert(DhcpOption::DomainNameServer(lease.dns.clone()));
    }
    if let Some(host) = name(host) {
        insert(DhcpOption::Hostname(host));
    }
    if let Some(domain) = name(domain) {
        insert(DhcpOption::DomainName(domain));
    }
    // A client that takes option 121 ignores option 3, so the default route is in both.
    let mut routes = vec![(Ipv4Net::from(METADATA_IP), lease.server)];
    routes.extend(lease.routes.iter().copied());
    if let Some(gateway) = lease.gateway {
        insert(DhcpOption::Router(vec![gateway]));
        if !lease.routes.iter().any(|(net, _)| net.prefix_len() == 0) {
            routes.push((Ipv4Net::default(), gateway));
        }
    }
    insert(DhcpOption::ClasslessStaticRoute(routes));
}

#[cfg(test)]
mod tests;
