//! Projects and their tags. A domain is shown as a project too, as the original does.

use super::domains::{self, MAX_NAME};
use super::fields::Fields;
use super::{Call, allowed};
use crate::{Directory, Error, Identity, cascade};
use axum::Json;
use axum::extract::Path;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use model::identity::{Change, Domain, Project};
use model::policy::Rule;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use web::{Body, Fault, Route, route};

/// Deepest project below its domain (Keystone's `max_project_tree_depth`).
const MAX_DEPTH: usize = 5;
/// Most tags of a project, and the longest.
const MAX_TAGS: usize = 80;
const MAX_TAG: usize = 255;

pub(super) fn routes() -> Vec<Route<Identity>> {
    let (all, one) = ("/v3/projects", "/v3/projects/{project}");
    let (tags, tag) = ("/v3/projects/{project}/tags", "/v3/projects/{project}/tags/{tag}");
    let any = Rule::Authenticated;
    vec![
        route(Method::GET, all, "identity:list_projects", any, list),
        route(Method::POST, all, "identity:create_project", any, create),
        route(Method::GET, one, "identity:get_project", any, show),
        route(Method::PATCH, one, "identity:update_project", any, update),
        route(Method::DELETE, one, "identity:delete_project", any, delete),
        route(Method::GET, tags, "identity:list_project_tags", any, list_tags),
        route(Method::PUT, tags, "identity:update_project_tags", any, put_tags),
        route(Method::DELETE, tags, "identity:delete_project_tags", any, drop_tags),
        route(Method::GET, tag, "identity:get_project_tag", any, has_tag),
        route(Method::PUT, tag, "identity:create_project_tag", any, add_tag),
        route(Method::DELETE, tag, "identity:delete_project_tag", any, drop_tag),
    ]
}

pub(super) fn render(call: &Call, p: &Project) -> Value {
    let mut body = Value::Object(p.extra.clone());
    body["id"] = json!(p.id);
    body["name"] = json!(p.name);
    body["domain_id"] = json!(p.domain_id);
    body["parent_id"] = json!(p.parent_id.as_ref().unwrap_or(&p.domain_id));
    body["description"] = json!(p.description);
    body["enabled"] = json!(p.enabled);
    body["is_domain"] = json!(false);
    body["tags"] = json!(p.tags);
    body["options"] = json!(p.options);
    body["links"] = call.link(&format!("projects/{}", p.id));
    body
}

/// A domain in the shape of a project.
fn render_domain(call: &Call, domain: &Domain) -> Value {
    let mut body = domains::render(call, domain);
    body["domain_id"] = Value::Null;
    body["parent_id"] = Value::Null;
    body["is_domain"] = json!(true);
    body["links"] = call.link(&format!("projects/{}", domain.id));
    body
}

pub(super) fn get<'d>(d: &'d Directory, id: &str) -> Result<&'d Project, Error> {
    d.projects.get(id).ok_or_else(|| Error::not_found("project", id))
}

/// The project, if the caller may change it. One who may not learns nothing of it.
fn manageable<'d>(call: &Call, d: &'d Directory, id: &str, action: &str) -> Result<&'d Project, Error> {
    let found = get(d, id);
    allowed(call.may_manage(found.as_ref().ok().map(|p| p.domain_id.as_str())), action)?;
    found
}

/// The project, if the caller may see it: the token's own, or by the domain.
fn readable<'d>(call: &Call, d: &'d Directory, id: &str, action: &str) -> Result<&'d Project, Error> {
    let found = get(d, id);
    let domain = found.as_ref().ok().map(|p| p.domain_id.as_str());
    allowed(call.caller.project_id() == id || call.may_read(domain), action)?;
    found
}

fn tags_match(call: &Call, tags: &BTreeSet<String>) -> bool {
    let named = |key: &str| call.query.get(key).map(|v| v.split(',').map(str::to_owned).collect::<Vec<_>>());
    let has = |t: &String| tags.contains(t);
    named("tags").is_none_or(|all| all.iter().all(has))
        && named("tags-any").is_none_or(|any| any.iter().any(has))
        && named("not-tags").is_none_or(|all| !all.iter().all(has))
        && named("not-tags-any").is_none_or(|any| !any.iter().any(has))
}

