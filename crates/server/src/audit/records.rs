//! What the records say about each other, in one snapshot. Pure but for reading.

use super::Look;
use super::mend::Mend;
use model::server::{Server, VmState};
use std::collections::{BTreeMap, BTreeSet};
use store::{Result, Tx};
use uuid::Uuid;

/// Every living server.
pub(super) fn servers(tx: &mut Tx) -> Result<Vec<Server>> {
    store::servers::list(tx, &store::servers::Filter::default(), &store::servers::Page::default(), |_| true)
}

/// The whole look.
pub(super) fn look(tx: &mut Tx) -> Result<Look> {
    let mut look = Look::default();
    damage(tx, &mut look)?;
    let servers = servers(tx)?;
    let by_id: BTreeMap<Uuid, &Server> = servers.iter().map(|s| (s.id, s)).collect();
    places(tx, &servers, &mut look)?;
    allocations(tx, &by_id, &mut look)?;
    quotas(tx, &mut look)?;
    super::groups::look(tx, &by_id, &mut look)?;
    ports(tx, &servers, &by_id, &mut look)?;
    addresses(tx, &mut look)?;
    flows(tx, &servers, &by_id, &mut look)?;
    Ok(look)
}

fn damage(tx: &mut Tx, look: &mut Look) -> Result<()> {
    let why = "what the row meant is not known: restore it from a copy, or remove it";
    for d in store::damage::scan(tx)? {
        look.add("damage", format!("{} {}", d.table, d.id), d.detail, Mend::Leave(why));
    }
    Ok(())
}

/// Servers are on hosts that there are.
fn places(tx: &mut Tx, servers: &[Server], look: &mut Look) -> Result<()> {
    let hosts: BTreeSet<String> = store::services::list(tx)?.into_iter().map(|s| s.host).collect();
    for s in servers {
        let settled = s.action.is_none() && !matches!(s.vm_state, VmState::Error | VmState::Building);
        match &s.host {
            None if settled => {
                let why = "where its guest is, if it has one, is not known: delete it, or name the host in its record";
                look.add("server", s.id, format!("is {} and on no host", s.vm_state.as_str()), Mend::Leave(why));
            }
            Some(host) if !hosts.contains(host) => {
                let why = "it may be a host that was removed: bring the host back, or delete the server";
                look.add("server", s.id, format!("is on {host}, which never registered"), Mend::Leave(why));
            }
            _ => {}
        }
    }
    Ok(())
}

fn allocations(tx: &mut Tx, servers: &BTreeMap<Uuid, &Server>, look: &mut Look) -> Result<()> {
    let mut holders = BTreeSet::new();
    let unread = store::damage::any(tx, "servers")?;
    for p in store::placement::providers::all(tx)? {
        let mut used: BTreeMap<String, i64> = BTreeMap::new();
        for a in store::placement::allocations::of_provider(tx, p.id)? {
            let sum = used.entry(a.class.clone()).or_default();
            *sum = sum.saturating_add(a.used);
            holders.insert(a.consumer);
            let consumer = store::placement::allocations::consumer(tx, a.consumer);
            let instance = matches!(consumer, Ok(Some(c)) if c.kind.as_deref() == Some("INSTANCE"));
            if instance && servers.get(&a.consumer).is_none_or(|s| s.host.is_none()) {
                let mend = if unread { Mend::Leave(UNREAD) } else { Mend::Allocations(a.consumer) };
                let message = format!("holds {} {} of {} but no server of that id is on a host", a.used, a.class, p.name);
                look.add("allocation", a.consumer, message, mend);
            }
        }
        for i in store::placement::inventories::of(tx, p.id)? {
            let sum = used.get(&i.class).copied().unwrap_or(0);
            if sum != i.used {
                let message = format!("{}: {} counted as used, {sum} allocated", i.class, i.used);
                look.add("allocation", &p.name, message, Mend::Use(p.id, i.class));
            }
        }
    }
    for s in servers.values() {
        let needs = !placement::flavor_resources(&s.body.flavor).is_empty();
        if needs && s.host.is_some() && !holders.contains(&s.id) {
            look.add("allocation", s.id, "the server is on a host and has no allocation", Mend::Claim(s.id));
        }
    }
    Ok(())
}

