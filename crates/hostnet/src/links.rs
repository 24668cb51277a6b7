//! The interfaces of a namespace as `ip -j -d link show` lists them.

use crate::Result;
use crate::command::ip_json;
use crate::names::ALIAS;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::IpAddr;

#[derive(Debug, Clone, Deserialize, Default)]
pub(crate) struct Link {
    pub ifname: String,
    #[serde(default)]
    pub ifalias: Option<String>,
    #[serde(default)]
    pub master: Option<String>,
    #[serde(default)]
    pub mtu: u32,
    #[serde(default)]
    pub address: String,
    #[serde(default)]
    pub flags: Vec<String>,
    #[serde(default)]
    pub linkinfo: LinkInfo,
}

#[derive(Debug, Clone, Deserialize, Default)]
pub(crate) struct LinkInfo {
    #[serde(default)]
    pub info_kind: String,
    #[serde(default)]
    pub info_data: Data,
}

/// The few details of a kind that are compared.
#[derive(Debug, Clone, Deserialize, Default)]
pub(crate) struct Data {
    /// VXLAN: its identifier.
    #[serde(default)]
    pub id: Option<u32>,
    /// VXLAN: address of this host.
    #[serde(default)]
    pub local: Option<IpAddr>,
    #[serde(default)]
    pub local6: Option<IpAddr>,
    #[serde(default)]
    pub nf_call_iptables: u32,
    #[serde(default)]
    pub nf_call_ip6tables: u32,
    #[serde(default)]
    pub nf_call_arptables: u32,
}

impl Link {
    /// Made by us.
    pub(crate) fn ours(&self) -> bool {
        self.ifalias.as_deref() == Some(ALIAS)
    }
    pub(crate) fn up(&self) -> bool {
        self.flags.iter().any(|f| f == "UP")
    }
    pub(crate) fn is_bridge(&self) -> bool {
        self.linkinfo.info_kind == "bridge"
    }
}

/// Interfaces by name.
pub(crate) type Links = BTreeMap<String, Link>;

/// All interfaces of a namespace.
pub(crate) async fn read(ns: Option<&str>) -> Result<Links> {
    let list: Vec<Link> = ip_json(ns, &["-d", "link", "show"]).await?;
    Ok(list.into_iter().map(|l| (l.ifname.clone(), l)).collect())
}

#[derive(Debug, Deserialize)]
struct Addresses {
    #[serde(default)]
    ifname: String,
    #[serde(default)]
    addr_info: Vec<Address>,
}

/// One address of an interface.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Address {
    pub local: IpAddr,
    pub prefixlen: u8,
    #[serde(default)]
    pub scope: String,
}

/// Addresses of a namespace by interface.
pub(crate) async fn addresses(ns: Option<&str>) -> Result<BTreeMap<String, Vec<Address>>> {
    let list: Vec<Addresses> = ip_json(ns, &["addr", "show"]).await?;
    Ok(list.into_iter().filter(|a| !a.ifname.is_empty()).map(|a| (a.ifname, a.addr_info)).collect())
}
