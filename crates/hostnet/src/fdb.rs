//! Unicast forwarding entries of a VXLAN interface: which host has which MAC, and where floods go.

use crate::Result;
use crate::command::{bridge_batch, bridge_json};
use crate::plan::{Mac, Tunnel};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// All hosts get what has no known place.
const FLOOD: Mac = Mac([0; 6]);

#[derive(Deserialize)]
struct Entry {
    mac: String,
    #[serde(default)]
    dst: Option<IpAddr>,
}

fn wanted(tunnel: &Tunnel) -> BTreeSet<(Mac, IpAddr)> {
    let mut out = BTreeSet::new();
    for peer in &tunnel.peers {
        out.insert((FLOOD, peer.vtep));
        out.extend(peer.ports.iter().filter_map(|(mac, _)| Some((Mac::parse(mac)?, peer.vtep))));
    }
    out
}

/// The commands that lead from what is to what shall be: first away, so that a MAC may change its host.
fn commands(device: &str, present: &BTreeSet<(Mac, IpAddr)>, wanted: &BTreeSet<(Mac, IpAddr)>) -> Vec<String> {
    let remove = present.difference(wanted).map(|(mac, dst)| format!("fdb del {mac} dev {device} dst {dst} self"));
    let add = wanted.difference(present).map(|(mac, dst)| {
        // Several destinations may share the flood entry; every other MAC has one.
        let verb = if *mac == FLOOD { "append" } else { "replace" };
        format!("fdb {verb} {mac} dev {device} dst {dst} self permanent")
    });
    remove.chain(add).collect()
}

/// Makes the entries of a tunnel those that its peers need.
pub(crate) async fn apply(ns: Option<&str>, tunnel: &Tunnel) -> Result<()> {
    let list: Vec<Entry> = bridge_json(ns, &["fdb", "show", "dev", &tunnel.device]).await?;
    let present = list.into_iter().filter_map(|e| Some((Mac::parse(&e.mac)?, e.dst?))).collect();
    bridge_batch(ns, &commands(&tunnel.device, &present, &wanted(tunnel))).await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use driver_api::PeerHost;

    #[test]
    fn only_differences_are_sent_and_a_mac_leaves_before_it_arrives() {
        let ip = |n: u8| IpAddr::from([10, 0, 0, n]);
        let mac = "fa:16:3e:00:00:01";
        let peer = |n, macs: &[&str]| PeerHost {
            vtep: ip(n),
            ports: macs.iter().map(|m| ((*m).to_owned(), Vec::new())).collect(),
        };
        let tunnel = |peers| Tunnel { device: "kx1".to_owned(), vni: 1, local: ip(1), peers };
        let before = wanted(&tunnel(vec![peer(2, &[mac]), peer(3, &[])]));
        let after = wanted(&tunnel(vec![peer(2, &[]), peer(4, &[mac])]));
        assert_eq!(
            commands("kx1", &before, &after),
            [
                "fdb del 00:00:00:00:00:00 dev kx1 dst 10.0.0.3 self",
                "fdb del fa:16:3e:00:00:01 dev kx1 dst 10.0.0.2 self",
                "fdb append 00:00:00:00:00:00 dev kx1 dst 10.0.0.4 self permanent",
                "fdb replace fa:16:3e:00:00:01 dev kx1 dst 10.0.0.4 self permanent",
            ]
        );
        assert!(commands("kx1", &after, &after).is_empty());
    }
}
