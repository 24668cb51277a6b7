//! `/v2.0/security-groups` and `/v2.0/security-group-rules`.

use super::attrs::{Attrs, TEXT, invalid, missing, objects, single};
use super::list::{self, Collection};
use super::networks::wrap;
use super::{path_id, versions::root, view};
use crate::groups::{self, NewRule};
use crate::{Network, Result, Touched, Who};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use driver_api::{Direction, EtherType};
use model::network::{SecurityGroup, SecurityGroupRule};
use serde_json::{Value, json};
use store::network::groups as rows;
use uuid::Uuid;
use web::{Body, Caller, Fault, Origin, Query};

const GROUPS: Collection = Collection {
    name: "security_groups",
    path: "/v2.0/security-groups",
    what: "SecurityGroup",
    attributes: &["id", "name", "description", "stateful", "shared"],
};
const RULES: Collection = Collection {
    name: "security_group_rules",
    path: "/v2.0/security-group-rules",
    what: "SecurityGroupRule",
    attributes: &[
        "id",
        "description",
        "security_group_id",
        "direction",
        "ethertype",
        "protocol",
        "port_range_min",
        "port_range_max",
        "remote_group_id",
        "remote_ip_prefix",
        "remote_address_group_id",
    ],
};

/// (project, name, description)
fn parse(mut a: Attrs, who: &Who) -> Result<(String, String, String)> {
    let project = a.project(&who.project_id)?;
    if project != who.project_id {
        who.admin_for("create_security_group:tenant_id")?;
    }
    if a.flag("stateful")? == Some(false) {
        return Err(crate::Error::NotBuilt("attribute stateful=false".into()));
    }
    let name = a.text("name", TEXT)?.unwrap_or_default();
    let description = a.text("description", TEXT)?.unwrap_or_default();
    a.finish()?;
    Ok((project, name, description))
}

/// `POST /security-groups`
pub(super) async fn create(
    State(me): State<Network>,
    caller: Caller,
    Body(body): Body<Value>,
) -> Result<(StatusCode, Json<Value>), Fault> {
    let who = Who::from(&*caller);
    let (all, bulk) = objects("security_group", "security_groups", body)?;
    let all: Vec<_> = all.into_iter().map(|a| parse(a, &who)).collect::<Result<_>>()?;
    let svc = me.clone();
    let made: Vec<(SecurityGroup, Vec<SecurityGroupRule>)> = me
        .write(move |tx| {
            let mut out = Vec::new();
            for (project, name, description) in &all {
                let g = groups::create(tx, &svc.env, project, name, description)?;
                let rules = rows::rules_of(tx, &[g.id])?;
                out.push((g, rules));
            }
            Ok(out)
        })
        .await?;
    let shown = made.iter().map(|(g, rules)| view::group(g, rules)).collect();
    Ok((StatusCode::CREATED, Json(wrap("security_group", "security_groups", shown, bulk))))
}

/// Makes the caller's default group, if it is not there: who lists groups shall see it.
async fn with_default(me: &Network, project: &str) -> Result<()> {
    if project.is_empty() {
        return Ok(());
    }
    let owned = project.to_owned();
    if me.read(move |tx| Ok(rows::default_of(tx, &owned)?)).await?.is_some() {
        return Ok(());
    }
    let (svc, owned) = (me.clone(), project.to_owned());
    me.write(move |tx| groups::ensure_default(tx, &svc.env, &owned)).await?;
    Ok(())
}

/// Projects that a list is about: the caller's own, or what an administrator says.
fn projects(caller: &Caller, q: &Query) -> Vec<String> {
    if caller.is_admin() {
        return q.all("project_id").chain(q.all("tenant_id")).map(str::to_owned).collect();
    }
    vec![caller.project_id().to_owned()]
}

