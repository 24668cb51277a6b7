//! A host's registration becomes providers, inventories and traits. Writes only what differs, in one unit; what
//! operators set through the API (custom inventories, traits, aggregates) stays.

use crate::columns::Loaded;
use driver_api::{Node, Timestamp};
use model::placement::{DISK_GB, Inventory, MAX_AMOUNT, MEMORY_MB, Provider, VCPU};
use model::service::Service;
use store::placement::{allocations, inventories, providers, traits};
use store::{Error, Result, Tx};
use std::collections::BTreeSet;
use uuid::Uuid;

/// What a host wants to be known of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) host: String,
    pub(crate) nodes: Vec<WantedNode>,
}

/// One node of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WantedNode {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    inventories: Vec<Inventory>,
    traits: BTreeSet<String>,
}

pub(crate) fn wanted(service: &Service) -> Wanted {
    let node = |(id, n): &(Uuid, Node)| WantedNode {
        id: *id,
        name: n.name.clone(),
        inventories: node_inventories(n),
        traits: service.traits.iter().chain(&n.traits).cloned().collect(),
    };
    Wanted { host: service.host.clone(), nodes: service.nodes.iter().map(node).collect() }
}

/// As Nova's drivers report: one guest gets at most the whole of the machine, whatever the ratio.
fn node_inventories(n: &Node) -> Vec<Inventory> {
    let amount = |v: u64| i64::try_from(v).unwrap_or(MAX_AMOUNT).min(MAX_AMOUNT);
    let one = |class: &str, total: u64, reserved: u64, ratio: f64| {
        let mut i = Inventory::new(class, amount(total));
        i.reserved = amount(reserved).min(i.total);
        i.max_unit = i.total.max(1);
        i.allocation_ratio = ratio;
        i
    };
    let mut out = vec![
        one(VCPU, n.vcpus, n.reserved_vcpus, n.cpu_ratio),
        one(MEMORY_MB, n.memory_mib, n.reserved_memory_mib, n.memory_ratio),
        one(DISK_GB, n.disk_gib, n.reserved_disk_gib, n.disk_ratio),
    ];
    out.extend(n.custom_inventory.iter().map(|(class, total)| one(class, *total, 0, 1.0)));
    // Bare metal offers its class alone: an inventory of nothing would only be noise.
    out.retain(|i| i.total > 0);
    out
}

