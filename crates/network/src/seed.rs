//! The network that a new cloud starts with: shared by all projects, hosts are its gateway.

use crate::networks::NewNetwork;
use crate::subnets::{Gateway, NewSubnet};
use crate::{Network, Result, Who, networks, subnets};
use ipnet::IpNet;
use model::network as records;
use std::net::IpAddr;

/// What is seeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seed {
    /// Project that owns it (the administrator's).
    pub project_id: String,
    /// Name of network and subnet.
    pub name: String,
    /// Range.
    pub cidr: IpNet,
    /// Name servers told to guests.
    pub dns: Vec<IpAddr>,
}

impl Network {
    /// Makes the seeded network, unless one is there. An operator who deleted it gets it back only by asking.
    /// # Errors
    /// A range that makes no sense, or the store's.
    pub async fn seed(&self, seed: &Seed) -> Result<records::Network> {
        let all = self.read(|tx| Ok(store::network::networks::list(tx, &Default::default())?)).await?;
        if let Some(n) = all.into_iter().find(|n| n.host_gateway) {
            return Ok(n);
        }
        let (me, seed) = (self.clone(), seed.clone());
        self.write(move |tx| {
            let who = Who::platform();
            let new = NewNetwork {
                project_id: seed.project_id.clone(),
                name: seed.name.clone(),
                description: "The network that this cloud started with; hosts masquerade for it.".into(),
                shared: Some(true),
                host_gateway: true,
                ..NewNetwork::default()
            };
            let n = networks::create(tx, &me.env, &me.options, &who, &new)?;
            let subnet = NewSubnet {
                network_id: n.id,
                project_id: seed.project_id.clone(),
                name: seed.name.clone(),
                description: String::new(),
                ip_version: if seed.cidr.addr().is_ipv4() { 4 } else { 6 },
                cidr: seed.cidr,
                gateway: Gateway::Default,
                enable_dhcp: true,
                allocation_pools: None,
                dns_nameservers: seed.dns.clone(),
                host_routes: Vec::new(),
            };
            subnets::create(tx, &me.env, &who, &subnet)?;
            Ok(store::network::networks::get(tx, n.id)?.unwrap_or(n))
        })
        .await
    }
}