async fn list(call: Call) -> Result<Json<Value>, Fault> {
    let only = call.listed_domain("identity:list_projects")?;
    let items = {
        let d = call.identity.directory();
        if call.query.get("is_domain").is_some() && call.flag("is_domain") {
            let kept = d.domains.values().filter(|x| only.as_ref().is_none_or(|id| x.id == *id));
            let kept = kept.filter(|x| call.keeps("name", Some(&x.name)) && call.keeps_flag("enabled", x.enabled));
            kept.map(|x| (x.id.clone(), render_domain(&call, x))).collect()
        } else {
            let kept = d.projects.values().filter(|p| {
                only.as_ref().is_none_or(|id| p.domain_id == *id)
                    && call.keeps("name", Some(&p.name))
                    && call.keeps("domain_id", Some(&p.domain_id))
                    && call.keeps("parent_id", Some(p.parent_id.as_ref().unwrap_or(&p.domain_id)))
                    && call.keeps_flag("enabled", p.enabled)
                    && tags_match(&call, &p.tags)
            });
            kept.map(|p| (p.id.clone(), render(&call, p))).collect()
        }
    };
    Ok(Json(call.collection("projects", items)?))
}

async fn show(call: Call, Path(id): Path<String>) -> Result<Json<Value>, Fault> {
    let d = call.identity.directory();
    if let (Some(domain), true) = (d.domains.get(&id), call.may_read(Some(&id))) {
        return Ok(Json(json!({"project": render_domain(&call, domain)})));
    }
    let project = readable(&call, &d, &id, "identity:get_project")?;
    let mut body = render(&call, project);
    expand(&call, &d, project, &mut body)?;
    Ok(Json(json!({"project": body})))
}

/// `parents` and `subtree`, where asked for.
fn expand(call: &Call, d: &Directory, project: &Project, body: &mut Value) -> Result<(), Error> {
    for what in ["parents", "subtree"] {
        let (as_list, as_ids) = (call.flag(&format!("{what}_as_list")), call.flag(&format!("{what}_as_ids")));
        if as_list && as_ids {
            let text = format!("Cannot use {what}_as_list and {what}_as_ids query params at the same time.");
            return Err(Error::Invalid(text));
        }
        // Only those in which the user holds a role are listed in full.
        let held =
            |p: &&&Project| call.caller.is_admin() || d.projects_of(&call.caller.user_id).iter().any(|h| h.id == p.id);
        let full = |all: Vec<&Project>| all.iter().filter(held).map(|p| json!({"project": render(call, p)})).collect();
        match (what, as_list, as_ids) {
            ("parents", true, _) => body[what] = full(d.ancestors(project)),
            ("subtree", true, _) => body[what] = full(d.subtree(&project.id)),
            ("parents", _, true) => {
                let top = json!({project.domain_id.as_str(): null});
                let nested = |inner: Value, p: &&Project| json!({p.id.as_str(): inner});
                body[what] = d.ancestors(project).iter().rev().fold(top, nested);
            }
            ("subtree", _, true) => body[what] = subtree_ids(d, &project.id),
            _ => {}
        }
    }
    Ok(())
}

fn subtree_ids(d: &Directory, project: &str) -> Value {
    let below: Map<String, Value> = d.children_of(project).map(|p| (p.id.clone(), subtree_ids(d, &p.id))).collect();
    if below.is_empty() { Value::Null } else { Value::Object(below) }
}

fn check_name(d: &Directory, p: &Project) -> Result<(), Error> {
    match d.project_named(&p.domain_id, &p.name) {
        Some(other) if other.id != p.id => Err(Error::duplicate(
            "project",
            format_args!("it is not permitted to have two projects with the same name in the same domain: {}", p.name),
        )),
        _ => Ok(()),
    }
}

/// Where a new project goes: domain and parent, from what the body says of both.
fn place(d: &Directory, project: &mut Project, domain: Option<String>, parent: Option<String>) -> Result<(), Error> {
    let parent = parent.filter(|p| domain.as_ref() != Some(p));
    match parent {
        None => project.domain_id = domain.unwrap_or_else(|| project.domain_id.clone()),
        // A domain as parent is the same as no parent.
        Some(id) if domain.is_none() && d.domains.contains_key(&id) => project.domain_id = id,
        Some(id) => {
            // 400, not 404: what is missing is not what the path names.
            let above = d.projects.get(&id).ok_or_else(|| Error::Invalid(format!("Could not find project: {id}.")))?;
            if domain.is_some_and(|x| x != above.domain_id) {
                let text =
                    "Cannot create project, since it specifies its domain_id but its parent is in another domain";
                return Err(Error::Invalid(format!("{text}.")));
            }
            if d.ancestors(above).len() + 2 > MAX_DEPTH {
                return Err(Error::Forbidden(format!(
                    "create a project more than {MAX_DEPTH} levels below its domain"
                )));
            }
            if !above.enabled {
                return Err(Error::Forbidden("create a project in a branch containing a disabled project".into()));
            }
            project.domain_id = above.domain_id.clone();
            project.parent_id = Some(id);
        }
    }
    if d.domains.contains_key(&project.domain_id) {
        Ok(())
    } else {
        Err(Error::Invalid(format!("Could not find domain: {}.", project.domain_id)))
    }
}