/// Why nothing is concluded from the absence of a server.
pub(super) const UNREAD: &str = "a server's row is damaged, and it may be that server's";

fn quotas(tx: &mut Tx, look: &mut Look) -> Result<()> {
    let unread = store::damage::any(tx, "servers")?;
    for (project, resource, counted, found) in store::quotas::differences(tx)? {
        let message = format!("{resource}: {counted} counted as used, {found} in use");
        let mend = if unread { Mend::Leave(UNREAD) } else { Mend::Quota(project.clone(), resource) };
        look.add("quota", project, message, mend);
    }
    Ok(())
}

fn ports(tx: &mut Tx, servers: &[Server], by_id: &BTreeMap<Uuid, &Server>, look: &mut Look) -> Result<()> {
    let unread = store::damage::any(tx, "servers")?;
    let unread_ports = store::damage::any(tx, "ports")?;
    let mut known = BTreeSet::new();
    for p in store::network::ports::list(tx, &store::network::ports::Filter::default())? {
        known.insert(p.id);
        if !p.device_owner.starts_with("compute:") {
            continue;
        }
        let id = Uuid::try_parse(&p.device_id).ok();
        match id.and_then(|id| by_id.get(&id)) {
            None => {
                let mend = match id {
                    Some(id) if !unread => Mend::Ports(id),
                    _ => Mend::Leave(UNREAD),
                };
                look.add("port", p.id, format!("is bound to server {}, which is not there", p.device_id), mend);
            }
            Some(s) if !s.body.ports.iter().any(|own| own.port_id == p.id) => {
                let why = "whether the guest has this interface is not known: delete the port, or delete the server";
                look.add("port", p.id, format!("is bound to server {}, which does not know it", s.id), Mend::Leave(why));
            }
            Some(_) => {}
        }
    }
    for s in servers {
        for own in s.body.ports.iter().filter(|own| !known.contains(&own.port_id)) {
            let mend = if unread_ports { Mend::Leave("a port's row is damaged, and it may be this one") } else { Mend::PortOf(s.id, own.port_id) };
            look.add("port", own.port_id, format!("server {} has it, the network service has not", s.id), mend);
        }
    }
    Ok(())
}

fn addresses(tx: &mut Tx, look: &mut Look) -> Result<()> {
    for (subnet, ip, port) in store::network::subnets::adrift(tx)? {
        look.add("address", &ip, format!("is given to port {port}, which is not there"), Mend::Address(subnet, ip.clone(), port));
    }
    Ok(())
}

fn flows(tx: &mut Tx, servers: &[Server], by_id: &BTreeMap<Uuid, &Server>, look: &mut Look) -> Result<()> {
    let open: BTreeMap<Uuid, Uuid> = store::flows::unfinished(tx)?.into_iter().map(|f| (f.id, f.server_id)).collect();
    for s in servers {
        if let Some(flow) = s.flow_id
            && !open.contains_key(&flow)
        {
            look.add("flow", s.id, format!("its action belongs to flow {flow}, which is finished"), Mend::Ownerless);
        }
    }
    for image in store::image::all(tx)? {
        let writer = image.writer.as_deref().and_then(|w| Uuid::try_parse(w.strip_prefix("flow:")?).ok());
        if let Some(flow) = writer.filter(|flow| !image.status.has_data() && !open.contains_key(flow)) {
            let message = format!("waits for the bytes of snapshot {flow}, which is finished");
            look.add("image", image.id, message, Mend::Unwritten(image.id, flow));
        }
    }
    let unread = store::damage::any(tx, "servers")?;
    for (flow, server) in open {
        if by_id.get(&server).is_none_or(|s| s.flow_id != Some(flow)) {
            let mend = if unread { Mend::Leave(UNREAD) } else { Mend::Supersede(flow, server) };
            look.add("flow", flow, format!("is not finished, and server {server} is not in its hands"), mend);
        }
    }
    Ok(())
}
