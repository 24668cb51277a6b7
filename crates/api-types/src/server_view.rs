//! How a server is shown. Borrowed throughout: a list of a thousand servers is written straight into the answer
//! without a JSON tree in between. Which fields a microversion has is decided where the view is filled.

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::net::IpAddr;
use uuid::Uuid;

/// `self` and `bookmark` links of a thing, written without an allocation.
#[derive(Debug, Clone, Copy)]
pub struct Links<'a> {
    /// Prefix with version: `http://host/compute/v2.1`.
    pub own: &'a str,
    /// Prefix without: `http://host/compute`.
    pub bookmark: &'a str,
    /// `servers`, `flavors`, …
    pub collection: &'a str,
    /// The thing.
    pub id: &'a dyn Id,
}

/// What may stand at the end of a link.
pub trait Id: std::fmt::Display + std::fmt::Debug + Sync {}
impl<T: std::fmt::Display + std::fmt::Debug + Sync> Id for T {}

struct Href<'a>(&'static str, &'a str, &'a str, &'a dyn Id);

impl Serialize for Href<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        struct Url<'a>(&'a str, &'a str, &'a dyn Id);
        impl Serialize for Url<'_> {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(&format_args!("{}/{}/{}", self.0, self.1, self.2))
            }
        }
        let mut map = s.serialize_map(Some(2))?;
        map.serialize_entry("rel", self.0)?;
        map.serialize_entry("href", &Url(self.1, self.2, self.3))?;
        map.end()
    }
}

impl Serialize for Links<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut seq = s.serialize_seq(Some(2))?;
        seq.serialize_element(&Href("self", self.own, self.collection, self.id))?;
        seq.serialize_element(&Href("bookmark", self.bookmark, self.collection, self.id))?;
        seq.end()
    }
}

/// Only the `bookmark` link.
#[derive(Debug, Clone, Copy)]
pub struct Bookmark<'a>(pub Links<'a>);

impl Serialize for Bookmark<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut seq = s.serialize_seq(Some(1))?;
        seq.serialize_element(&Href("bookmark", self.0.bookmark, self.0.collection, self.0.id))?;
        seq.end()
    }
}

/// A server in a list without details.
#[derive(Debug, Serialize)]
pub struct Brief<'a> {
    /// Identity.
    pub id: Uuid,
    /// Name.
    pub name: &'a str,
    /// Links.
    pub links: Links<'a>,
}

/// Field `image`.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum ImageView<'a> {
    /// Booted from a volume: an empty text.
    None(&'static str),
    /// An image.
    Image {
        /// Identity.
        id: Uuid,
        /// Bookmark.
        links: Bookmark<'a>,
        /// Properties that Nova knows (2.98).
        #[serde(skip_serializing_if = "Option::is_none")]
        properties: Option<BTreeMap<&'a str, &'a str>>,
    },
}

/// Field `flavor`.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum FlavorView<'a> {
    /// Before 2.47.
    Link {
        /// Flavor id.
        id: &'a str,
        /// Bookmark.
        links: Bookmark<'a>,
    },
    /// From 2.47 on.
    Embedded {
        /// Virtual CPUs.
        vcpus: u32,
        /// MiB.
        ram: u64,
        /// GiB.
        disk: u64,
        /// GiB.
        ephemeral: u64,
        /// MiB.
        swap: u64,
        /// Name.
        original_name: &'a str,
        /// Extra specs.
        #[serde(skip_serializing_if = "Option::is_none")]
        extra_specs: Option<&'a BTreeMap<String, String>>,
    },
}

/// One address.
#[derive(Debug, Serialize)]
pub struct Address<'a> {
    /// 4 or 6.
    pub version: u8,
    /// The address.
    pub addr: IpAddr,
    /// `fixed` or `floating`.
    #[serde(rename = "OS-EXT-IPS:type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    /// MAC address.
    #[serde(rename = "OS-EXT-IPS-MAC:mac_addr", skip_serializing_if = "Option::is_none")]
    pub mac: Option<&'a str>,
}

/// Addresses by network name, in the order of the interfaces.
#[derive(Debug, Default)]
pub struct Addresses<'a>(pub Vec<(&'a str, Vec<Address<'a>>)>);

impl Serialize for Addresses<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(Some(self.0.len()))?;
        for (network, list) in &self.0 {
            map.serialize_entry(network, list)?;
        }
        map.end()
    }
}

/// Field `fault`.
#[derive(Debug, Serialize)]
pub struct FaultView<'a> {
    /// HTTP-like code.
    pub code: u16,
    /// When.
    pub created: String,
    /// What.
    pub message: &'a str,
    /// More, for administrators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<&'a str>,
}

/// A name in an object: `{"name": …}`.
#[derive(Debug, Serialize)]
pub struct Named<'a> {
    /// The name.
    pub name: &'a str,
}

/// Attributes that administrators see (`OS-EXT-SRV-ATTR`).
#[derive(Debug, Serialize)]
pub struct ExtendedView<'a> {
    /// Host.
    #[serde(rename = "OS-EXT-SRV-ATTR:host")]
    pub host: Option<&'a str>,
    /// Name at the backend.
    #[serde(rename = "OS-EXT-SRV-ATTR:instance_name")]
    pub instance_name: &'a str,
    /// Node.
    #[serde(rename = "OS-EXT-SRV-ATTR:hypervisor_hostname")]
    pub node: Option<&'a str>,
    /// From 2.3 on.
    #[serde(flatten)]
    pub more: Option<ExtendedMore<'a>>,
}

