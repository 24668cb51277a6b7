//! The intent of a build: rank in memory, then one unit with claim, quota, ports, server and flow row, for all the
//! servers of the request. No host fits: the unit stores the server in ERROR with the reasons, and that is all.

use crate::accept::own_error;
use crate::flows::Input;
use crate::request::{BuildRequest, NetworkRequest, NicRequest};
use crate::{Conductor, Error};
use driver_api::{PowerState, Timestamp};
use model::fault::ServerFault;
use model::flow::{FlowRow, FlowState, StepRecord};
use model::placement::Resources;
use model::quota::Resource;
use model::server::{Server, ServerBody, ServerPort, VmState};
use model::server_group::ServerGroup;
use model::{Action, Context};
use network::RequestedNic;
use placement::{Claimant, RequestSpec};
use std::collections::BTreeMap;
use store::changes::Topic;
use uuid::Uuid;

/// A place a server may go to, as the flow keeps it.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Place {
    pub provider: Uuid,
    pub host: String,
    pub node: String,
    pub zone: String,
}

impl From<&placement::Candidate> for Place {
    fn from(c: &placement::Candidate) -> Place {
        Place { provider: c.provider, host: c.host.clone(), node: c.node.clone(), zone: c.zone.clone() }
    }
}

/// A host name from a server's name (`nova/utils.py`, `sanitize_hostname`). Pure.
pub(crate) fn hostname(name: &str, id: Uuid) -> String {
    let mut out: String = name
        .chars()
        .map(|c| if c == ' ' || c == '_' || c == '.' { '-' } else { c.to_ascii_lowercase() })
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .collect();
    out = out.trim_matches('-').chars().take(63).collect();
    let out = out.trim_end_matches('-');
    if out.is_empty() { format!("server-{id}") } else { out.to_owned() }
}

impl Conductor {
    /// The request to the scheduler, with the hints that name servers turned into hosts.
    pub(crate) async fn request_spec(&self, r: &BuildRequest, owner: &str) -> Result<RequestSpec, Error> {
        let image = r.image.as_ref().map(|i| (i.disk_format.as_str(), &i.properties));
        let mut spec = RequestSpec::of(&r.flavor.snapshot(), image);
        spec.zone.clone_from(&r.zone);
        spec.forced_host = r.forced_host.clone().or_else(|| r.requested_host.clone());
        spec.forced_node.clone_from(&r.forced_node);
        if !matches!(r.networks, NetworkRequest::None) {
            spec.required_traits.insert("CUSTOM_KILONOVA_NETWORKING".into());
        }
        let (same, different) = (named(&r.hints, "same_host")?, named(&r.hints, "different_host")?);
        if !same.is_empty() || !different.is_empty() {
            let (owner, s, d) = (owner.to_owned(), same.clone(), different);
            let (same_hosts, other_hosts) = self
                .store
                .read(move |tx| Ok((hosts_of(tx, &owner, &s)?, hosts_of(tx, &owner, &d)?)))
                .await?;
            if !same.is_empty() {
                spec.same_host = Some(same_hosts);
            }
            spec.different_host = other_hosts;
        }
        Ok(spec)
    }

