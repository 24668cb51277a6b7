//! What the metadata and DHCP servers ask the platform.

use async_trait::async_trait;
use guestdata::{Guest, Secret};
use std::net::IpAddr;
use std::sync::Arc;
use uuid::Uuid;

/// Why a guest's password was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordRefused {
    /// There is one already; a guest may set it once (409).
    AlreadySet,
    /// It could not be stored now (503).
    Unavailable,
}

/// Knows the guests of this host. Asked at every request, so it must answer from memory.
#[async_trait]
pub trait MetadataSource: Send + Sync {
    /// The guest that holds `ip` on `network`. The pair is trustworthy: the request came out of that network's
    /// own namespace, and replies go only to the MAC address of the port that holds the address.
    async fn guest_by_ip(&self, network: Uuid, ip: IpAddr) -> Option<Arc<Guest>>;
    /// Keeps the encrypted password that the guest posted for `os-server-password`.
    async fn set_password(&self, guest: Uuid, password: Secret) -> Result<(), PasswordRefused>;
}
