//! The facts about one guest from which its documents are made.

use crate::Secret;
use driver_api::{NicSpec, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use uuid::Uuid;

/// A key pair's public half.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicKey {
    /// Name of the key pair.
    pub name: String,
    /// `ssh` or `x509`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The key's text.
    pub data: String,
}

/// A file of the `personality` of a server (gone from microversion 2.57); it is on the config drive only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InjectedFile {
    /// Path inside the guest.
    pub path: String,
    /// The file's bytes.
    pub contents: Secret,
}

/// Ids of the EC2 tree (`i-%08x`, `ami-%08x`, …).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ec2Ids {
    /// `i-…`.
    pub instance_id: String,
    /// `ami-…`; none for a guest that boots from a volume.
    pub ami_id: Option<String>,
    /// `aki-…`, where the image names a kernel.
    pub kernel_id: Option<String>,
    /// `ari-…`, where the image names a ramdisk.
    pub ramdisk_id: Option<String>,
}

impl Ec2Ids {
    /// Ids made of the last eight hex digits of each UUID: the first may be the time. Nova numbers them in a table; a guest only compares
    /// them for equality, so nothing needs to be stored for them.
    pub fn from_uuids(instance: Uuid, image: Option<Uuid>, kernel: Option<Uuid>, ramdisk: Option<Uuid>) -> Ec2Ids {
        let id = |prefix: &str, uuid: Uuid| format!("{prefix}-{}", &uuid.simple().to_string()[24..]);
        Ec2Ids {
            instance_id: id("i", instance),
            ami_id: image.map(|u| id("ami", u)),
            kernel_id: kernel.map(|u| id("aki", u)),
            ramdisk_id: ramdisk.map(|u| id("ari", u)),
        }
    }
}

/// All that a guest may read about itself. `Default` is an empty guest to be filled with `..Guest::default()`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Guest {
    /// The server's id.
    pub id: Uuid,
    /// Display name.
    pub name: String,
    /// Host name without domain.
    pub hostname: String,
    /// Domain added to the host name (`[api] dhcp_domain`); empty adds none.
    #[serde(default)]
    pub dhcp_domain: String,
    /// Owner.
    pub project_id: String,
    /// Availability zone.
    pub availability_zone: String,
    /// Index among the servers of one request.
    #[serde(default)]
    pub launch_index: u32,
    /// Id shared by the servers of one request (`r-…`).
    #[serde(default)]
    pub reservation_id: String,
    /// Public keys; the first is the server's `key_name`.
    #[serde(default)]
    pub public_keys: Vec<PublicKey>,
    /// User data, decoded.
    #[serde(default)]
    pub user_data: Option<Secret>,
    /// Administrator's password; given on the config drive only, never over the network.
    #[serde(default)]
    pub admin_pass: Option<Secret>,
    /// Encrypted password that the guest posted (`os-server-password`).
    #[serde(default)]
    pub password: Option<Secret>,
    /// User's metadata.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// Files for the config drive.
    #[serde(default)]
    pub files: Vec<InjectedFile>,
    /// Flavor's name (`instance-type`).
    pub instance_type: String,
    /// Interfaces in order.
    #[serde(default)]
    pub nics: Vec<NicSpec>,
    /// First floating address, where there is one.
    #[serde(default)]
    pub floating_ipv4: Option<Ipv4Addr>,
    /// When the server was created; stamps the config drive.
    #[serde(default)]
    pub created: Timestamp,
    /// 512 random bytes for the guest's entropy pool.
    #[serde(default)]
    pub random_seed: Secret,
    /// EC2 ids.
    #[serde(default)]
    pub ec2: Ec2Ids,
    /// Names of the security groups.
    #[serde(default)]
    pub security_groups: Vec<String>,
    /// Root device such as `/dev/vda`; `None` shows Nova's default mapping.
    #[serde(default)]
    pub root_device: Option<String>,
    /// Further devices by EC2 name: `ephemeral0`, `swap`, `ebs0`, ….
    #[serde(default)]
    pub block_devices: BTreeMap<String, String>,
    /// The operator's vendor data, a JSON object; anything else is shown as `{}`.
    #[serde(default)]
    pub vendor_data: serde_json::Value,
}

impl Guest {
    /// Host name with the domain.
    pub fn fqdn(&self) -> String {
        if self.dhcp_domain.is_empty() {
            self.hostname.clone()
        } else {
            format!("{}.{}", self.hostname, self.dhcp_domain)
        }
    }
}