/// `GET /security-groups`
pub(super) async fn list(
    State(me): State<Network>,
    caller: Caller,
    origin: Origin,
    q: Query,
) -> Result<Json<Value>, Fault> {
    with_default(&me, caller.project_id()).await?;
    let filter = rows::Filter {
        ids: list::ids(&q, "id"),
        names: list::texts(&q, "name"),
        projects: projects(&caller, &q),
    };
    let (all, rules) = me
        .read(move |tx| {
            let all = rows::list(tx, &filter)?;
            let ids: Vec<Uuid> = all.iter().map(|g| g.id).collect();
            let mut rules = Vec::new();
            for part in ids.chunks(500) {
                rules.extend(rows::rules_of(tx, part)?);
            }
            Ok((all, rules))
        })
        .await?;
    let items = all.iter().map(|g| view::group(g, &rules)).collect();
    Ok(Json(list::answer(&GROUPS, &q, &root(&me, &origin), me.options.max_limit, items)?))
}

/// `GET /security-groups/{id}`
pub(super) async fn show(
    State(me): State<Network>,
    caller: Caller,
    Path(id): Path<String>,
    q: Query,
) -> Result<Json<Value>, Fault> {
    let (id, who) = (path_id("SecurityGroup", &id)?, Who::from(&*caller));
    let (g, rules) = me.read(move |tx| Ok((groups::visible(tx, &who, id)?, rows::rules_of(tx, &[id])?))).await?;
    Ok(Json(json!({"security_group": list::one(view::group(&g, &rules), &q)})))
}

/// `PUT /security-groups/{id}`
pub(super) async fn update(
    State(me): State<Network>,
    caller: Caller,
    Path(id): Path<String>,
    Body(body): Body<Value>,
) -> Result<Json<Value>, Fault> {
    let (id, who) = (path_id("SecurityGroup", &id)?, Who::from(&*caller));
    let mut a = single("security_group", body)?;
    a.fixed(&["id", "tenant_id", "project_id", "security_group_rules", "revision_number", "created_at", "updated_at"])?;
    if a.flag("stateful")? == Some(false) {
        return Err(crate::Error::NotBuilt("attribute stateful=false".into()).into());
    }
    let (name, description) = (a.text("name", TEXT)?, a.text("description", TEXT)?);
    a.finish()?;
    let svc = me.clone();
    let (g, rules) = me
        .write(move |tx| {
            let g = groups::update(tx, &svc.env, &who, id, name.clone(), description.clone())?;
            Ok((g, rows::rules_of(tx, &[id])?))
        })
        .await?;
    Ok(Json(json!({"security_group": view::group(&g, &rules)})))
}

