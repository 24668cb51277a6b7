//! The intent of an action on an existing server: refused at once, or stored in one unit and started.

use crate::error::Error;
use crate::flows::{self, Input};
use crate::peers::Reach;
use crate::request::{Accepted, ActionRequest};
use crate::Conductor;
use model::actions::{Refusal, admit};
use model::flow::{FlowRow, FlowState};
use model::server::{LockedBy, Server, VmState};
use model::{Action, Context};
use store::changes::Topic;
use uuid::Uuid;

impl ActionRequest {
    /// The action that is meant.
    pub fn action(&self) -> Action {
        match self {
            ActionRequest::Start => Action::Start,
            ActionRequest::Stop => Action::Stop,
            ActionRequest::Reboot { hard: false } => Action::RebootSoft,
            ActionRequest::Reboot { hard: true } => Action::RebootHard,
            ActionRequest::Pause => Action::Pause,
            ActionRequest::Unpause => Action::Unpause,
            ActionRequest::Suspend => Action::Suspend,
            ActionRequest::Resume => Action::Resume,
            ActionRequest::Lock { .. } => Action::Lock,
            ActionRequest::Unlock => Action::Unlock,
            ActionRequest::Snapshot { .. } => Action::Snapshot,
            ActionRequest::Rebuild(_) => Action::Rebuild,
            ActionRequest::Delete => Action::Delete,
        }
    }
}

/// Nova's sentence for a refusal (`nova/exception.py`, `InstanceInvalidState`, `InstanceIsLocked`).
fn sentence(id: Uuid, action: Action, refusal: Refusal) -> Error {
    let word = action.row().name;
    let message = match &refusal {
        Refusal::VmState(s) => format!("Cannot '{word}' instance {id} while it is in vm_state {}", s.as_str()),
        Refusal::TaskState(t) => format!("Cannot '{word}' instance {id} while it is in task_state {t}"),
        Refusal::Locked => format!("Instance {id} is locked"),
    };
    Error::State { refusal, message }
}

impl Conductor {
    /// Accepts an action: state, lock and facet are checked before anything is stored; then one unit, then the flow.
    /// The caller has checked ownership and policy.
    /// # Errors
    /// Every refusal; nothing is stored then.
    pub async fn act(&self, ctx: &Context, id: Uuid, request: ActionRequest) -> Result<Accepted, Error> {
        let action = request.action();
        let server = self.server(id).await?;
        self.admissible(ctx, &server, action)?;
        match request {
            ActionRequest::Lock { reason } => self.lock(ctx, id, true, reason).await,
            ActionRequest::Unlock => self.lock(ctx, id, false, None).await,
            other => self.intend(ctx, server, other).await,
        }
    }

    pub(crate) async fn server(&self, id: Uuid) -> Result<Server, Error> {
        match self.store.read(move |tx| store::servers::get(tx, id)).await {
            Ok(s) => Ok(s),
            Err(store::Error::NotFound { .. }) => Err(Error::NoServer(id)),
            Err(e) => Err(e.into()),
        }
    }

