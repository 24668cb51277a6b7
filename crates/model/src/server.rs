//! A server (Nova's instance): its record and its states.

use crate::fault::ServerFault;
use crate::{Action, Secret};
use driver_api::{PowerState, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use uuid::Uuid;

/// Stable state (`nova/compute/vm_states.py`). Stored as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VmState {
    /// Being built.
    Building,
    /// Runs.
    Active,
    /// Paused in memory.
    Paused,
    /// Suspended to disk.
    Suspended,
    /// Off.
    Stopped,
    /// Runs a rescue image.
    Rescued,
    /// Resized, to be confirmed.
    Resized,
    /// Deleted but restorable.
    #[serde(rename = "soft-delete")]
    SoftDeleted,
    /// Gone.
    Deleted,
    /// Failed.
    Error,
    /// Image made, still on its host.
    Shelved,
    /// Image made, on no host.
    ShelvedOffloaded,
}

impl VmState {
    /// Every state.
    pub const ALL: [VmState; 12] = [
        VmState::Building,
        VmState::Active,
        VmState::Paused,
        VmState::Suspended,
        VmState::Stopped,
        VmState::Rescued,
        VmState::Resized,
        VmState::SoftDeleted,
        VmState::Deleted,
        VmState::Error,
        VmState::Shelved,
        VmState::ShelvedOffloaded,
    ];
    /// Nova's word (`OS-EXT-STS:vm_state`).
    pub fn as_str(self) -> &'static str {
        match self {
            VmState::Building => "building",
            VmState::Active => "active",
            VmState::Paused => "paused",
            VmState::Suspended => "suspended",
            VmState::Stopped => "stopped",
            VmState::Rescued => "rescued",
            VmState::Resized => "resized",
            VmState::SoftDeleted => "soft-delete",
            VmState::Deleted => "deleted",
            VmState::Error => "error",
            VmState::Shelved => "shelved",
            VmState::ShelvedOffloaded => "shelved_offloaded",
        }
    }
    /// The state of Nova's word.
    pub fn parse(word: &str) -> Option<VmState> {
        VmState::ALL.into_iter().find(|s| s.as_str() == word)
    }
}

/// Who locked a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockedBy {
    /// A member of its project.
    Owner,
    /// An administrator.
    Admin,
}

/// The flavor as it was when the server was made; later changes of the flavor do not reach it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FlavorSnapshot {
    /// `flavorid` that users see.
    pub id: String,
    /// Name.
    pub name: String,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Memory, MiB.
    pub memory_mib: u64,
    /// Root disk, GiB.
    pub root_gib: u64,
    /// Ephemeral disk, GiB.
    pub ephemeral_gib: u64,
    /// Swap, MiB.
    pub swap_mib: u64,
    /// Extra specs.
    pub extra_specs: BTreeMap<String, String>,
}

/// What a server shows of one of its ports. The network service's port is the truth; this is the copy that makes
/// a listing one query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerPort {
    /// The port.
    pub port_id: Uuid,
    /// Its network.
    pub network_id: Uuid,
    /// The network's name: the key of `addresses`.
    pub network_name: String,
    /// MAC address.
    pub mac: String,
    /// Fixed addresses.
    pub ips: Vec<IpAddr>,
    /// Made by us for this server: deleted with it. Otherwise it is only unbound.
    pub ours: bool,
    /// Device tag (microversion 2.32).
    pub tag: Option<String>,
}

