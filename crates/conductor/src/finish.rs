//! Commit 2: the result of a flow, in one unit. What was only rows is let go here, together.

use crate::flows::Ending;
use crate::Conductor;
use driver_api::{Error, PowerState, Timestamp};
use flow::Record;
use model::actions::{After, OnError};
use model::fault::ServerFault;
use model::flow::{FlowRow, FlowState, StepRecord};
use model::server::{Server, VmState};

/// Steps with the hosts they ran on: `left` names each host that was left and how many steps there had been by then.
pub(crate) fn steps(records: &[Record], left: &[(usize, Option<String>)], last: Option<&String>) -> Vec<StepRecord> {
    let host = |index: usize| match left.iter().find(|(count, _)| index < *count) {
        Some((_, host)) => host.clone(),
        None => last.cloned(),
    };
    records
        .iter()
        .enumerate()
        .map(|(index, r)| StepRecord {
            name: r.name.to_owned(),
            started_at: Timestamp(r.started),
            finished_at: Some(Timestamp(r.finished)),
            result: Some(if r.error.is_none() { "Success" } else { "Error" }.to_owned()),
            host: host(index),
            detail: r.error.clone(),
        })
        .collect()
}

/// The server after its flow ended well. Pure.
fn settle(server: &mut Server, row: &FlowRow, ending: &Ending, now: Timestamp) {
    server.vm_state = ending.vm_state.unwrap_or(match row.action.row().then {
        After::Set(s) => s,
        After::Keep => server.vm_state,
        After::Old => server.body.old_vm_state.unwrap_or(VmState::Active),
    });
    if row.action == model::Action::Resume {
        server.body.old_vm_state = None;
    }
    if let Some(o) = &ending.observed {
        server.power_state = o.power;
        server.body.backend_name.clone_from(&o.backend_name);
        if o.root_device.is_some() {
            server.body.root_device.clone_from(&o.root_device);
        }
    }
    if server.vm_state == VmState::Active && server.launched_at.is_none() {
        server.launched_at = Some(now);
    }
    if server.vm_state != VmState::Error {
        server.body.fault = None;
    }
}

/// The server after its flow failed. Pure.
fn fail(server: &mut Server, row: &FlowRow, error: &Error, now: Timestamp) {
    if row.action.row().on_error == OnError::Error {
        server.vm_state = VmState::Error;
        if row.action == model::Action::Build {
            server.power_state = PowerState::NoState;
        }
    }
    server.body.fault = Some(ServerFault {
        code: 500,
        message: error.message.clone(),
        details: error.detail.clone(),
        created_at: now,
    });
}

impl Conductor {
    /// Ends a flow: result, server and everything that goes with them, or nothing if another flow owns the server.
    pub(crate) async fn end(&self, row: &FlowRow, server: &Server, steps: &[StepRecord], outcome: Result<Ending, Error>) {
        if let Err(e) = &outcome {
            tracing::warn!(flow = %row.id, server = %server.id, action = row.action.as_str(), error = %e, detail = ?e.detail, "flow failed");
        }
        let mut pause = std::time::Duration::from_millis(50);
        loop {
            match self.commit(row, server, steps, &outcome).await {
                Ok(()) => return,
                // Another controller runs the flow now: it may say how it ended, we may not.
                Err(store::Error::Conflict(error)) => return tracing::warn!(flow = %row.id, error, "the flow is another's now"),
                Err(error) => {
                    // The effect is there; only the record is missing. It is written when the database is back, or
                    // the flow runs again after a restart, which changes nothing.
                    tracing::error!(flow = %row.id, %error, "the result cannot be stored yet");
                    self.env.clock.sleep(pause).await;
                    pause = (pause * 2).min(std::time::Duration::from_secs(5));
                }
            }
        }
    }

