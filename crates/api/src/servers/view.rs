//! How a server is shown in each microversion (`nova/api/openstack/compute/views/servers.py`). Pure: everything that
//! must be looked up is in [`Look`] before the first server is shown.

use crate::ask::{Ask, Base};
use api_types::Microversion;
use api_types::server_view::{
    Address, Addresses, Bookmark, ExtendedMore, ExtendedView, FaultView, FlavorView, Full, ImageView, Links, Named, ServerView,
};
use base64::Engine;
use conductor::Conductor;
use model::service::Service;
use model::server::{Server, VmState};
use model::time;
use sha2::{Digest, Sha224};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use uuid::Uuid;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `GET /servers/{id}`.
    Show,
    /// `GET /servers/detail`.
    List,
    /// The answer of `PUT`.
    Update,
    /// The answer of `rebuild`.
    Rebuild,
}

/// What all servers of an answer are shown with.
pub struct Look {
    /// Microversion.
    pub mv: Microversion,
    /// The caller is an administrator.
    pub admin: bool,
    /// Addresses of links.
    pub base: Arc<Base>,
    /// Status of hosts where no conductor is asked: for tests.
    pub hosts: BTreeMap<String, &'static str>,
    /// Server groups of the one server that is shown; see [`Look::beside`].
    pub groups: Vec<Uuid>,
    /// Phases and progress.
    pub conductor: Option<Conductor>,
}

/// Statuses in which progress is shown.
const PROGRESS: [&str; 6] = ["ACTIVE", "BUILD", "REBUILD", "RESIZE", "VERIFY_RESIZE", "MIGRATING"];

/// Nova's word for a host, by its row and whether it answers.
fn status_of(service: &Service, up: bool) -> &'static str {
    if service.forced_down {
        "DOWN"
    } else if service.disabled {
        "MAINTENANCE"
    } else if up {
        "UP"
    } else {
        "UNKNOWN"
    }
}

/// Hash of host and project: tells a project which of its servers share a host, and no more
/// (`nova/utils.py`, `generate_hostid`).
pub fn host_id(host: Option<&str>, project: &str) -> String {
    match host {
        Some(h) if !h.is_empty() => hex::encode(Sha224::digest(format!("{project}{h}"))),
        _ => String::new(),
    }
}

/// Image properties that Nova knows (`ImageMetaProps`); others are the user's and are not shown.
fn known_property(name: &str) -> bool {
    const LEGACY: [&str; 21] = [
        "architecture", "owner_id", "vmware_disktype", "vmware_image_version", "vmware_ostype", "auto_disk_config", "ipxe_boot",
        "xenapi_device_id", "xenapi_image_compression_level", "vmware_linked_clone", "xenapi_use_agent",
        "xenapi_skip_agent_inject_ssh", "xenapi_skip_agent_inject_files_at_boot", "cache_in_nova", "vm_mode", "bittorrent",
        "mappings", "block_device_mapping", "bdm_v2", "root_device_name", "hypervisor_type",
    ];
    name.starts_with("hw_") || name.starts_with("img_") || name.starts_with("os_") || LEGACY.contains(&name)
}

/// Addresses by network, in the order of the interfaces; none while the server is being built.
pub fn addresses(s: &Server, extended: bool) -> Addresses<'_> {
    let mut out = Addresses::default();
    if s.vm_state == VmState::Building {
        return out;
    }
    for port in &s.body.ports {
        let at = out.0.iter().position(|(n, _)| *n == port.network_name).unwrap_or_else(|| {
            out.0.push((&port.network_name, Vec::new()));
            out.0.len() - 1
        });
        out.0[at].1.extend(port.ips.iter().map(|ip| address(*ip, &port.mac, extended)));
    }
    out
}

fn address(addr: IpAddr, mac: &str, extended: bool) -> Address<'_> {
    Address {
        version: if addr.is_ipv4() { 4 } else { 6 },
        addr,
        kind: extended.then_some("fixed"),
        mac: extended.then_some(mac),
    }
}