async fn create(call: Call, Body(body): Body<Value>) -> Result<(StatusCode, Json<Value>), Fault> {
    let mut fields = Fields::of(body, "project")?;
    if fields.flag("is_domain")? == Some(true) {
        allowed(call.caller.is_admin(), "identity:create_domain")?;
        for absent in ["domain_id", "parent_id"] {
            fields.text(absent)?;
        }
        let domain = domains::make(&call, fields).await?;
        return Ok((StatusCode::CREATED, Json(json!({"project": render_domain(&call, &domain)}))));
    }
    let mut base = Project {
        id: call.identity.env().hex_id(),
        domain_id: call.home_domain(),
        parent_id: None,
        name: Fields::required("name", fields.name("name", MAX_NAME)?)?,
        description: fields.text("description")?.flatten().unwrap_or_default(),
        enabled: fields.flag("enabled")?.unwrap_or(true),
        tags: fields.list("tags")?.map(|t| read_tags(&t)).transpose()?.unwrap_or_default(),
        token_floor: 0,
        options: Map::new(),
        extra: Map::new(),
    };
    let (domain, parent) = (fields.id("domain_id")?.flatten(), fields.id("parent_id")?.flatten());
    fields.merge_options(&mut base.options)?;
    fields.extra_into(&mut base.extra)?;
    let call = Arc::new(call);
    let asked = call.clone();
    let project = call.identity.change(move |d| {
        let mut project = base.clone();
        let placed = place(d, &mut project, domain.clone(), parent.clone());
        allowed(asked.may_manage(Some(&project.domain_id)), "identity:create_project")?;
        placed?;
        check_name(d, &project)?;
        Ok((vec![Change::PutProject(project.clone())], project))
    });
    let project = project.await?;
    Ok((StatusCode::CREATED, Json(json!({"project": render(&call, &project)}))))
}

/// The project of an update that changes it by `edit`; who may not, does not.
async fn edit(
    call: Call,
    id: String,
    action: &'static str,
    edit: impl Fn(&Directory, &mut Project) -> Result<(), Error> + Send + 'static,
) -> Result<(Arc<Call>, Project), Error> {
    let call = Arc::new(call);
    let asked = call.clone();
    let plan = move |d: &Directory| {
        let mut project = manageable(&asked, d, &id, action)?.clone();
        edit(d, &mut project)?;
        Ok((vec![Change::PutProject(project.clone())], project))
    };
    let project = call.identity.change(plan).await?;
    Ok((call, project))
}

/// Whether the path means a domain, which only admins change.
fn is_domain(call: &Call, id: &str) -> bool {
    call.caller.is_admin() && call.identity.directory().domains.contains_key(id)
}

async fn update(call: Call, Path(id): Path<String>, Body(body): Body<Value>) -> Result<Json<Value>, Fault> {
    if is_domain(&call, &id) {
        let domain = domains::change(&call, id, "project", body).await?;
        return Ok(Json(json!({"project": render_domain(&call, &domain)})));
    }
    let change = move |d: &Directory, p: &mut Project| {
        let mut fields = Fields::of(body.clone(), "project")?;
        if !fields.only_options() {
            cascade::mutable("project", &p.id, &p.options, "update")?;
        }
        fields.same_id(&p.id)?;
        fields.same_domain(Some(&p.domain_id))?;
        if let Some(parent) = fields.id("parent_id")?
            && parent.as_deref() != Some(p.parent_id.as_ref().unwrap_or(&p.domain_id))
        {
            return Err(Error::Forbidden("update of `parent_id` is not allowed".into()));
        }
        if fields.flag("is_domain")? == Some(true) {
            return Err(Error::Invalid("Update of `is_domain` is not allowed.".into()));
        }
        if let Some(name) = fields.name("name", MAX_NAME)? {
            p.name = name;
            check_name(d, p)?;
        }
        if let Some(text) = fields.text("description")? {
            p.description = text.unwrap_or_default();
        }
        if let Some(tags) = fields.list("tags")? {
            p.tags = read_tags(&tags)?;
        }
        if let Some(enabled) = fields.flag("enabled")? {
            enable(d, p, enabled)?;
        }
        fields.merge_options(&mut p.options)?;
        fields.extra_into(&mut p.extra)
    };
    let (call, project) = edit(call, id, "identity:update_project", change).await?;
    Ok(Json(json!({"project": render(&call, &project)})))
}

