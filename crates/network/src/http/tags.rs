//! Tags of networks, subnets, ports and security groups.

use super::attrs::invalid;
use crate::{Error, Network, Result, Who, groups, networks, ports, subnets};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use model::network as records;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use store::Tx;
use uuid::Uuid;
use web::{Body, Caller, Fault};

/// Longest tag, characters.
const MAX_TAG: usize = 255;
/// Most tags of one object.
const MAX_TAGS: usize = 50;

/// What has tags.
enum Tagged {
    Network(records::Network),
    Subnet(records::Subnet),
    Port(Box<records::Port>),
    Group(records::SecurityGroup),
}

impl Tagged {
    /// The object, if the caller may know of it.
    fn find(tx: &mut Tx, who: &Who, resource: &str, id: &str) -> Result<Tagged> {
        let uuid = |what| Uuid::try_parse(id).map_err(|_| Error::not_found(what, id));
        Ok(match resource {
            "networks" => Tagged::Network(networks::visible(tx, who, uuid("Network")?)?),
            "subnets" => Tagged::Subnet(subnets::visible(tx, who, uuid("Subnet")?)?.0),
            "ports" => Tagged::Port(Box::new(ports::visible(tx, who, uuid("Port")?)?.0)),
            "security-groups" | "security_groups" => {
                Tagged::Group(groups::visible(tx, who, uuid("SecurityGroup")?)?)
            }
            other => return Err(Error::not_found("Resource", other)),
        })
    }
    fn owner(&self) -> &str {
        match self {
            Tagged::Network(n) => &n.project_id,
            Tagged::Subnet(s) => &s.project_id,
            Tagged::Port(p) => &p.project_id,
            Tagged::Group(g) => &g.project_id,
        }
    }
    fn tags(&mut self) -> &mut BTreeSet<String> {
        match self {
            Tagged::Network(n) => &mut n.tags,
            Tagged::Subnet(s) => &mut s.tags,
            Tagged::Port(p) => &mut p.tags,
            Tagged::Group(g) => &mut g.tags,
        }
    }
    fn save(&mut self, tx: &mut Tx) -> Result<()> {
        match self {
            Tagged::Network(n) => store::network::networks::update(tx, n)?,
            Tagged::Subnet(s) => store::network::subnets::update(tx, s)?,
            Tagged::Port(p) => store::network::ports::update(tx, p)?,
            Tagged::Group(g) => store::network::groups::update(tx, g)?,
        }
        Ok(())
    }
}

/// What is done to the tags.
#[derive(Clone)]
enum Change {
    Replace(BTreeSet<String>),
    Add(String),
    Remove(String),
}

async fn read(me: &Network, caller: &Caller, resource: String, id: String) -> Result<BTreeSet<String>> {
    let who = Who::from(&**caller);
    me.read(move |tx| Ok(Tagged::find(tx, &who, &resource, &id)?.tags().clone())).await
}

async fn write(me: &Network, caller: &Caller, resource: String, id: String, change: Change) -> Result<BTreeSet<String>> {
    let who = Who::from(&**caller);
    me.write(move |tx| {
        let mut it = Tagged::find(tx, &who, &resource, &id)?;
        if !who.owns(it.owner()) {
            return Err(crate::who::forbidden("update_tags"));
        }
        let before = it.tags().clone();
        match &change {
            Change::Replace(all) => it.tags().clone_from(all),
            Change::Add(tag) => {
                it.tags().insert(tag.clone());
            }
            Change::Remove(tag) => {
                if !it.tags().remove(tag) {
                    return Err(Error::not_found("Tag", tag));
                }
            }
        }
        if it.tags().len() > MAX_TAGS {
            return Err(invalid("tags", format!("the number of tags exceeds the maximum {MAX_TAGS}")));
        }
        if *it.tags() != before {
            it.save(tx)?;
        }
        Ok(it.tags().clone())
    })
    .await
}

fn check(tag: &str) -> Result<String> {
    if tag.is_empty() || tag.chars().count() > MAX_TAG || tag.contains([',', '/']) {
        return Err(invalid("tags", format!("'{tag}' is not a tag: 1 to {MAX_TAG} characters, no comma or slash")));
    }
    Ok(tag.to_owned())
}

/// `GET …/tags`
pub(super) async fn list(
    State(me): State<Network>,
    caller: Caller,
    Path((resource, id)): Path<(String, String)>,
) -> Result<Json<Value>, Fault> {
    Ok(Json(json!({"tags": read(&me, &caller, resource, id).await?})))
}

/// `PUT …/tags`
pub(super) async fn replace(
    State(me): State<Network>,
    caller: Caller,
    Path((resource, id)): Path<(String, String)>,
    Body(body): Body<Value>,
) -> Result<Json<Value>, Fault> {
    let list = body["tags"].as_array().ok_or_else(|| invalid("tags", "give a list of texts"))?;
    let read = |v: &Value| v.as_str().ok_or_else(|| invalid("tags", format!("'{v}' is not a text"))).and_then(check);
    let all: BTreeSet<String> = list.iter().map(read).collect::<Result<_>>()?;
    Ok(Json(json!({"tags": write(&me, &caller, resource, id, Change::Replace(all)).await?})))
}

/// `DELETE …/tags`
pub(super) async fn clear(
    State(me): State<Network>,
    caller: Caller,
    Path((resource, id)): Path<(String, String)>,
) -> Result<StatusCode, Fault> {
    write(&me, &caller, resource, id, Change::Replace(BTreeSet::new())).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET …/tags/{tag}`
pub(super) async fn has(
    State(me): State<Network>,
    caller: Caller,
    Path((resource, id, tag)): Path<(String, String, String)>,
) -> Result<StatusCode, Fault> {
    if read(&me, &caller, resource, id).await?.contains(&tag) {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Error::not_found("Tag", tag).into())
}

/// `PUT …/tags/{tag}`
pub(super) async fn add(
    State(me): State<Network>,
    caller: Caller,
    Path((resource, id, tag)): Path<(String, String, String)>,
) -> Result<StatusCode, Fault> {
    let tag = check(&tag)?;
    write(&me, &caller, resource, id, Change::Add(tag)).await?;
    Ok(StatusCode::CREATED)
}

/// `DELETE …/tags/{tag}`
pub(super) async fn remove(
    State(me): State<Network>,
    caller: Caller,
    Path((resource, id, tag)): Path<(String, String, String)>,
) -> Result<StatusCode, Fault> {
    write(&me, &caller, resource, id, Change::Remove(tag)).await?;
    Ok(StatusCode::NO_CONTENT)
}
