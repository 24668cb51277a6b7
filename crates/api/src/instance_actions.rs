//! `…/os-instance-actions`: what was done to a server, and how it went. An action is a flow's row, an event a step.

use crate::Api;
use crate::ask::Ask;
use crate::query::{known, page, wrong};
use crate::servers::get::{Policy, even_gone, server};
use crate::servers::view::host_id;
use api_types::instance_actions::{Event, View};
use axum::Json;
use axum::extract::{Path, State};
use model::flow::{FlowRow, FlowState, StepRecord};
use model::policy::Rule;
use model::server::Server;
use model::{Timestamp, time};
use serde_json::{Value, json};
use web::{Fault, Query};

async fn subject(api: &Api, ask: &Ask, id: &str, policy: &'static str) -> Result<Server, Fault> {
    let policy = Policy(Rule::ProjectReader, policy);
    if ask.at_least(21) { even_gone(api, ask, id, policy).await } else { server(api, ask, id, policy).await }
}

fn view<'a>(ask: &Ask, f: &'a FlowRow) -> View<'a> {
    View {
        action: f.action.row().name,
        instance_uuid: f.server_id,
        request_id: &f.request_id,
        user_id: &f.user_id,
        project_id: &f.project_id,
        start_time: time::micros(f.created_at),
        message: (f.state == FlowState::Failed).then_some("Error"),
        updated_at: ask.at_least(58).then(|| time::micros(f.updated_at)),
        events: None,
    }
}

fn event<'a>(ask: &Ask, f: &'a FlowRow, s: &'a StepRecord) -> Event<'a> {
    let admin = ask.is_admin();
    Event {
        event: &s.name,
        start_time: time::micros(s.started_at),
        finish_time: s.finished_at.map(time::micros),
        result: s.result.as_deref(),
        traceback: admin.then_some(None),
        host: (admin && ask.at_least(62)).then_some(s.host.as_deref()),
        host_id: ask.at_least(62).then(|| host_id(s.host.as_deref(), &f.project_id)),
        details: (admin && ask.at_least(84)).then_some(s.detail.as_deref()),
    }
}

fn instant(ask: &Ask, query: &Query, key: &str, since: u16) -> Result<Option<Timestamp>, Fault> {
    match query.get(key).filter(|_| ask.at_least(since)) {
        None => Ok(None),
        Some(v) => time::parse(v).map(Some).ok_or_else(|| wrong(key, v, format!("'{v}' is not a 'date-time'"))),
    }
}

/// `GET`.
/// # Errors
/// 400, 404.
pub async fn list(State(api): State<Api>, ask: Ask, Path(id): Path<String>, query: Query) -> Result<Json<Value>, Fault> {
    let keys: &[&str] = if ask.at_least(66) {
        &["limit", "marker", "changes-since", "changes-before"]
    } else {
        &["limit", "marker", "changes-since"]
    };
    known(&ask, &query, 58, keys)?;
    let since = instant(&ask, &query, "changes-since", 58)?;
    let before = instant(&ask, &query, "changes-before", 66)?;
    if let (Some(s), Some(b)) = (since, before)
        && b < s
    {
        return Err(Fault::bad_request("The value of changes-since must be less than or equal to changes-before."));
    }
    let s = subject(&api, &ask, &id, "os_compute_api:os-instance-actions:list").await?;
    let mut flows = api.store().read(move |tx| store::flows::list_for_server(tx, s.id)).await?;
    flows.retain(|f| since.is_none_or(|t| f.updated_at >= t) && before.is_none_or(|t| f.updated_at <= t));
    if !ask.at_least(58) {
        let rows: Vec<View<'_>> = flows.iter().map(|f| view(&ask, f)).collect();
        return Ok(Json(json!({ "instanceActions": rows })));
    }
    let page = page(&query, api.options().max_limit)?;
    let start = match &page.marker {
        None => 0,
        Some(m) => {
            let at = flows.iter().position(|f| f.request_id == *m);
            at.ok_or_else(|| Fault::bad_request(format!("Marker {m} could not be found.")))? + 1
        }
    };
    let shown: Vec<&FlowRow> = flows.iter().skip(start).take(page.limit).collect();
    let rows: Vec<View<'_>> = shown.iter().map(|f| view(&ask, f)).collect();
    let mut body = json!({ "instanceActions": rows });
    if let Some(last) = shown.last().filter(|_| page.linked && shown.len() == page.limit) {
        let collection = format!("servers/{id}/os-instance-actions");
        body["links"] = json!(ask.base.next(&collection, &query, &last.request_id));
    }
    Ok(Json(body))
}

/// `GET …/{request}`. Events are shown to administrators, and from 2.51 on to all.
/// # Errors
/// 404.
pub async fn show(
    State(api): State<Api>,
    ask: Ask,
    Path((id, request)): Path<(String, String)>,
    query: Query,
) -> Result<Json<Value>, Fault> {
    known(&ask, &query, 102, &[])?;
    let s = subject(&api, &ask, &id, "os_compute_api:os-instance-actions:show").await?;
    let key = request.clone();
    let found = api.store().read(move |tx| store::flows::find_by_request(tx, s.id, &key)).await?;
    let flow = found.ok_or_else(|| Fault::not_found(format!("Action {request} not found")))?;
    let mut shown = view(&ask, &flow);
    if ask.is_admin() || ask.at_least(51) {
        // Newest first, as the original's rows come.
        shown.events = Some(flow.steps.iter().rev().map(|e| event(&ask, &flow, e)).collect());
    }
    Ok(Json(json!({ "instanceAction": shown })))
}