fn enable(d: &Directory, p: &mut Project, enabled: bool) -> Result<(), Error> {
    if enabled && !p.enabled && d.ancestors(p).iter().any(|a| !a.enabled) {
        return Err(Error::Forbidden(format!("enable project {} since it has disabled parents", p.id)));
    }
    if !enabled && p.enabled {
        if d.subtree(&p.id).iter().any(|c| c.enabled) {
            let text = format!("disable project {} since its subtree contains enabled projects", p.id);
            return Err(Error::Forbidden(text));
        }
        p.token_floor = d.revision + 1;
    }
    p.enabled = enabled;
    Ok(())
}

async fn delete(call: Call, Path(id): Path<String>) -> Result<StatusCode, Fault> {
    if is_domain(&call, &id) {
        domains::remove(&call, id).await?;
        return Ok(StatusCode::NO_CONTENT);
    }
    let identity = call.identity.clone();
    let plan = move |d: &Directory| {
        let project = manageable(&call, d, &id, "identity:delete_project")?;
        cascade::mutable("project", &id, &project.options, "delete")?;
        if d.children_of(&id).next().is_some() {
            let text =
                format!("delete project {id} since it is not a leaf in the hierarchy; delete those below it first");
            return Err(Error::Forbidden(text));
        }
        Ok((cascade::drop_project(d, &id), ()))
    };
    identity.change(plan).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn check_tag(tag: &str) -> Result<(), Error> {
    let length = tag.chars().count();
    if length == 0 || length > MAX_TAG || tag.contains([',', '/']) {
        return Err(Error::field("tags", format_args!("a tag has 1 to {MAX_TAG} characters, none of them ',' or '/'")));
    }
    Ok(())
}

fn read_tags(list: &[Value]) -> Result<BTreeSet<String>, Error> {
    let mut tags = BTreeSet::new();
    for tag in list {
        let tag = tag.as_str().ok_or_else(|| Error::field("tags", "an item is not of type 'string'"))?;
        check_tag(tag)?;
        tags.insert(tag.to_owned());
    }
    if tags.len() > MAX_TAGS {
        return Err(Error::field("tags", format_args!("at most {MAX_TAGS} tags are kept")));
    }
    Ok(tags)
}

fn tags_body(call: &Call, project: &Project) -> Json<Value> {
    Json(json!({"tags": project.tags, "links": {"self": call.here()}}))
}

async fn list_tags(call: Call, Path(id): Path<String>) -> Result<Json<Value>, Fault> {
    let project = readable(&call, &call.identity.directory(), &id, "identity:list_project_tags")?.clone();
    Ok(tags_body(&call, &project))
}

async fn put_tags(call: Call, Path(id): Path<String>, Body(mut body): Body<Value>) -> Result<Json<Value>, Fault> {
    let list = body.get_mut("tags").map(Value::take).and_then(|v| v.as_array().cloned());
    let tags = read_tags(&list.ok_or_else(|| Error::Invalid("'tags' is a required property".into()))?)?;
    let change = move |_: &Directory, p: &mut Project| {
        p.tags.clone_from(&tags);
        Ok(())
    };
    let (call, project) = edit(call, id, "identity:update_project_tags", change).await?;
    Ok(tags_body(&call, &project))
}

async fn drop_tags(call: Call, Path(id): Path<String>) -> Result<StatusCode, Fault> {
    let change = |_: &Directory, p: &mut Project| {
        p.tags.clear();
        Ok(())
    };
    edit(call, id, "identity:delete_project_tags", change).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn no_tag(tag: &str) -> Error {
    Error::not_found("project tag", tag)
}

async fn has_tag(call: Call, Path((id, tag)): Path<(String, String)>) -> Result<StatusCode, Fault> {
    let d = call.identity.directory();
    let there = readable(&call, &d, &id, "identity:get_project_tag")?.tags.contains(&tag);
    if there { Ok(StatusCode::NO_CONTENT) } else { Err(no_tag(&tag).into()) }
}

async fn add_tag(call: Call, Path((id, tag)): Path<(String, String)>) -> Result<Response, Fault> {
    check_tag(&tag)?;
    let change = move |_: &Directory, p: &mut Project| {
        p.tags.insert(tag.clone());
        let list: Vec<Value> = p.tags.iter().map(|t| json!(t)).collect();
        read_tags(&list).map(drop)
    };
    let (call, _) = edit(call, id, "identity:create_project_tag", change).await?;
    Ok((StatusCode::CREATED, [("location", call.here())]).into_response())
}

async fn drop_tag(call: Call, Path((id, tag)): Path<(String, String)>) -> Result<StatusCode, Fault> {
    let change = move |_: &Directory, p: &mut Project| if p.tags.remove(&tag) { Ok(()) } else { Err(no_tag(&tag)) };
    edit(call, id, "identity:delete_project_tag", change).await?;
    Ok(StatusCode::NO_CONTENT)
}
