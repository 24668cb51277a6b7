//! `br_netfilter`: kernels with it send bridged packets through the host's own iptables rules, so a policy made for
//! routed traffic (dockerd's `FORWARD DROP`) would cut tenants' networks, and its address translation would
//! rewrite packets of tenants whose addresses happen to be the host's.
//!
//! The switch of a single bridge cannot turn it off: the kernel asks whether the namespace's switch *or* the bridge's
//! is on. So the namespace's switch is turned off, and every bridge that is not ours gets its own turned on, which
//! leaves those as they were. Never touches a rule.

use crate::command::ip_batch;
use crate::links::{Link, Links};
use crate::netns::within;
use crate::{Error, Result};

/// File below `/proc/sys/net/bridge`, option of a bridge.
const SWITCHES: [(&str, &str); 3] = [
    ("bridge-nf-call-iptables", "nf_call_iptables"),
    ("bridge-nf-call-ip6tables", "nf_call_ip6tables"),
    ("bridge-nf-call-arptables", "nf_call_arptables"),
];

fn own(link: &Link, switch: usize) -> bool {
    let data = &link.linkinfo.info_data;
    [data.nf_call_iptables, data.nf_call_ip6tables, data.nf_call_arptables][switch] != 0
}

/// Which switches of the namespace are on; none where the kernel has no `br_netfilter`.
async fn on(ns: Option<&str>) -> Result<Vec<usize>> {
    within(ns, || {
        let is_on = |n: &usize| {
            let path = format!("/proc/sys/net/bridge/{}", SWITCHES[*n].0);
            std::fs::read_to_string(path).is_ok_and(|text| text.trim() != "0")
        };
        Ok((0..SWITCHES.len()).filter(is_on).collect())
    })
    .await
}

async fn set(ns: Option<&str>, switches: Vec<usize>, value: &'static str) -> Result<()> {
    within(ns, move || {
        for n in switches {
            let path = format!("/proc/sys/net/bridge/{}", SWITCHES[n].0);
            std::fs::write(&path, value).map_err(Error::io(format!("cannot write {path}")))?;
        }
        Ok(())
    })
    .await
}

/// Takes bridged packets out of the host's iptables. Returns which switches it turned.
pub(crate) async fn lift(ns: Option<&str>, links: &Links) -> Result<Vec<usize>> {
    let on = on(ns).await?;
    if on.is_empty() {
        return Ok(on);
    }
    let foreign = links.values().filter(|l| l.is_bridge() && !l.ours());
    let mut lines = Vec::new();
    for link in foreign {
        for n in on.iter().filter(|n| !own(link, **n)) {
            lines.push(format!("link set dev {} type bridge {} 1", link.ifname, SWITCHES[*n].1));
        }
    }
    tracing::info!(
        namespace = ns.unwrap_or("the machine's"),
        bridges = lines.len(),
        "br_netfilter now works by bridge: off for ours, on for those that were there"
    );
    ip_batch(ns, &lines).await?;
    set(ns, on.clone(), "0").await?;
    Ok(on)
}

/// Turns the namespace's switches on again.
pub(crate) async fn restore(ns: Option<&str>, switches: Vec<usize>) -> Result<()> {
    set(ns, switches, "1").await
}