    /// Accepts a build: one unit for all its servers, then a flow each.
    /// # Errors
    /// Quota, group, network or database; nothing is stored then.
    pub async fn build(&self, ctx: &Context, r: BuildRequest) -> Result<Vec<Server>, Error> {
        let mut spec = self.request_spec(&r, ctx.project_id()).await?;
        // Every server of the request may need a host of its own.
        spec.limit = spec.limit.max(r.max_count as usize + 1);
        let group = crate::groups::hinted(&r.hints)?;
        let drafts = self.drafts(ctx, &r);
        let mut round = 1;
        let made = loop {
            let ranked = self.placement.select(&spec).await.map_err(|placement::Error::Store(e)| e)?;
            let order = Order {
                drafts: drafts.clone(),
                places: ranked.candidates.iter().map(Place::from).collect(),
                no_host: ranked.no_valid_host(),
                spec: spec.clone(),
                tie: self.env.random.u64(),
                group,
                nics: nics(&r.networks),
                groups: r.security_groups.clone(),
                min: r.min_count as usize,
                now: self.env.now(),
                last: round == ROUNDS,
            };
            let (me, owner) = (self.clone(), ctx.clone());
            let outcome = self.store.write(move |tx| me.commit_build(tx, &owner, &order)).await;
            match outcome.map_err(|e| e.aborted_as::<Outrun>()) {
                Ok(made) => break made,
                // Others took every host that memory proposed: it reads those again and proposes anew.
                Err(Ok(outrun)) => self.placement.refresh(outrun.tried).await.map_err(|placement::Error::Store(e)| e)?,
                Err(Err(e)) => return Err(own_error(e)),
            }
            round += 1;
        };
        let mut servers = Vec::with_capacity(made.len());
        for (server, row, place) in made {
            if let (Some(row), Some(place)) = (row, place) {
                self.placement.note_claimed(place.provider, &spec.resources);
                if !server.body.ports.is_empty() {
                    self.network.notify_bound(server.id);
                }
                // Another controller holds the host: the row is its command.
                if row.owner == self.options.name {
                    self.launch(row, server.clone());
                }
            }
            servers.push(server);
        }
        Ok(servers)
    }

    /// Servers and flow rows as they will be stored, without a place yet.
    fn drafts(&self, ctx: &Context, r: &BuildRequest) -> Vec<(Server, FlowRow)> {
        let reservation = format!("r-{}", &self.env.uuid().simple().to_string()[..8]);
        let now = self.env.now();
        (0..r.max_count)
            .map(|n| {
                let id = self.env.ordered_uuid();
                let name = if r.max_count > 1 { format!("{}-{}", r.name, n + 1) } else { r.name.clone() };
                let given = r.hostname.as_ref().map(|h| if r.max_count > 1 { format!("{h}-{}", n + 1) } else { h.clone() });
                let body = body(r, given.unwrap_or_else(|| hostname(&name, id)), reservation.clone(), n);
                let row = self.row(ctx, Action::Build, id, serde_json::Value::Null);
                let server = Server {
                    id,
                    project_id: ctx.project_id().to_owned(),
                    user_id: ctx.user_id.clone(),
                    name,
                    vm_state: VmState::Building,
                    power_state: PowerState::NoState,
                    action: Some(Action::Build),
                    flow_id: Some(row.id),
                    host: None,
                    node: None,
                    zone: None,
                    generation: 1,
                    created_at: now,
                    updated_at: now,
                    launched_at: None,
                    deleted_at: None,
                    locked_by: None,
                    body,
                };
                (server, row)
            })
            .collect()
    }

    /// Commit 1.
    fn commit_build(&self, tx: &mut store::Tx, ctx: &Context, order: &Order) -> Result<Vec<Made>, store::Error> {
        let count = self.reserve(tx, ctx, order)?;
        let (mut places, mut no_host) = (order.places.clone(), order.no_host.clone());
        let group = match order.group {
            Some(id) => {
                let joined = self.enter_group(tx, ctx, id, count)?;
                // Where the members are is known for certain only now that the group is held.
                let spec = RequestSpec { group: Some(joined.clone()), ..order.spec.clone() };
                let ranked = self.placement.rank_with(&spec, order.tie);
                (places, no_host) = (ranked.candidates.iter().map(Place::from).collect(), ranked.no_valid_host());
                Some(joined.group)
            }
            None => None,
        };
        let mut made = Vec::with_capacity(count);
        // Each server begins where the one before left off, so that several are spread over equal hosts.
        let mut first = 0;
        for (draft, row) in order.drafts.iter().take(count) {
            let (mut server, mut row) = (draft.clone(), row.clone());
            if let Some(g) = &group {
                store::server_groups::join(tx, g.id, server.id, order.now)?;
            }
            let who = Claimant {
                consumer: server.id,
                project_id: server.project_id.clone(),
                user_id: server.user_id.clone(),
            };
            let mut chosen = None;
            for offset in 0..places.len() {
                let index = (first + offset) % places.len();
                if claim_place(tx, order.now, &who, &places[index], &order.spec.resources, group.as_ref())? {
                    chosen = Some(index);
                    break;
                }
            }
            let Some(index) = chosen else {
                if !places.is_empty() && !order.last {
                    return Err(store::Error::abort(Outrun { tried: places.iter().map(|p| p.provider).collect() }));
                }
                made.push(fail_build(tx, server, row, &no_host, order.now)?);
                continue;
            };
            first = index + 1;
            let place = places[index].clone();
            server.host = Some(place.host.clone());
            server.node = Some(place.node.clone());
            server.zone = Some(place.zone.clone());
            self.wire(tx, ctx, &mut server, order)?;
            let others = (1..places.len()).map(|o| places[(index + o) % places.len()].clone());
            let others = others.take(placement::spec::CANDIDATES - 1);
            let input = Input { alternates: others.collect(), ..Input::default() };
            row.input = serde_json::to_value(&input).map_err(|e| store::Error::corrupt("flow input", e))?;
            row.owner = self.owner_of(Some(&place.host));
            if row.owner != self.options.name {
                tx.note(Topic::Flow, row.id);
            }
            store::servers::insert(tx, &server)?;
            store::flows::insert(tx, &row)?;
            made.push((server, Some(row), Some(place)));
        }
        Ok(made)
    }

