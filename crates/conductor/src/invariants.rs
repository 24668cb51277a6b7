//! What must hold at every moment, faults or not: a server that is on its way is somebody's, for a bounded time.
//!
//! Pure, so that a simulation can ask it each second and the audit each time. It mends nothing: whoever breaks one of
//! these sentences has a bug, not a state.

use crate::Conductor;
use driver_api::Timestamp;
use model::flow::FlowRow;
use model::server::{Server, VmState};
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long a flow belongs to its controller without renewal.
    pub lease: Duration,
    /// Longest time of one run of a flow, its undos not counted.
    pub deadline: Duration,
}

/// What a run may take beyond its deadline: the driver's own giving up, and as much again for the undos.
pub(crate) const GRACE: Duration = Duration::from_secs(30);

/// Every broken sentence about `servers` (living ones) and `flows` (unfinished ones), read in one snapshot. Pure.
///
/// A server in a transitional state has an unfinished flow of the same action; the flow has an owner and a lease that
/// ended no longer than one lease ago, so that from any fault to the taking up no more than two leases pass; a lease
/// reaches no further than one given now would. And no unfinished flow is without its server.
pub fn invariants(servers: &[Server], flows: &[FlowRow], now: Timestamp, limits: &Limits) -> Vec<String> {
    let by_id: BTreeMap<Uuid, &FlowRow> = flows.iter().map(|f| (f.id, f)).collect();
    let owner_of: BTreeMap<Uuid, &Server> = servers.iter().filter_map(|s| Some((s.flow_id?, s))).collect();
    let mut out = Vec::new();
    for s in servers {
        match (s.action, s.flow_id) {
            (None, None) if s.vm_state == VmState::Building => out.push(format!("server {}: building, and nothing builds it", s.id)),
            (None, None) => {}
            (Some(action), Some(flow)) => match by_id.get(&flow) {
                None => out.push(format!("server {}: {} belongs to flow {flow}, which is not unfinished", s.id, action.as_str())),
                Some(f) if f.server_id != s.id || f.action != action => {
                    out.push(format!("server {}: {} belongs to flow {flow}, which is {} of {}", s.id, action.as_str(), f.action.as_str(), f.server_id));
                }
                Some(_) => {}
            },
            (action, flow) => out.push(format!("server {}: action {action:?} and flow {flow:?} do not go together", s.id)),
        }
    }
    for f in flows {
        let name = format!("flow {} ({} of server {})", f.id, f.action.as_str(), f.server_id);
        if f.state.is_final() {
            continue;
        }
        if !owner_of.contains_key(&f.id) {
            out.push(format!("{name}: unfinished, and its server is not its"));
        }
        if f.owner.is_empty() {
            out.push(format!("{name}: has no owner"));
        }
        let lapsed = now.since(f.lease_until);
        if lapsed > limits.lease {
            out.push(format!("{name}: its lease ended {} s ago and nobody took it up", lapsed.as_secs()));
        }
        let ahead = f.lease_until.since(now);
        if ahead > limits.lease {
            out.push(format!("{name}: its lease ends in {} s, later than one given now", ahead.as_secs()));
        }
    }
    out
}

impl Conductor {
    /// The limits of this conductor.
    pub fn limits(&self) -> Limits {
        Limits { lease: self.options.lease, deadline: self.options.deadline }
    }