/// The attributes that 2.3 added.
#[derive(Debug, Serialize)]
pub struct ExtendedMore<'a> {
    /// Kernel image.
    #[serde(rename = "OS-EXT-SRV-ATTR:kernel_id")]
    pub kernel_id: String,
    /// Index in its request.
    #[serde(rename = "OS-EXT-SRV-ATTR:launch_index")]
    pub launch_index: u32,
    /// Ramdisk image.
    #[serde(rename = "OS-EXT-SRV-ATTR:ramdisk_id")]
    pub ramdisk_id: String,
    /// Request.
    #[serde(rename = "OS-EXT-SRV-ATTR:reservation_id")]
    pub reservation_id: &'a str,
    /// Root device.
    #[serde(rename = "OS-EXT-SRV-ATTR:root_device_name")]
    pub root_device_name: Option<&'a str>,
    /// User data, base64; left out of the answer of a rebuild.
    #[serde(rename = "OS-EXT-SRV-ATTR:user_data", skip_serializing_if = "Option::is_none")]
    pub user_data: Option<Option<String>>,
}

/// The fields that `PUT` and `rebuild` show only from 2.75 on, and `GET` always.
#[derive(Debug, Serialize)]
pub struct Full<'a> {
    /// Zone.
    #[serde(rename = "OS-EXT-AZ:availability_zone")]
    pub zone: &'a str,
    /// `"True"` or empty.
    pub config_drive: &'static str,
    /// First active at.
    #[serde(rename = "OS-SRV-USG:launched_at")]
    pub launched_at: Option<String>,
    /// Gone at.
    #[serde(rename = "OS-SRV-USG:terminated_at")]
    pub terminated_at: Option<String>,
    /// Security groups; left out if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_groups: Option<Vec<Named<'a>>>,
    /// Task.
    #[serde(rename = "OS-EXT-STS:task_state")]
    pub task_state: Option<std::borrow::Cow<'a, str>>,
    /// State.
    #[serde(rename = "OS-EXT-STS:vm_state")]
    pub vm_state: &'static str,
    /// Power.
    #[serde(rename = "OS-EXT-STS:power_state")]
    pub power_state: i64,
    /// Volumes: none before there is a volume service.
    #[serde(rename = "os-extended-volumes:volumes_attached")]
    pub volumes: [u8; 0],
    /// For administrators.
    #[serde(flatten)]
    pub extended: Option<ExtendedView<'a>>,
    /// State of the host (2.16, administrators).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_status: Option<&'static str>,
    /// Zone it is pinned to (2.96).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned_availability_zone: Option<Option<&'a str>>,
}

/// A server with its details.
#[derive(Debug, Serialize)]
pub struct ServerView<'a> {
    /// Identity.
    pub id: Uuid,
    /// Name.
    pub name: &'a str,
    /// Status.
    pub status: &'a str,
    /// Owner.
    pub tenant_id: &'a str,
    /// Creator.
    pub user_id: &'a str,
    /// Metadata.
    pub metadata: &'a BTreeMap<String, String>,
    /// Host and project, hashed.
    #[serde(rename = "hostId")]
    pub host_id: String,
    /// Image.
    pub image: ImageView<'a>,
    /// Flavor.
    pub flavor: FlavorView<'a>,
    /// Made at.
    pub created: String,
    /// Changed at.
    pub updated: String,
    /// Addresses.
    pub addresses: Addresses<'a>,
    /// `accessIPv4`.
    #[serde(rename = "accessIPv4")]
    pub access_ipv4: &'a str,
    /// `accessIPv6`.
    #[serde(rename = "accessIPv6")]
    pub access_ipv6: &'a str,
    /// Links.
    pub links: Links<'a>,
    /// Disk configuration.
    #[serde(rename = "OS-DCF:diskConfig")]
    pub disk_config: &'a str,
    /// Percent, in some states.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<u8>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<FaultView<'a>>,
    /// Keypair.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_name: Option<Option<&'a str>>,
    /// Shown by GET always.
    #[serde(flatten)]
    pub full: Option<Full<'a>>,
    /// Lock (2.9).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locked: Option<bool>,
    /// Description (2.19).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Option<&'a str>>,
    /// Tags (2.26).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<&'a [String]>,
    /// Certificates (2.63).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted_image_certificates: Option<Option<&'a [String]>>,
    /// Groups (2.71, not in lists).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_groups: Option<Vec<Uuid>>,
    /// Why locked (2.73).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locked_reason: Option<Option<&'a str>>,
    /// Host name (2.90 for all; for administrators with the extended attributes from 2.3).
    #[serde(rename = "OS-EXT-SRV-ATTR:hostname", skip_serializing_if = "Option::is_none")]
    pub hostname: Option<&'a str>,
    /// Hints (2.100), each a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler_hints: Option<BTreeMap<&'a str, Vec<&'a serde_json::Value>>>,
    /// Password, in the answer of a rebuild.
    #[serde(rename = "adminPass", skip_serializing_if = "Option::is_none")]
    pub admin_pass: Option<&'a str>,
    /// User data, in the answer of a rebuild (2.57).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_data: Option<Option<String>>,
}

/// The answer of `POST /servers`.
#[derive(Debug, Serialize)]
pub struct CreateAnswer<'a> {
    /// Identity.
    pub id: Uuid,
    /// Links.
    pub links: Links<'a>,
    /// Disk configuration.
    #[serde(rename = "OS-DCF:diskConfig")]
    pub disk_config: &'a str,
    /// Groups as asked for.
    pub security_groups: Vec<Named<'a>>,
    /// Password.
    #[serde(rename = "adminPass")]
    pub admin_pass: &'a str,
}
