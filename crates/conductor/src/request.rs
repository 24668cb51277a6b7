//! What the doors ask of the conductor: typed, checked for form, names resolved. User input ends here.

use driver_api::ImageRef;
use model::Secret;
use model::flavor::Flavor;
use std::collections::BTreeMap;
use std::net::IpAddr;
use uuid::Uuid;

/// One network interface asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum NicRequest {
    /// A new port on a network.
    Network {
        /// The network.
        id: Uuid,
        /// A wished address.
        fixed_ip: Option<IpAddr>,
        /// Device tag.
        tag: Option<String>,
    },
    /// A port that is there.
    Port {
        /// The port.
        id: Uuid,
        /// Device tag.
        tag: Option<String>,
    },
}

/// Interfaces asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum NetworkRequest {
    /// The project's only network, or the seeded one; 409 if there are several. (`auto`, or nothing said.)
    Auto,
    /// No interface.
    None,
    /// These.
    Nics(Vec<NicRequest>),
}

/// `POST /servers`, resolved.
#[derive(Debug, Clone)]
pub struct BuildRequest {
    /// Name; `-1`, `-2` … is appended when several are made.
    pub name: String,
    /// How many at least and at most.
    pub min_count: u32,
    /// At most; quota may give fewer, never below `min_count`.
    pub max_count: u32,
    /// The flavor.
    pub flavor: Flavor,
    /// The image, visible to the caller and active.
    pub image: Option<ImageRef>,
    /// Kernel of a direct boot.
    pub kernel: Option<ImageRef>,
    /// Ramdisk of a direct boot.
    pub ramdisk: Option<ImageRef>,
    /// Keypair's name and public key.
    pub key: Option<(String, String)>,
    /// Metadata.
    pub metadata: BTreeMap<String, String>,
    /// Tags.
    pub tags: Vec<String>,
    /// Description.
    pub description: Option<String>,
    /// Host name inside the guest, where given (2.90); else derived from the name.
    pub hostname: Option<String>,
    /// Config drive wanted.
    pub config_drive: bool,
    /// Zone wanted (2.1 form `zone:host:node` already split).
    pub zone: Option<String>,
    /// Forced host: administrators only, checked by the door.
    pub forced_host: Option<String>,
    /// Forced node.
    pub forced_node: Option<String>,
    /// Host to prefer and check with filters (2.74).
    pub requested_host: Option<String>,
    /// User data, decoded.
    pub user_data: Option<Secret<Vec<u8>>>,
    /// Administrator password for the answer and the guest.
    pub admin_pass: Secret<String>,
    /// `accessIPv4`.
    pub access_ipv4: String,
    /// `accessIPv6`.
    pub access_ipv6: String,
    /// Security groups (names or ids as given); empty means the project's default.
    pub security_groups: Vec<String>,
    /// Interfaces.
    pub networks: NetworkRequest,
    /// Scheduler hints: user input.
    pub hints: BTreeMap<String, serde_json::Value>,
    /// `AUTO` or `MANUAL`.
    pub disk_config: String,
    /// Trusted certificates.
    pub trusted_certs: Option<Vec<String>>,
}

/// `rebuild`, resolved. `None` keeps what is.
#[derive(Debug, Clone)]
pub struct RebuildRequest {
    /// The image.
    pub image: ImageRef,
    /// Kernel of a direct boot.
    pub kernel: Option<ImageRef>,
    /// Ramdisk of a direct boot.
    pub ramdisk: Option<ImageRef>,
    /// New name.
    pub name: Option<String>,
    /// New metadata.
    pub metadata: Option<BTreeMap<String, String>>,
    /// New description; the inner `None` clears it.
    pub description: Option<Option<String>>,
    /// New keypair; the inner `None` removes it.
    pub key: Option<Option<(String, String)>>,
    /// New user data; the inner `None` removes it.
    pub user_data: Option<Option<Secret<Vec<u8>>>>,
    /// New administrator password.
    pub admin_pass: Secret<String>,
    /// New host name.
    pub hostname: Option<String>,
    /// New access addresses.
    pub access_ipv4: Option<String>,
    /// New access addresses.
    pub access_ipv6: Option<String>,
    /// `AUTO` or `MANUAL`.
    pub disk_config: Option<String>,
    /// Trusted certificates; the inner `None` clears them.
    pub trusted_certs: Option<Option<Vec<String>>>,
}

/// An action on an existing server.
#[derive(Debug, Clone)]
pub enum ActionRequest {
    /// `os-start`.
    Start,
    /// `os-stop`.
    Stop,
    /// `reboot`.
    Reboot {
        /// `HARD`.
        hard: bool,
    },
    /// `pause`.
    Pause,
    /// `unpause`.
    Unpause,
    /// `suspend`.
    Suspend,
    /// `resume`.
    Resume,
    /// `lock`.
    Lock {
        /// Why (2.73).
        reason: Option<String>,
    },
    /// `unlock`.
    Unlock,
    /// `createImage`: makes the image row in the same commit; the answer carries its id.
    Snapshot {
        /// Image name.
        name: String,
        /// Image properties given by the user.
        metadata: BTreeMap<String, String>,
    },
    /// `rebuild`.
    Rebuild(Box<RebuildRequest>),
    /// DELETE.
    Delete,
}

/// What an accepted action tells at once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Accepted {
    /// Image that a snapshot will fill.
    pub image: Option<Uuid>,
}