/// The part of a server that is not searched by column. Stored as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerBody {
    /// Flavor at creation.
    pub flavor: FlavorSnapshot,
    /// Image of the root disk; `None` boots from a volume.
    pub image: Option<Uuid>,
    /// Kernel image, for direct boot.
    pub kernel: Option<Uuid>,
    /// Ramdisk image, for direct boot.
    pub ramdisk: Option<Uuid>,
    /// Name of the keypair, and the key as it was then.
    pub key: Option<(String, String)>,
    /// User metadata.
    pub metadata: BTreeMap<String, String>,
    /// Tags, sorted.
    pub tags: Vec<String>,
    /// Description (microversion 2.19).
    pub description: Option<String>,
    /// Host name inside the guest.
    pub hostname: String,
    /// A config drive was asked for.
    pub config_drive: bool,
    /// Availability zone asked for.
    pub requested_zone: Option<String>,
    /// User data, decoded.
    pub user_data: Option<Secret<Vec<u8>>>,
    /// Administrator password, where the caller gave one.
    pub admin_pass: Option<Secret<String>>,
    /// Encrypted password that the guest posted to the metadata service (`os-server-password`).
    #[serde(default)]
    pub posted_password: Option<Secret<Vec<u8>>>,
    /// `accessIPv4`.
    pub access_ipv4: String,
    /// `accessIPv6`.
    pub access_ipv6: String,
    /// Names of security groups, for showing.
    pub security_groups: Vec<String>,
    /// Ports, in order.
    pub ports: Vec<ServerPort>,
    /// Last fault; shown in state error or deleted.
    pub fault: Option<ServerFault>,
    /// Scheduler hints as given: user input, never internal intent.
    pub hints: BTreeMap<String, serde_json::Value>,
    /// Common id of the servers of one request.
    pub reservation_id: String,
    /// Index among them.
    pub launch_index: u32,
    /// Root device (`/dev/vda`).
    pub root_device: Option<String>,
    /// State before suspend, so that resume returns to it.
    pub old_vm_state: Option<VmState>,
    /// Why it is locked (microversion 2.73).
    pub lock_reason: Option<String>,
    /// `OS-DCF:diskConfig`: `AUTO` or `MANUAL`.
    pub disk_config: String,
    /// Name at the backend.
    pub backend_name: String,
    /// Trusted image certificates (microversion 2.63).
    pub trusted_certs: Option<Vec<String>>,
    /// Image properties at creation (`system_metadata` of Nova): shown from microversion 2.100 and used by rebuild.
    pub image_properties: BTreeMap<String, String>,
    /// Image's name at creation.
    pub image_name: Option<String>,
}

/// One server. Columns of table `servers`, and `body`.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Identity.
    pub id: Uuid,
    /// Owner.
    pub project_id: String,
    /// Creator.
    pub user_id: String,
    /// Display name.
    pub name: String,
    /// Stable state.
    pub vm_state: VmState,
    /// Power as last observed.
    pub power_state: PowerState,
    /// Action that runs now; its `task_state` follows from `ACTIONS`, finer progress lives in memory.
    pub action: Option<Action>,
    /// Flow that owns the server now: the value that every change compares and sets.
    pub flow_id: Option<Uuid>,
    /// Compute host.
    pub host: Option<String>,
    /// Node of the host.
    pub node: Option<String>,
    /// Zone of its host, for showing and filtering.
    pub zone: Option<String>,
    /// Grows with every intent.
    pub generation: i64,
    /// Made at.
    pub created_at: Timestamp,
    /// Changed at.
    pub updated_at: Timestamp,
    /// First active at.
    pub launched_at: Option<Timestamp>,
    /// Gone at; `None` while it lives.
    pub deleted_at: Option<Timestamp>,
    /// Lock.
    pub locked_by: Option<LockedBy>,
    /// The rest.
    pub body: ServerBody,
}

impl Server {
    /// Base `task_state` of the running action, Nova's word; finer phases are kept in memory by the conductor.
    pub fn task_state(&self) -> Option<&'static str> {
        self.action.and_then(|a| a.row().task_state)
    }
    /// Nova's `status` (`nova/api/openstack/common.py`, `_STATE_MAP`).
    pub fn status(&self) -> &'static str {
        let task = self.task_state();
        match (self.vm_state, task) {
            (VmState::Active | VmState::Error | VmState::Stopped | VmState::Paused | VmState::Suspended, Some("rebuilding")) => {
                "REBUILD"
            }
            (VmState::Active, Some("rebooting")) => "REBOOT",
            (
                VmState::Active | VmState::Stopped | VmState::Paused | VmState::Suspended | VmState::Error,
                Some("rebooting_hard"),
            ) => "HARD_REBOOT",
            (VmState::Active, Some("updating_password")) => "PASSWORD",
            (VmState::Active, Some("migrating")) | (VmState::Paused, Some("migrating")) => "MIGRATING",
            (VmState::Active | VmState::Stopped, Some("resize_prep")) => "RESIZE",
            (VmState::Building, _) => "BUILD",
            (VmState::Active, _) => "ACTIVE",
            (VmState::Stopped, _) => "SHUTOFF",
            (VmState::Paused, _) => "PAUSED",
            (VmState::Suspended, _) => "SUSPENDED",
            (VmState::Rescued, _) => "RESCUE",
            (VmState::Resized, Some("resize_reverting")) => "REVERT_RESIZE",
            (VmState::Resized, _) => "VERIFY_RESIZE",
            (VmState::SoftDeleted, _) => "SOFT_DELETED",
            (VmState::Deleted, _) => "DELETED",
            (VmState::Error, _) => "ERROR",
            (VmState::Shelved, _) => "SHELVED",
            (VmState::ShelvedOffloaded, _) => "SHELVED_OFFLOADED",
        }
    }
    /// The server is marked gone.
    pub fn is_deleted(&self) -> bool {
        self.deleted_at.is_some()
    }
}