    /// Takes quota for as many servers as may be made, between the request's minimum and maximum.
    fn reserve(&self, tx: &mut store::Tx, ctx: &Context, order: &Order) -> Result<usize, store::Error> {
        let Some((draft, _)) = order.drafts.first() else { return Ok(0) };
        let f = &draft.body.flavor;
        let each = [
            (self.resource("instances"), 1),
            (self.resource("cores"), i64::from(f.vcpus)),
            (self.resource("ram"), i64::try_from(f.memory_mib).unwrap_or(i64::MAX)),
        ];
        let project = ctx.project_id();
        let min = order.min.max(1);
        let mut count = order.drafts.len();
        if count > min {
            // What fits now, read first; the guarded update below decides.
            for (resource, n) in &each {
                let usage = store::quotas::usage(tx, project, resource)?;
                if usage.limit >= 0 && *n > 0 {
                    count = count.min(usize::try_from((usage.limit - usage.used).max(0) / n).unwrap_or(0));
                }
            }
        }
        let count = count.max(min);
        let times = i64::try_from(count).unwrap_or(i64::MAX);
        let wanted: Vec<_> = each.iter().map(|(r, n)| (r, n.saturating_mul(times))).collect();
        store::quotas::claim(tx, project, &wanted)?;
        Ok(count)
    }

    /// A counted resource with this cloud's default limit.
    pub(crate) fn resource(&self, name: &'static str) -> Resource {
        let built_in = model::quota::COMPUTE.iter().find(|r| r.name == name).map_or(-1, |r| r.default);
        Resource { name, default: self.options.quota.get(name).copied().unwrap_or(built_in), counted: true }
    }

    /// Ports of one server, bound to its host.
    fn wire(&self, tx: &mut store::Tx, ctx: &Context, server: &mut Server, order: &Order) -> Result<(), store::Error> {
        let Some(nics) = &order.nics else { return Ok(()) };
        let host = server.host.clone().unwrap_or_default();
        let zone = server.zone.clone().unwrap_or_default();
        let ports = self
            .network
            .ports_for_server(tx, ctx, nics, server.id, &host, &zone, &order.groups)
            .map_err(network::Error::into_store)?;
        server.body.ports = ports
            .into_iter()
            .map(|p| ServerPort {
                port_id: p.id,
                network_id: p.network_id,
                network_name: p.network_name,
                mac: p.mac,
                ips: p.ips,
                ours: p.ours,
                tag: p.tag,
            })
            .collect();
        Ok(())
    }