    /// State, lock and facet.
    fn admissible(&self, ctx: &Context, server: &Server, action: Action) -> Result<(), Error> {
        admit(action, server.vm_state, server.action, server.locked_by.is_some(), ctx.is_admin())
            .map_err(|r| sentence(server.id, action, r))?;
        if action == Action::Delete || matches!(action, Action::Lock | Action::Unlock) {
            return Ok(());
        }
        let reach = self.reach(server)?;
        match (action.row().facet, reach) {
            (Some(facet), Reach::Here(host)) => self.need(&host, facet, action.row().name),
            (Some(facet), Reach::There(peer)) if !peer.service.facets.iter().any(|f| f == facet) => Err(Error::NoFacet {
                driver: peer.service.driver,
                host: peer.service.host,
                action: action.row().name.to_owned(),
                facet: facet.to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// Lock and unlock are rows only: one unit, no flow.
    async fn lock(&self, ctx: &Context, id: Uuid, lock: bool, reason: Option<String>) -> Result<Accepted, Error> {
        let admin = ctx.is_admin();
        let now = self.env.now();
        let row = self.row(ctx, if lock { Action::Lock } else { Action::Unlock }, id, serde_json::Value::Null);
        let outcome = self
            .store
            .write(move |tx| {
                let mut kept = false;
                let server = store::servers::change(tx, id, now, |server| {
                    if !lock && server.locked_by == Some(LockedBy::Admin) && !admin {
                        kept = true;
                        return Ok(());
                    }
                    server.locked_by = match (lock, server.locked_by) {
                        (false, _) => None,
                        // An owner's lock over an administrator's changes nothing.
                        (true, Some(LockedBy::Admin)) => Some(LockedBy::Admin),
                        (true, _) if admin => Some(LockedBy::Admin),
                        (true, _) => Some(LockedBy::Owner),
                    };
                    server.body.lock_reason = if lock { reason.clone() } else { None };
                    Ok(())
                })?;
                if kept {
                    return Err(store::Error::abort(Error::Conflict(format!(
                        "Instance {id} is locked by an administrator; only an administrator can unlock it."
                    ))));
                }
                let mut row = row.clone();
                row.project_id = server.project_id;
                row.state = FlowState::Done;
                store::flows::insert(tx, &row)
            })
            .await;
        outcome.map_err(own_error)?;
        Ok(Accepted::default())
    }

    /// A flow row of this controller, leased at birth.
    pub(crate) fn row(&self, ctx: &Context, action: Action, server: Uuid, input: serde_json::Value) -> FlowRow {
        let now = self.env.now();
        FlowRow {
            id: self.env.ordered_uuid(),
            action,
            version: flows::VERSION,
            server_id: server,
            project_id: ctx.project_id().to_owned(),
            user_id: ctx.user_id.clone(),
            request_id: ctx.request_id.clone(),
            state: FlowState::Running,
            input,
            steps: Vec::new(),
            message: None,
            owner: self.options.name.clone(),
            // Leases are counted in steady time: a clock that is set neither ends nor prolongs one.
            lease_until: self.env.clock.steady().plus(self.options.lease),
            cancel: false,
            created_at: now,
            updated_at: now,
        }
    }

    /// Commit 1 of an action, then its flow.
    pub(crate) async fn intend(&self, ctx: &Context, server: Server, request: ActionRequest) -> Result<Accepted, Error> {
        let action = request.action();
        let input = Input { was: Some(server.vm_state), ..Input::default() };
        let mut plan = Plan { input, image: None, rebuild: None };
        let mut row = self.row(ctx, action, server.id, serde_json::Value::Null);
        match request {
            ActionRequest::Snapshot { name, metadata } => {
                let image = self.snapshot_image(ctx, &server, row.id, name, metadata);
                plan.input.image = Some(image.id);
                plan.image = Some(image);
            }
            ActionRequest::Rebuild(r) => plan.rebuild = Some(*r),
            _ => {}
        }
        let accepted = Accepted { image: plan.input.image };
        row.input = serde_json::to_value(&plan.input).map_err(|e| store::Error::corrupt("flow input", e))?;
        row.project_id = server.project_id.clone();
        let admin = ctx.is_admin();
        let now = self.env.now();
        let id = server.id;
        let (stored, me) = (row.clone(), self.clone());
        let (fresh, owner, abandoned) = self
            .store
            .write(move |tx| {
                let mut stored = stored.clone();
                let mut abandoned = None;
                // The check before was a courtesy; this one decides, in the unit that changes the state.
                let begun = store::servers::begin_action(tx, id, action, stored.id, admin, now)?;
                if let Some((_, flow)) = begun.preempted {
                    // The image that it was to fill goes with it; its bytes follow.
                    abandoned = store::flows::get(tx, flow).ok().as_ref().and_then(crate::finish::flow_image);
                    if let Some(image) = abandoned {
                        store::image::remove(tx, image, now)?;
                    }
                    store::flows::supersede(tx, flow, now)?;
                }
                let mut server = begun.server;
                if action == Action::Suspend || plan.rebuild.is_some() {
                    if let Some(r) = &plan.rebuild {
                        flows::rebuild::apply(&mut server, r);
                    } else {
                        server.body.old_vm_state = Some(server.vm_state);
                    }
                    store::servers::update(tx, &server, Some(stored.id))?;
                }
                if let Some(image) = &plan.image {
                    store::image::insert(tx, image)?;
                }
                stored.owner = me.owner_of(server.host.as_deref());
                if stored.owner != me.options.name {
                    tx.note(Topic::Flow, stored.id);
                }
                store::flows::insert(tx, &stored)?;
                Ok((server, stored.owner, abandoned))
            })
            .await
            .map_err(own_error)?;
        // Another controller holds the host: the row is its command.
        if owner == self.options.name {
            self.launch(row, fresh);
        }
        if let Some(image) = abandoned
            && let Err(error) = self.images.settle(image).await
        {
            tracing::warn!(%image, %error, "an abandoned snapshot's bytes stay until the next start");
        }
        Ok(accepted)
    }
}

/// What the unit will do beside the state change.
#[derive(Clone)]
struct Plan {
    input: Input,
    image: Option<model::image::Image>,
    rebuild: Option<crate::request::RebuildRequest>,
}

/// A refusal that ended the unit comes out as itself.
pub(crate) fn own_error(e: store::Error) -> Error {
    let e = match e.aborted_as::<Error>() {
        Ok(own) => return own,
        Err(other) => other,
    };
    let e = match e.aborted_as::<store::servers::Refused>() {
        Ok(r) => return sentence(r.server, r.action, r.refusal),
        Err(other) => other,
    };
    let e = match e.aborted_as::<network::Error>() {
        Ok(own) => return Error::Network(own),
        Err(other) => other,
    };
    match e.aborted_as::<store::quotas::Exceeded>() {
        Ok(q) => Error::Quota {
            resources: q.resource,
            requested: q.requested.to_string(),
            used: q.used.to_string(),
            limit: q.limit.to_string(),
        },
        Err(store::Error::NotFound { what: "server", id }) if Uuid::try_parse(&id).is_ok() => {
            Error::NoServer(Uuid::try_parse(&id).unwrap_or_default())
        }
        Err(other) => Error::Store(other),
    }
}

/// The state an ended suspension returns to.
pub(crate) fn resumed(server: &Server) -> VmState {
    server.body.old_vm_state.unwrap_or(VmState::Active)
}
