//! Networks, subnets, ports and security groups (Neutron's records).

use driver_api::{Direction, EtherType, FixedIp, Route, Timestamp};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::IpAddr;
use uuid::Uuid;

/// Owner prefix of ports that servers hold (`compute:<zone>`).
pub const COMPUTE_OWNER: &str = "compute:";
/// Owner of a network's own DHCP and metadata port.
pub const DHCP_OWNER: &str = "network:dhcp";
/// Name of the group that every project has.
pub const DEFAULT_GROUP: &str = "default";

/// What lies under a network (`provider:*`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum Segment {
    /// A VXLAN of our own.
    Vxlan {
        /// Network identifier, 1 to 16777215; unique.
        vni: u32,
    },
    /// A host interface, by the name of its physical network; unique.
    Flat {
        /// `provider:physical_network`.
        physical_network: String,
    },
}

impl Segment {
    /// `provider:network_type`.
    pub fn kind(&self) -> &'static str {
        match self {
            Segment::Vxlan { .. } => "vxlan",
            Segment::Flat { .. } => "flat",
        }
    }
    /// What must be unique among segments of its kind.
    pub fn key(&self) -> String {
        match self {
            Segment::Vxlan { vni } => vni.to_string(),
            Segment::Flat { physical_network } => physical_network.clone(),
        }
    }
}

/// One network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Identity.
    pub id: Uuid,
    /// Owner.
    pub project_id: String,
    /// Name; not unique.
    pub name: String,
    /// Free text.
    pub description: String,
    /// False: its ports carry nothing.
    pub admin_state_up: bool,
    /// Every project may put ports on it.
    pub shared: bool,
    /// `router:external`.
    pub external: bool,
    /// `is_default` of an external network.
    pub is_default: bool,
    /// Largest packet, bytes.
    pub mtu: u32,
    /// Default for its ports.
    pub port_security_enabled: bool,
    /// Each host is the gateway and masquerades (the seeded network).
    pub host_gateway: bool,
    /// What lies under it.
    pub segment: Segment,
    /// Tags.
    pub tags: BTreeSet<String>,
    /// Grows with every change.
    pub revision: i64,
    /// Made at.
    pub created_at: Timestamp,
    /// Changed at.
    pub updated_at: Timestamp,
}

/// A range of addresses that may be given out, ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// First.
    pub start: IpAddr,
    /// Last.
    pub end: IpAddr,
}

/// One subnet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// Identity.
    pub id: Uuid,
    /// Its network.
    pub network_id: Uuid,
    /// Owner.
    pub project_id: String,
    /// Name; not unique.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Range; host bits are zero.
    pub cidr: IpNet,
    /// Gateway told to guests.
    pub gateway_ip: Option<IpAddr>,
    /// Guests get their address by DHCP.
    pub enable_dhcp: bool,
    /// Where addresses are taken from.
    pub allocation_pools: Vec<Pool>,
    /// Name servers told to guests.
    pub dns_nameservers: Vec<IpAddr>,
    /// Static routes told to guests.
    pub host_routes: Vec<Route>,
    /// Tags.
    pub tags: BTreeSet<String>,
    /// Grows with every change.
    pub revision: i64,
    /// Made at.
    pub created_at: Timestamp,
    /// Changed at.
    pub updated_at: Timestamp,
}

impl Subnet {
    /// 4 or 6.
    pub fn ip_version(&self) -> u8 {
        match self.cidr {
            IpNet::V4(_) => 4,
            IpNet::V6(_) => 6,
        }
    }
}

/// A further address that a port's guest may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressPair {
    /// Range.
    pub ip: IpNet,
    /// MAC; the port's own where none was given.
    pub mac: Option<String>,
}

/// One port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Identity.
    pub id: Uuid,
    /// Its network.
    pub network_id: Uuid,
    /// Owner.
    pub project_id: String,
    /// Name; not unique.
    pub name: String,
    /// Free text.
    pub description: String,
    /// MAC address, lower case with colons; unique in its network.
    pub mac: String,
    /// False: carries nothing.
    pub admin_state_up: bool,
    /// Its server runs with it (`status` ACTIVE).
    pub active: bool,
    /// Who uses it: a server's id; empty if nobody.
    pub device_id: String,
    /// Kind of user: `compute:<zone>`, `network:dhcp`; empty if nobody.
    pub device_owner: String,
    /// Addresses.
    pub fixed_ips: Vec<FixedIp>,
    /// Security groups, sorted.
    pub security_groups: Vec<Uuid>,
    /// Further addresses.
    pub allowed_address_pairs: Vec<AddressPair>,
    /// Anti-spoofing and security groups apply.
    pub port_security_enabled: bool,
    /// Host that it is bound to.
    pub host: Option<String>,
    /// `binding:vnic_type`.
    pub vnic_type: String,
    /// `binding:profile`.
    pub profile: serde_json::Map<String, serde_json::Value>,
    /// Made for its server, and deleted with it.
    pub ours: bool,
    /// Device tag that the server's owner gave (microversion 2.32).
    pub device_tag: Option<String>,
    /// Place among the interfaces of its server.
    pub position: u32,
    /// Tags.
    pub tags: BTreeSet<String>,
    /// Grows with every change.
    pub revision: i64,
    /// Made at.
    pub created_at: Timestamp,
    /// Changed at.
    pub updated_at: Timestamp,
}