    /// Moves a build to its next host: one more unit, only when a host failed.
    pub(crate) async fn move_build(&self, flow: Uuid, server: &Server, input: &mut Input) -> Result<Moved, Error> {
        let (id, places, now) = (server.id, input.alternates.clone(), self.env.now());
        let resources = placement::flavor_resources(&server.body.flavor);
        let ready: Vec<Place> = places.into_iter().filter(|p| self.placement.is_ready(&p.host)).collect();
        let (network, needs, owner) = (self.network.clone(), resources.clone(), self.options.name.clone());
        let (me, until) = (self.clone(), self.env.clock.steady().plus(self.options.lease));
        let moved = self
            .store
            .write(move |tx| {
                let mut server = store::servers::lock(tx, id)?;
                if server.flow_id != Some(flow) {
                    return Ok(None);
                }
                // The group before the hosts, as in the unit that took them.
                let group = crate::groups::held(tx, &server)?;
                let released = placement::release(tx, id)?;
                let who = Claimant { consumer: id, project_id: server.project_id.clone(), user_id: server.user_id.clone() };
                for (n, place) in ready.iter().enumerate() {
                    if !claim_place(tx, now, &who, place, &needs, group.as_ref())? {
                        continue;
                    }
                    server.host = Some(place.host.clone());
                    server.node = Some(place.node.clone());
                    server.zone = Some(place.zone.clone());
                    server.generation += 1;
                    server.updated_at = now;
                    network.bind_host(tx, id, &place.host).map_err(network::Error::into_store)?;
                    let rest = Input { alternates: ready[n + 1..].to_vec(), ..Input::default() };
                    store::servers::update(tx, &server, Some(flow))?;
                    let input = serde_json::to_value(&rest).map_err(|e| store::Error::corrupt("flow input", e))?;
                    store::flows::set_input(tx, flow, &owner, &input, now)?;
                    let to = me.owner_of(Some(&place.host));
                    if to != owner {
                        store::flows::hand_over(tx, flow, &owner, &to, until)?;
                    }
                    return Ok(Some((server, place.clone(), rest, released, to != owner)));
                }
                // Nothing is left: the claim goes back to how it was and is let go by the flow's end.
                Err(store::Error::Busy)
            })
            .await;
        match moved {
            Ok(Some((server, place, rest, released, away))) => {
                self.placement.note_released(&released);
                self.placement.note_claimed(place.provider, &resources);
                *input = rest;
                Ok(if away { Moved::Away } else { Moved::Here(Box::new(server)) })
            }
            Ok(None) | Err(store::Error::Busy) => Ok(Moved::Nowhere),
            Err(e) => Err(e.into()),
        }
    }
}

/// Where a build went on.
pub(crate) enum Moved {
    /// On another host of this controller.
    Here(Box<Server>),
    /// On a host of another controller, which runs the flow now.
    Away,
    /// No host is left.
    Nowhere,
}

type Made = (Server, Option<FlowRow>, Option<Place>);

/// What commit 1 needs.
struct Order {
    drafts: Vec<(Server, FlowRow)>,
    places: Vec<Place>,
    no_host: String,
    spec: RequestSpec,
    /// Decides between equal hosts where the ranking is made in the unit.
    tie: u64,
    /// Server group to join.
    group: Option<Uuid>,
    nics: Option<Vec<RequestedNic>>,
    groups: Vec<String>,
    min: usize,
    now: Timestamp,
    /// No further round: what finds no host is stored in ERROR.
    last: bool,
}

/// How often a build asks memory for hosts before it believes that there is none.
const ROUNDS: u32 = 8;

/// Every proposed host was taken by others; nothing is stored.
#[derive(Debug, thiserror::Error)]
#[error("every proposed host was taken meanwhile")]
struct Outrun {
    /// Providers whose columns are behind.
    tried: Vec<Uuid>,
}

/// Claims a place for a server and, where it is in a group (held by the caller), its place in the group.
fn claim_place(
    tx: &mut store::Tx,
    now: Timestamp,
    who: &Claimant,
    place: &Place,
    needs: &Resources,
    group: Option<&ServerGroup>,
) -> Result<bool, store::Error> {
    let Some(group) = group else { return placement::claim(tx, now, who, place.provider, needs) };
    if !store::server_groups::place(tx, group, who.consumer, &place.host)? {
        return Ok(false);
    }
    let claimed = placement::claim(tx, now, who, place.provider, needs)?;
    if !claimed {
        store::server_groups::unplace(tx, who.consumer)?;
    }
    Ok(claimed)
}

