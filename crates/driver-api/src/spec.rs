//! What a guest shall be. Built at send time with a generation, never stored; a driver sees no database.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use uuid::Uuid;

/// Format of an image's or disk's bytes: recorded at creation, never probed from guest-written bytes
/// (the class of CVE-2015-7548, CVE-2024-32498, CVE-2024-40767).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskFormat {
    /// Flat bytes.
    Raw,
    /// QEMU copy on write, version 2 or 3.
    Qcow2,
    /// A kernel.
    Aki,
    /// An initial ramdisk.
    Ari,
    /// A bare file system, booted with a separate kernel.
    Ami,
    /// CD image.
    Iso,
    /// VMware disk.
    Vmdk,
    /// Hyper-V disk, old.
    Vhd,
    /// Hyper-V disk.
    Vhdx,
    /// VirtualBox disk.
    Vdi,
    /// Virtuozzo disk.
    Ploop,
}

impl DiskFormat {
    /// Glance's word.
    pub fn as_str(self) -> &'static str {
        match self {
            DiskFormat::Raw => "raw",
            DiskFormat::Qcow2 => "qcow2",
            DiskFormat::Aki => "aki",
            DiskFormat::Ari => "ari",
            DiskFormat::Ami => "ami",
            DiskFormat::Iso => "iso",
            DiskFormat::Vmdk => "vmdk",
            DiskFormat::Vhd => "vhd",
            DiskFormat::Vhdx => "vhdx",
            DiskFormat::Vdi => "vdi",
            DiskFormat::Ploop => "ploop",
        }
    }
    /// The format of Glance's word.
    pub fn parse(word: &str) -> Option<DiskFormat> {
        Some(match word {
            "raw" => DiskFormat::Raw,
            "qcow2" => DiskFormat::Qcow2,
            "aki" => DiskFormat::Aki,
            "ari" => DiskFormat::Ari,
            "ami" => DiskFormat::Ami,
            "iso" => DiskFormat::Iso,
            "vmdk" => DiskFormat::Vmdk,
            "vhd" => DiskFormat::Vhd,
            "vhdx" => DiskFormat::Vhdx,
            "vdi" => DiskFormat::Vdi,
            "ploop" => DiskFormat::Ploop,
            _ => return None,
        })
    }
}

/// An image as a driver needs to know it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageRef {
    /// Identity in the image service.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// Recorded disk format.
    pub disk_format: DiskFormat,
    /// Glance's container format (`bare`, `docker`, …).
    pub container_format: String,
    /// Bytes stored.
    pub size: u64,
    /// Bytes of the disk inside, as the inspector found at upload.
    pub virtual_size: Option<u64>,
    /// Algorithm and hex digest (`os_hash_algo`, `os_hash_value`).
    pub hash: Option<(String, String)>,
    /// Further properties, `hw_*` and `os_*` among them.
    pub properties: BTreeMap<String, String>,
}

/// One address of a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixedIp {
    /// Subnet of the address.
    pub subnet_id: Uuid,
    /// The address.
    pub ip: IpAddr,
}

/// A static route handed to guests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Destination.
    pub destination: IpNet,
    /// Next hop.
    pub nexthop: IpAddr,
}

/// One subnet of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubnetSpec {
    /// Identity.
    pub id: Uuid,
    /// Range.
    pub cidr: IpNet,
    /// Default gateway that guests are told.
    pub gateway: Option<IpAddr>,
    /// Name servers that guests are told.
    pub dns: Vec<IpAddr>,
    /// Static routes.
    pub routes: Vec<Route>,
    /// Whether guests get their address by DHCP.
    pub dhcp: bool,
    /// Address that the network's own DHCP and metadata endpoint holds on this subnet.
    pub dhcp_ip: Option<IpAddr>,
}

/// Another host that carries the same network, for unicast VXLAN forwarding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerHost {
    /// Tunnel endpoint of that host.
    pub vtep: IpAddr,
    /// MAC and addresses of the ports there.
    pub ports: Vec<(String, Vec<IpAddr>)>,
}