    /// Every broken sentence about the records now, and about what runs in this process: nothing runs past its
    /// deadline, and what this controller owns with a living lease does run.
    /// # Errors
    /// The database's.
    pub async fn invariants(&self) -> Result<Vec<String>, store::Error> {
        let (servers, flows) = self
            .store
            .read(|tx| {
                let all = store::servers::list(tx, &store::servers::Filter::default(), &store::servers::Page::default(), |_| true)?;
                Ok((all, store::flows::unfinished(tx)?))
            })
            .await?;
        let now = self.env.clock.steady();
        let mut out = invariants(&servers, &flows, now, &self.limits());
        let longest = (self.options.deadline + GRACE) * 2;
        for (server, flow, since) in self.tasks.ages() {
            let age = now.since(since);
            if age > longest {
                out.push(format!("flow {flow} of server {server}: runs since {} s, longer than its deadline", age.as_secs()));
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Action;
    use model::flow::FlowState;

    const NOW: Timestamp = Timestamp(1_000_000_000_000);
    const LIMITS: Limits = Limits { lease: Duration::from_secs(60), deadline: Duration::from_secs(1800) };

    fn flow(n: u128, action: Action) -> FlowRow {
        FlowRow {
            id: Uuid::from_u128(n),
            action,
            version: 1,
            server_id: Uuid::from_u128(1),
            project_id: String::new(),
            user_id: String::new(),
            request_id: String::new(),
            state: FlowState::Running,
            input: serde_json::Value::Null,
            steps: Vec::new(),
            message: None,
            owner: "c1".into(),
            lease_until: NOW.plus(LIMITS.lease),
            cancel: false,
            created_at: NOW,
            updated_at: NOW,
        }
    }

    fn server(vm_state: VmState, task: Option<(Action, u128)>) -> Server {
        let body = serde_json::json!({
            "flavor": {"id": "1", "name": "tiny", "vcpus": 1, "memory_mib": 1, "root_gib": 0, "ephemeral_gib": 0,
                "swap_mib": 0, "extra_specs": {}},
            "metadata": {}, "tags": [], "hostname": "", "config_drive": false, "access_ipv4": "", "access_ipv6": "",
            "security_groups": [], "ports": [], "hints": {}, "reservation_id": "", "launch_index": 0,
            "disk_config": "AUTO", "backend_name": "", "image_properties": {},
        });
        Server {
            id: Uuid::from_u128(1),
            project_id: String::new(),
            user_id: String::new(),
            name: String::new(),
            vm_state,
            power_state: driver_api::PowerState::NoState,
            action: task.map(|t| t.0),
            flow_id: task.map(|t| Uuid::from_u128(t.1)),
            host: None,
            node: None,
            zone: None,
            generation: 1,
            created_at: NOW,
            updated_at: NOW,
            launched_at: None,
            deleted_at: None,
            locked_by: None,
            body: serde_json::from_value(body).expect("a body"),
        }
    }

    fn broken(servers: &[Server], flows: &[FlowRow]) -> usize {
        invariants(servers, flows, NOW, &LIMITS).len()
    }

    #[test]
    fn each_sentence_is_held() {
        let running = server(VmState::Active, Some((Action::Stop, 2)));
        assert_eq!(broken(std::slice::from_ref(&running), &[flow(2, Action::Stop)]), 0);
        assert_eq!(broken(&[server(VmState::Active, None)], &[]), 0);
        assert_eq!(broken(std::slice::from_ref(&running), &[]), 1, "no flow");
        assert_eq!(broken(std::slice::from_ref(&running), &[flow(2, Action::Start)]), 1, "another action");
        assert_eq!(broken(&[server(VmState::Building, None)], &[]), 1, "nothing builds it");
        assert_eq!(broken(&[server(VmState::Active, None)], &[flow(2, Action::Stop)]), 1, "a flow without its server");
        let half = Server { flow_id: None, ..running.clone() };
        assert_eq!(broken(&[half], &[]), 1, "half an action");
        let with = |edit: &dyn Fn(&mut FlowRow)| {
            let mut f = flow(2, Action::Stop);
            edit(&mut f);
            broken(std::slice::from_ref(&running), &[f])
        };
        assert_eq!(with(&|f| f.owner.clear()), 1, "no owner");
        assert_eq!(with(&|f| f.lease_until = Timestamp(NOW.0 - 60_000_000)), 0, "lapsed one lease ago");
        assert_eq!(with(&|f| f.lease_until = Timestamp(NOW.0 - 61_000_000)), 1, "left lying");
        assert_eq!(with(&|f| f.lease_until = NOW.plus(Duration::from_secs(61))), 1, "too far ahead");
    }
}