/// User data as the API shows it.
pub fn user_data(s: &Server) -> Option<String> {
    s.body.user_data.as_ref().map(|d| base64::engine::general_purpose::STANDARD.encode(d.reveal()))
}

impl Look {
    /// What `ask` may see.
    pub fn new(api: &crate::Api, ask: &Ask) -> Look {
        Look {
            mv: ask.mv,
            admin: ask.is_admin(),
            base: ask.base.clone(),
            hosts: BTreeMap::new(),
            groups: Vec::new(),
            conductor: Some(api.conductor().clone()),
        }
    }
    /// The same with what else must be looked up of `s`, where it is shown alone.
    /// # Errors
    /// The database's.
    pub async fn beside(mut self, api: &crate::Api, s: &Server) -> Result<Look, web::Fault> {
        if self.since(71) && s.body.hints.contains_key("group") {
            let id = s.id;
            self.groups = api.store().read(move |tx| store::server_groups::of_server(tx, id)).await?.into_iter().collect();
        }
        Ok(self)
    }

    fn host_status(&self, host: &str) -> &'static str {
        let asked = self.conductor.as_ref().and_then(|c| c.host_status(host, status_of));
        asked.or_else(|| self.hosts.get(host).copied()).unwrap_or("UNKNOWN")
    }

    fn since(&self, minor: u16) -> bool {
        self.mv.at_least(minor)
    }

    /// Links of a server.
    pub fn links<'a>(&'a self, s: &'a Server) -> Links<'a> {
        self.base.links("servers", &s.id)
    }

    /// One server.
    pub fn view<'a>(&'a self, s: &'a Server, kind: Kind) -> ServerView<'a> {
        let b = &s.body;
        let full = matches!(kind, Kind::Show | Kind::List) || self.since(75);
        let extended = full && self.admin;
        let status = if s.is_deleted() { "DELETED" } else { s.status() };
        let key = b.key.as_ref().map(|(name, _)| name.as_str());
        ServerView {
            id: s.id,
            name: &s.name,
            status,
            tenant_id: &s.project_id,
            user_id: &s.user_id,
            metadata: &b.metadata,
            host_id: host_id(s.host.as_deref(), &s.project_id),
            image: self.image(s),
            flavor: self.flavor(s),
            created: time::seconds_z(s.created_at),
            updated: time::seconds_z(s.updated_at),
            addresses: addresses(s, full),
            access_ipv4: &b.access_ipv4,
            access_ipv6: &b.access_ipv6,
            links: self.links(s),
            disk_config: if b.disk_config.is_empty() { "MANUAL" } else { &b.disk_config },
            progress: PROGRESS.contains(&status).then(|| self.progress(s)),
            fault: matches!(status, "ERROR" | "DELETED").then(|| self.fault(s)).flatten(),
            key_name: (full || (kind == Kind::Rebuild && self.since(54))).then_some(key),
            full: full.then(|| self.full(s, kind)),
            locked: self.since(9).then_some(s.locked_by.is_some()),
            description: self.since(19).then_some(b.description.as_deref()),
            tags: self.since(26).then_some(&b.tags),
            trusted_image_certificates: self.since(63).then_some(b.trusted_certs.as_deref()),
            server_groups: (kind != Kind::List && self.since(71)).then(|| self.groups.clone()),
            locked_reason: self.since(73).then_some(b.lock_reason.as_deref()),
            hostname: (self.since(90) || (extended && self.since(3))).then_some(&b.hostname),
            scheduler_hints: self.since(100).then(|| hints(s)),
            admin_pass: None,
            user_data: None,
        }
    }

    fn progress(&self, s: &Server) -> u8 {
        self.conductor.as_ref().and_then(|c| c.progress(s.id)).unwrap_or(0)
    }

    fn task_state<'a>(&self, s: &'a Server) -> Option<std::borrow::Cow<'a, str>> {
        match &self.conductor {
            Some(c) => c.task_state(s).map(Into::into),
            None => s.task_state().map(Into::into),
        }
    }

    fn image<'a>(&'a self, s: &'a Server) -> ImageView<'a> {
        match &s.body.image {
            None => ImageView::None(""),
            Some(id) => ImageView::Image {
                id: *id,
                links: Bookmark(self.base.links("images", id)),
                properties: self.since(98).then(|| {
                    let all = s.body.image_properties.iter();
                    all.filter(|(k, _)| known_property(k)).map(|(k, v)| (k.as_str(), v.as_str())).collect()
                }),
            },
        }
    }

    fn flavor<'a>(&'a self, s: &'a Server) -> FlavorView<'a> {
        let f = &s.body.flavor;
        if !self.since(47) {
            return FlavorView::Link { id: &f.id, links: Bookmark(self.base.links("flavors", &f.id)) };
        }
        FlavorView::Embedded {
            vcpus: f.vcpus,
            ram: f.memory_mib,
            disk: f.root_gib,
            ephemeral: f.ephemeral_gib,
            swap: f.swap_mib,
            original_name: &f.name,
            extra_specs: Some(&f.extra_specs),
        }
    }

    /// Details go to administrators, and to all where the code is not 500.
    fn fault<'a>(&self, s: &'a Server) -> Option<FaultView<'a>> {
        let f = s.body.fault.as_ref()?;
        Some(FaultView {
            code: f.code,
            created: time::seconds_z(f.created_at),
            message: &f.message,
            details: f.details.as_deref().filter(|_| self.admin || f.code != 500),
        })
    }

    fn full<'a>(&'a self, s: &'a Server, kind: Kind) -> Full<'a> {
        let b = &s.body;
        let groups: Vec<Named<'a>> = b.security_groups.iter().map(|name| Named { name }).collect();
        let status = match s.host.as_deref() {
            Some(h) if self.admin && self.since(16) => self.host_status(h),
            _ => "",
        };
        Full {
            zone: s.zone.as_deref().or(b.requested_zone.as_deref()).unwrap_or(""),
            config_drive: if b.config_drive { "True" } else { "" },
            launched_at: s.launched_at.map(time::micros),
            terminated_at: s.deleted_at.map(time::micros),
            security_groups: (!groups.is_empty() && !b.ports.is_empty()).then_some(groups),
            task_state: self.task_state(s),
            vm_state: s.vm_state.as_str(),
            power_state: s.power_state.code(),
            volumes: [],
            extended: self.admin.then(|| self.extended(s, kind)),
            host_status: (self.admin && self.since(16)).then_some(status),
            pinned_availability_zone: self.since(96).then_some(b.requested_zone.as_deref()),
        }
    }

    fn extended<'a>(&self, s: &'a Server, kind: Kind) -> ExtendedView<'a> {
        let b = &s.body;
        let text = |id: Option<uuid::Uuid>| id.map(|u| u.to_string()).unwrap_or_default();
        ExtendedView {
            host: s.host.as_deref(),
            instance_name: &b.backend_name,
            node: s.node.as_deref(),
            more: self.since(3).then(|| ExtendedMore {
                kernel_id: text(b.kernel),
                launch_index: b.launch_index,
                ramdisk_id: text(b.ramdisk),
                reservation_id: &b.reservation_id,
                root_device_name: b.root_device.as_deref(),
                user_data: (kind != Kind::Rebuild).then(|| user_data(s)),
            }),
        }
    }
}

/// Hints as the original keeps them: each a list.
fn hints(s: &Server) -> BTreeMap<&str, Vec<&serde_json::Value>> {
    fn list(v: &serde_json::Value) -> Vec<&serde_json::Value> {
        match v {
            serde_json::Value::Array(items) => items.iter().collect(),
            other => vec![other],
        }
    }
    s.body.hints.iter().map(|(k, v)| (k.as_str(), list(v))).collect()
}

#[cfg(test)]
mod tests;