/// A server for which there is no host: stored in ERROR with the reasons, its action ended.
fn fail_build(
    tx: &mut store::Tx,
    mut server: Server,
    mut row: FlowRow,
    no_host: &str,
    now: Timestamp,
) -> Result<Made, store::Error> {
    server.vm_state = VmState::Error;
    server.action = None;
    server.flow_id = None;
    server.body.fault =
        Some(ServerFault { code: 500, message: no_host.to_owned(), details: None, created_at: now });
    row.state = FlowState::Failed;
    row.message = Some(no_host.to_owned());
    row.input = serde_json::to_value(Input::default()).map_err(|e| store::Error::corrupt("flow input", e))?;
    row.steps = vec![StepRecord {
        name: "conductor_schedule_and_build_instances".into(),
        started_at: now,
        finished_at: Some(now),
        result: Some("Error".into()),
        host: None,
        detail: Some(no_host.to_owned()),
    }];
    store::servers::insert(tx, &server)?;
    store::flows::insert(tx, &row)?;
    Ok((server, None, None))
}

fn nics(r: &NetworkRequest) -> Option<Vec<RequestedNic>> {
    match r {
        NetworkRequest::None => None,
        NetworkRequest::Auto => Some(Vec::new()),
        NetworkRequest::Nics(list) => Some(
            list.iter()
                .map(|n| match n.clone() {
                    NicRequest::Network { id, fixed_ip, tag } => RequestedNic::Network { id, fixed_ip, tag },
                    NicRequest::Port { id, tag } => RequestedNic::Port { id, tag },
                })
                .collect(),
        ),
    }
}

fn body(r: &BuildRequest, hostname: String, reservation_id: String, launch_index: u32) -> ServerBody {
    let mut tags = r.tags.clone();
    tags.sort();
    ServerBody {
        flavor: r.flavor.snapshot(),
        image: r.image.as_ref().map(|i| i.id),
        kernel: r.kernel.as_ref().map(|i| i.id),
        ramdisk: r.ramdisk.as_ref().map(|i| i.id),
        key: r.key.clone(),
        metadata: r.metadata.clone(),
        tags,
        description: r.description.clone(),
        hostname,
        config_drive: r.config_drive,
        requested_zone: r.zone.clone(),
        user_data: r.user_data.clone(),
        admin_pass: Some(r.admin_pass.clone()),
        posted_password: None,
        access_ipv4: r.access_ipv4.clone(),
        access_ipv6: r.access_ipv6.clone(),
        security_groups: if r.security_groups.is_empty() { vec!["default".into()] } else { r.security_groups.clone() },
        ports: Vec::new(),
        fault: None,
        hints: r.hints.clone(),
        reservation_id,
        launch_index,
        root_device: None,
        old_vm_state: None,
        lock_reason: None,
        disk_config: r.disk_config.clone(),
        backend_name: String::new(),
        trusted_certs: r.trusted_certs.clone(),
        image_properties: r.image.as_ref().map(|i| i.properties.clone()).unwrap_or_default(),
        image_name: r.image.as_ref().map(|i| i.name.clone()),
    }
}

/// Server ids of a hint, which may be one or a list.
fn named(hints: &BTreeMap<String, serde_json::Value>, key: &str) -> Result<Vec<Uuid>, Error> {
    let values = match hints.get(key) {
        None => return Ok(Vec::new()),
        Some(serde_json::Value::Array(list)) => list.clone(),
        Some(one) => vec![one.clone()],
    };
    values
        .iter()
        .map(|v| v.as_str().and_then(|s| Uuid::try_parse(s).ok()))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| Error::Invalid(format!("os:scheduler_hints {key}: give ids of servers")))
}

/// Hosts of the project's own servers; ids of others are not told apart from ids of none.
fn hosts_of(tx: &mut store::Tx, owner: &str, servers: &[Uuid]) -> Result<Vec<String>, store::Error> {
    let mut hosts = Vec::new();
    for id in servers {
        match store::servers::get(tx, *id) {
            Ok(s) if s.project_id == owner => hosts.extend(s.host),
            Ok(_) | Err(store::Error::NotFound { .. }) => {}
            Err(e) => return Err(e),
        }
    }
    hosts.sort();
    hosts.dedup();
    Ok(hosts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_are_clean() {
        let id = Uuid::nil();
        assert_eq!(hostname("My Server_1", id), "my-server-1");
        assert_eq!(hostname("-ä.", id), format!("server-{id}"));
        assert_eq!(hostname(&"x".repeat(80), id).len(), 63);
    }
}