    async fn commit(&self, row: &FlowRow, seen: &Server, steps: &[StepRecord], outcome: &Result<Ending, Error>) -> Result<(), store::Error> {
        let now = self.env.now();
        let (flow, id) = (row.clone(), seen.id);
        let steps = steps.to_vec();
        let image = self.image_of(&flow, outcome).await?;
        let settled = image.clone();
        let outcome = outcome.clone();
        let gone = outcome.as_ref().is_ok_and(|e| e.gone);
        let network = self.network.clone();
        let quota = ["instances", "cores", "ram"].map(|name| self.resource(name));
        let released = self
            .store
            .write(move |tx| {
                let current = match store::servers::lock(tx, id) {
                    Ok(server) if server.flow_id == Some(flow.id) => server,
                    Ok(_) | Err(store::Error::NotFound { .. }) => {
                        store::flows::supersede(tx, flow.id, now)?;
                        return Ok(None);
                    }
                    Err(e) => return Err(e),
                };
                let failed_build = outcome.is_err() && flow.action == model::Action::Build;
                let (mut claims, mut wires) = (Vec::new(), network::Released::default());
                // Quota, group, hosts: the order of the unit that took them, so that no two wait for each other.
                if gone {
                    let f = &current.body.flavor;
                    let ram = i64::try_from(f.memory_mib).unwrap_or(i64::MAX);
                    let back = [(&quota[0], 1), (&quota[1], i64::from(f.vcpus)), (&quota[2], ram)];
                    store::quotas::release(tx, &current.project_id, &back)?;
                }
                if gone || failed_build {
                    crate::groups::release(tx, &current, gone)?;
                    claims = placement::release(tx, id)?;
                    wires = network.release_server(tx, id).map_err(network::Error::into_store)?;
                } else if flow.action == model::Action::Build && !current.body.ports.is_empty() {
                    network.mark_active(tx, id, true).map_err(network::Error::into_store)?;
                }
                if let Some((image, written)) = &image {
                    match written {
                        Some(w) => store::image::activate(tx, *image, &writer(flow.id), w, now).map(|_| ())?,
                        None => store::image::delete(tx, *image, now).map(|_| ())?,
                    }
                }
                store::servers::finish_held(tx, current, flow.id, now, |server| {
                    match &outcome {
                        Ok(ending) => settle(server, &flow, ending, now),
                        Err(error) => fail(server, &flow, error, now),
                    }
                    if gone || failed_build {
                        server.host = None;
                        server.node = None;
                        server.body.ports.clear();
                    }
                    if gone {
                        server.vm_state = VmState::Deleted;
                        server.deleted_at = Some(now);
                        server.power_state = PowerState::NoState;
                    }
                })?;
                let (state, message) = match &outcome {
                    Ok(_) => (FlowState::Done, None),
                    Err(error) => (FlowState::Failed, Some(error.message.as_str())),
                };
                store::flows::finish(tx, flow.id, &flow.owner, state, &steps, message, now)?;
                Ok(Some((claims, wires)))
            })
            .await?;
        if let Some((claims, wires)) = released {
            self.placement.note_released(&claims);
            if !wires.networks.is_empty() {
                self.network.notify_released(wires);
            }
        }
        if let Some((image, _)) = settled
            && let Err(error) = self.images.settle(image).await
        {
            tracing::warn!(%image, %error, "the snapshot's record stays until the next start");
        }
        Ok(())
    }

    /// The image that the flow's end makes active (with what its bytes are) or removes.
    async fn image_of(
        &self,
        flow: &FlowRow,
        outcome: &Result<Ending, Error>,
    ) -> Result<Option<(uuid::Uuid, Option<model::image::Written>)>, store::Error> {
        Ok(match (outcome, flow_image(flow)) {
            (Ok(Ending { image: Some(id), .. }), _) => {
                Some((*id, self.images.written(*id).await.map_err(store::Error::abort)?))
            }
            (Err(_), Some(id)) => Some((id, None)),
            _ => None,
        })
    }

    /// The flow's undos could not all be done: it is given back with a lapsed lease, to be taken up soon.
    pub(crate) async fn park(&self, row: &FlowRow) {
        let (id, now, owner) = (row.id, self.env.now(), row.owner.clone());
        let lapsed = self.env.clock.steady();
        let outcome = self
            .store
            .write(move |tx| {
                store::flows::finish(tx, id, &owner, FlowState::Unwinding, &[], None, now)?;
                store::flows::lapse(tx, id, &owner, lapsed)
            })
            .await;
        if let Err(error) = outcome {
            tracing::error!(flow = %id, %error, "cannot be parked; its lease will lapse");
        }
    }
}

/// The writer's mark of a snapshot's image.
pub(crate) fn writer(flow: uuid::Uuid) -> String {
    format!("flow:{flow}")
}

/// The image that the flow fills, from its stored arguments.
pub(crate) fn flow_image(row: &FlowRow) -> Option<uuid::Uuid> {
    row.input.get("image").and_then(|v| serde_json::from_value(v.clone()).ok()).flatten()
}