/// `DELETE /security-groups/{id}`
pub(super) async fn delete(
    State(me): State<Network>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Fault> {
    let (id, who) = (path_id("SecurityGroup", &id)?, Who::from(&*caller));
    let naming = me.write(move |tx| groups::delete(tx, &who, id)).await?;
    me.announce(Touched { groups: naming, ..Touched::default() }).await;
    Ok(StatusCode::NO_CONTENT)
}

fn parse_rule(mut a: Attrs) -> Result<NewRule> {
    a.unbuilt(&["remote_address_group_id"])?;
    // The project of a rule is its group's.
    let _ = (a.take("tenant_id"), a.take("project_id"));
    let direction = match a.text("direction", TEXT)?.as_deref() {
        Some("ingress") => Direction::Ingress,
        Some("egress") => Direction::Egress,
        Some(other) => return Err(invalid("direction", format!("'{other}' is not in ['ingress', 'egress']"))),
        None => return Err(missing("direction")),
    };
    let ethertype = match a.take("ethertype") {
        None | Some(Value::Null) => EtherType::V4,
        Some(Value::String(s)) if s.eq_ignore_ascii_case("ipv4") => EtherType::V4,
        Some(Value::String(s)) if s.eq_ignore_ascii_case("ipv6") => EtherType::V6,
        Some(v) => return Err(invalid("ethertype", format!("'{v}' is not in ['IPv4', 'IPv6']"))),
    };
    let protocol = match a.take("protocol") {
        None | Some(Value::Null) => None,
        Some(Value::String(s)) if s.is_empty() || s.eq_ignore_ascii_case("any") || s == "-1" => None,
        Some(Value::String(s)) if s.len() <= TEXT => Some(s.to_ascii_lowercase()),
        Some(Value::Number(n)) => Some(n.to_string()),
        Some(v) => return Err(invalid("protocol", format!("'{v}' is not a valid protocol"))),
    };
    let remote_ip_prefix = match a.take("remote_ip_prefix") {
        None | Some(Value::Null) => None,
        Some(Value::String(s)) if s.is_empty() => None,
        Some(v) => Some(super::attrs::net("remote_ip_prefix", &v)?),
    };
    let rule = NewRule {
        security_group_id: a.need_id("security_group_id")?,
        direction,
        ethertype,
        protocol,
        port_range_min: a.int("port_range_min")?,
        port_range_max: a.int("port_range_max")?,
        remote_group_id: a.id("remote_group_id")?,
        remote_ip_prefix,
        description: a.text("description", TEXT)?.unwrap_or_default(),
    };
    a.finish()?;
    Ok(rule)
}

/// `POST /security-group-rules`
pub(super) async fn create_rules(
    State(me): State<Network>,
    caller: Caller,
    Body(body): Body<Value>,
) -> Result<(StatusCode, Json<Value>), Fault> {
    let who = Who::from(&*caller);
    let (all, bulk) = objects("security_group_rule", "security_group_rules", body)?;
    let all: Vec<NewRule> = all.into_iter().map(parse_rule).collect::<Result<_>>()?;
    let changed = all.iter().map(|r| r.security_group_id).collect();
    let svc = me.clone();
    let made: Vec<SecurityGroupRule> =
        me.write(move |tx| all.iter().map(|r| groups::create_rule(tx, &svc.env, &who, r)).collect()).await?;
    me.announce(Touched { groups: changed, ..Touched::default() }).await;
    let shown = made.iter().map(view::rule).collect();
    Ok((StatusCode::CREATED, Json(wrap("security_group_rule", "security_group_rules", shown, bulk))))
}

/// `GET /security-group-rules`
pub(super) async fn list_rules(
    State(me): State<Network>,
    caller: Caller,
    origin: Origin,
    q: Query,
) -> Result<Json<Value>, Fault> {
    with_default(&me, caller.project_id()).await?;
    let project = (!caller.is_admin()).then(|| caller.project_id().to_owned());
    let of = list::ids(&q, "security_group_id");
    let all = me.read(move |tx| Ok(rows::rules(tx, project.as_deref(), &of)?)).await?;
    let items = all.iter().map(view::rule).collect();
    Ok(Json(list::answer(&RULES, &q, &root(&me, &origin), me.options.max_limit, items)?))
}

/// `GET /security-group-rules/{id}`
pub(super) async fn show_rule(
    State(me): State<Network>,
    caller: Caller,
    Path(id): Path<String>,
    q: Query,
) -> Result<Json<Value>, Fault> {
    let (id, who) = (path_id("SecurityGroupRule", &id)?, Who::from(&*caller));
    let r = me.read(move |tx| groups::visible_rule(tx, &who, id)).await?;
    Ok(Json(json!({"security_group_rule": list::one(view::rule(&r), &q)})))
}

/// `DELETE /security-group-rules/{id}`
pub(super) async fn delete_rule(
    State(me): State<Network>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Fault> {
    let (id, who) = (path_id("SecurityGroupRule", &id)?, Who::from(&*caller));
    let group = me.write(move |tx| groups::delete_rule(tx, &who, id)).await?;
    me.announce(Touched { groups: vec![group], ..Touched::default() }).await;
    Ok(StatusCode::NO_CONTENT)
}