impl Port {
    /// The server that holds it.
    pub fn server(&self) -> Option<Uuid> {
        if self.device_owner.starts_with(COMPUTE_OWNER) { Uuid::try_parse(&self.device_id).ok() } else { None }
    }
}

/// One security group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityGroup {
    /// Identity.
    pub id: Uuid,
    /// Owner.
    pub project_id: String,
    /// Name; not unique.
    pub name: String,
    /// Free text.
    pub description: String,
    /// The project's default group.
    pub is_default: bool,
    /// Answers to what was allowed come in. (Always true: stateless groups are not built.)
    pub stateful: bool,
    /// Tags.
    pub tags: BTreeSet<String>,
    /// Grows with every change.
    pub revision: i64,
    /// Made at.
    pub created_at: Timestamp,
    /// Changed at.
    pub updated_at: Timestamp,
}

/// One allowance of a security group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityGroupRule {
    /// Identity.
    pub id: Uuid,
    /// Owner.
    pub project_id: String,
    /// Its group.
    pub security_group_id: Uuid,
    /// Which way.
    pub direction: Direction,
    /// Which family.
    pub ethertype: EtherType,
    /// Protocol as it was given: a name or a number; `None` is any.
    pub protocol: Option<String>,
    /// Lowest port, or ICMP type.
    pub port_range_min: Option<u16>,
    /// Highest port, or ICMP code.
    pub port_range_max: Option<u16>,
    /// Only members of this group.
    pub remote_group_id: Option<Uuid>,
    /// Only this range.
    pub remote_ip_prefix: Option<IpNet>,
    /// Free text.
    pub description: String,
    /// Tags.
    pub tags: BTreeSet<String>,
    /// Grows with every change.
    pub revision: i64,
    /// Made at.
    pub created_at: Timestamp,
    /// Changed at.
    pub updated_at: Timestamp,
}

/// Names of IP protocols that Neutron knows, with their numbers (`neutron_lib.constants.IP_PROTOCOL_MAP`).
pub static PROTOCOLS: &[(&str, u8)] = &[
    ("ah", 51),
    ("dccp", 33),
    ("egp", 8),
    ("esp", 50),
    ("gre", 47),
    ("hopopt", 0),
    ("icmp", 1),
    ("icmpv6", 58),
    ("igmp", 2),
    ("ip", 0),
    ("ipip", 4),
    ("ipv6-encap", 41),
    ("ipv6-frag", 44),
    ("ipv6-icmp", 58),
    ("ipv6-nonxt", 59),
    ("ipv6-opts", 60),
    ("ipv6-route", 43),
    ("ospf", 89),
    ("pgm", 113),
    ("rsvp", 46),
    ("sctp", 132),
    ("tcp", 6),
    ("udp", 17),
    ("udplite", 136),
    ("vrrp", 112),
];

impl SecurityGroupRule {
    /// The protocol's number. ICMP means the family's own.
    pub fn protocol_number(&self) -> Option<u8> {
        let number = protocol_number(self.protocol.as_deref()?)?;
        Some(if number == 1 && self.ethertype == EtherType::V6 { 58 } else { number })
    }
    /// Two rules of one group with the same mark allow the same: the second is a duplicate.
    pub fn mark(&self) -> String {
        let text = |v: Option<String>| v.unwrap_or_else(|| "-".into());
        let everything = |n: &IpNet| n.prefix_len() == 0;
        format!(
            "{:?}|{:?}|{}|{}|{}|{}|{}",
            self.direction,
            self.ethertype,
            text(self.protocol_number().map(|n| n.to_string())),
            text(self.port_range_min.map(|n| n.to_string())),
            text(self.port_range_max.map(|n| n.to_string())),
            text(self.remote_group_id.map(|n| n.to_string())),
            text(self.remote_ip_prefix.filter(|n| !everything(n)).map(|n| n.to_string())),
        )
    }
}

/// The number of a protocol's name or number.
pub fn protocol_number(word: &str) -> Option<u8> {
    let word = word.to_ascii_lowercase();
    PROTOCOLS.iter().find(|(n, _)| *n == word).map(|(_, number)| *number).or_else(|| word.parse().ok())
}