/// Does the store differ from what the host wants?
pub(crate) fn differs(tx: &mut Tx, w: &Wanted) -> Result<bool> {
    let known = providers::of_host(tx, &w.host)?;
    if known.len() != w.nodes.len() {
        return Ok(true);
    }
    for n in &w.nodes {
        let Some(p) = known.iter().find(|p| p.id == n.id) else { return Ok(true) };
        if p.node.as_deref() != Some(&n.name) {
            return Ok(true);
        }
        let plan = plan(tx, n)?;
        if plan != Plan::default() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What has to change at one provider.
#[derive(Debug, Default, PartialEq)]
struct Plan {
    put: Vec<Inventory>,
    drop: Vec<String>,
    add: Vec<String>,
    remove: Vec<String>,
}

fn plan(tx: &mut Tx, n: &WantedNode) -> Result<Plan> {
    let mut plan = Plan::default();
    let have = inventories::of(tx, n.id)?;
    for want in &n.inventories {
        let same = have.iter().any(|h| Inventory { used: 0, ..h.clone() } == *want);
        if !same {
            plan.put.push(want.clone());
        }
    }
    let gone = |h: &&Inventory| {
        !h.class.starts_with("CUSTOM_") && h.used == 0 && !n.inventories.iter().any(|w| w.class == h.class)
    };
    plan.drop = have.iter().filter(gone).map(|h| h.class.clone()).collect();
    let have = traits::of(tx, n.id)?;
    plan.add = n.traits.iter().filter(|t| !have.iter().any(|h| h.name == **t)).cloned().collect();
    plan.remove = have.into_iter().filter(|h| h.reported && !n.traits.contains(&h.name)).map(|h| h.name).collect();
    Ok(plan)
}

/// Writes what differs; answers the host's rows as they are then, and providers that are gone.
pub(crate) fn apply(tx: &mut Tx, w: &Wanted, now: Timestamp) -> Result<(Vec<Loaded>, Vec<Uuid>)> {
    let mut gone = Vec::new();
    for p in providers::of_host(tx, &w.host)? {
        if w.nodes.iter().any(|n| n.id == p.id) {
            continue;
        }
        // With guests on it the provider stays, so that what they hold is still known; it takes no new ones.
        if !allocations::any(tx, p.id, None)? && providers::children(tx, p.id)?.is_empty() {
            providers::delete(tx, p.id)?;
        }
        gone.push(p.id);
    }
    for n in &w.nodes {
        put_provider(tx, w, n, now)?;
        let plan = plan(tx, n)?;
        for i in &plan.put {
            inventories::put(tx, n.id, i)?;
        }
        for class in &plan.drop {
            inventories::remove_unused(tx, n.id, class)?;
        }
        for t in &plan.add {
            traits::add(tx, n.id, t, true)?;
        }
        for t in &plan.remove {
            traits::remove(tx, n.id, t)?;
        }
        if plan != Plan::default() {
            providers::bump_any(tx, n.id, now)?;
        }
    }
    Ok((load_some(tx, w)?, gone))
}

fn put_provider(tx: &mut Tx, w: &Wanted, n: &WantedNode, now: Timestamp) -> Result<()> {
    let known = providers::get(tx, n.id)?;
    let settled = |p: &Provider| p.host.as_ref() == Some(&w.host) && p.node.as_ref() == Some(&n.name);
    if known.as_ref().is_some_and(settled) {
        return Ok(());
    }
    // Two hosts may call a node the same; a provider's name is unique.
    let taken = providers::by_name(tx, &n.name)?.is_some_and(|p| p.id != n.id);
    let name = if taken { format!("{}:{}", w.host, n.name) } else { n.name.clone() };
    let (host, node) = (Some(w.host.clone()), Some(n.name.clone()));
    let done = match known {
        Some(p) => providers::update(tx, &Provider { name: name.clone(), host, node, updated_at: now, ..p })?,
        None => {
            let (id, root) = (n.id, n.id);
            let p = Provider {
                id,
                name: name.clone(),
                generation: 0,
                parent: None,
                root,
                host,
                node,
                created_at: now,
                updated_at: now,
            };
            providers::insert(tx, &p)?
        }
    };
    if done { Ok(()) } else { Err(Error::Conflict(format!("resource provider name {name} is taken"))) }
}

/// The rows of a host's nodes.
pub(crate) fn load_some(tx: &mut Tx, w: &Wanted) -> Result<Vec<Loaded>> {
    let mut out = Vec::new();
    for n in &w.nodes {
        out.extend(load_one(tx, n.id)?);
    }
    Ok(out)
}

/// One provider with all that belongs to it.
pub(crate) fn load_one(tx: &mut Tx, id: Uuid) -> Result<Option<Loaded>> {
    let Some(provider) = providers::get(tx, id)? else { return Ok(None) };
    let held = allocations::of_provider(tx, id)?;
    let consumers: BTreeSet<Uuid> = held.iter().map(|a| a.consumer).collect();
    Ok(Some(Loaded {
        provider,
        inventories: inventories::of(tx, id)?,
        traits: traits::of(tx, id)?.into_iter().map(|t| t.name).collect(),
        aggregates: providers::aggregates(tx, id)?,
        consumers: i64::try_from(consumers.len()).unwrap_or(i64::MAX),
    }))
}

/// Several providers; those that are gone are missing.
pub(crate) fn load_many(tx: &mut Tx, ids: &[Uuid]) -> Result<std::collections::BTreeMap<Uuid, Loaded>> {
    // Five queries a provider, or five for all of them.
    const MANY: usize = 32;
    if ids.len() > MANY {
        let wanted: BTreeSet<&Uuid> = ids.iter().collect();
        return Ok(load_all(tx)?.into_iter().map(|l| (l.provider.id, l)).filter(|(id, _)| wanted.contains(id)).collect());
    }
    let mut out = std::collections::BTreeMap::new();
    for id in ids {
        if let Some(l) = load_one(tx, *id)? {
            out.insert(*id, l);
        }
    }
    Ok(out)
}

/// Every provider with all that belongs to it, in five queries.
pub(crate) fn load_all(tx: &mut Tx) -> Result<Vec<Loaded>> {
    let mut out: std::collections::BTreeMap<Uuid, Loaded> = providers::all(tx)?
        .into_iter()
        .map(|provider| {
            let (inventories, traits, aggregates) = (Vec::new(), Vec::new(), Vec::new());
            (provider.id, Loaded { provider, inventories, traits, aggregates, consumers: 0 })
        })
        .collect();
    for (id, i) in inventories::all(tx)? {
        out.entry(id).and_modify(|l| l.inventories.push(i));
    }
    for (id, t) in traits::all(tx)? {
        out.entry(id).and_modify(|l| l.traits.push(t));
    }
    for (id, a) in providers::all_aggregates(tx)? {
        out.entry(id).and_modify(|l| l.aggregates.push(a));
    }
    for (id, n) in allocations::consumers_per_provider(tx)? {
        out.entry(id).and_modify(|l| l.consumers = n);
    }
    Ok(out.into_values().collect())
}