/// How a network lies on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum NetworkSegment {
    /// One bridge on this host, joined with other hosts by VXLAN where there are peers.
    Vxlan {
        /// Network identifier, 1 to 16777215.
        vni: u32,
        /// The other hosts of the network.
        peers: Vec<PeerHost>,
        /// The host is the gateway and masquerades (the seeded network).
        host_gateway: bool,
    },
    /// The bridge is attached to the host interface that the physical network name maps to.
    Flat {
        /// `provider:physical_network`.
        physical_network: String,
    },
}

/// Direction of a security rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// To the guest.
    Ingress,
    /// From the guest.
    Egress,
}

/// Family of a security rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EtherType {
    /// IPv4.
    #[serde(rename = "IPv4")]
    V4,
    /// IPv6.
    #[serde(rename = "IPv6")]
    V6,
}

/// One allowance of a security group, with remote groups already resolved to addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityRule {
    /// Which way.
    pub direction: Direction,
    /// Which family.
    pub ethertype: EtherType,
    /// IP protocol number; `None` is any.
    pub protocol: Option<u8>,
    /// Lowest port (or ICMP type).
    pub port_min: Option<u16>,
    /// Highest port (or ICMP code).
    pub port_max: Option<u16>,
    /// Remote ranges; empty is any, unless `remote_none`.
    pub remote: Vec<IpNet>,
    /// The rule names a remote group that has no member: it allows nothing.
    pub remote_none: bool,
}

/// One network interface of a guest with all that a host needs to wire it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NicSpec {
    /// Port in the network service.
    pub port_id: Uuid,
    /// Network in the network service.
    pub network_id: Uuid,
    /// The network's name, as `addresses` shows it.
    pub network_name: String,
    /// MAC address, lower case with colons.
    pub mac: String,
    /// Largest packet, bytes.
    pub mtu: u32,
    /// Host-side device that the host agent made (`tap` + 11 characters of the port id); empty if the backend plugs.
    pub device: String,
    /// `hw_vif_model` of this port, where set.
    pub model: Option<String>,
    /// Addresses.
    pub fixed_ips: Vec<FixedIp>,
    /// Further address pairs that the guest may use (MAC, range).
    pub allowed_pairs: Vec<(String, IpNet)>,
    /// Subnets of the network.
    pub subnets: Vec<SubnetSpec>,
    /// The network's place on the host.
    pub segment: NetworkSegment,
    /// Anti-spoofing and security groups apply (`port_security_enabled`).
    pub port_security: bool,
    /// What is allowed.
    pub rules: Vec<SecurityRule>,
    /// False: the port is administratively down.
    pub admin_up: bool,
}

/// All that a guest shall be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstanceSpec {
    /// Identity: the server's id.
    pub id: Uuid,
    /// Grows with every intent; a host refuses a command of an older one.
    pub generation: u64,
    /// Display name.
    pub name: String,
    /// Host name inside the guest.
    pub hostname: String,
    /// Owner.
    pub project_id: String,
    /// Creator.
    pub user_id: String,
    /// Node chosen, for drivers with several.
    pub node: String,
    /// Flavor's name, for the backend's own metadata.
    pub flavor_name: String,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Memory, MiB.
    pub memory_mib: u64,
    /// Root disk, GiB; 0 takes the image's size.
    pub root_gib: u64,
    /// Ephemeral disk, GiB.
    pub ephemeral_gib: u64,
    /// Swap disk, MiB.
    pub swap_mib: u64,
    /// Flavor's extra specs.
    pub extra_specs: BTreeMap<String, String>,
    /// Image of the root disk.
    pub image: Option<ImageRef>,
    /// Kernel for direct boot.
    pub kernel: Option<ImageRef>,
    /// Ramdisk for direct boot.
    pub ramdisk: Option<ImageRef>,
    /// A config drive is attached; its bytes come from [`crate::GuestDocuments`].
    pub config_drive: bool,
    /// Interfaces in order.
    pub nics: Vec<NicSpec>,
    /// User metadata.
    pub metadata: BTreeMap<String, String>,
}
