//! `/allocations`: what consumers hold. A change takes away what was held and takes what is wished, in one unit and by
//! the same guarded updates as a claim.

use super::body::{Body, length, range, schema};
use super::version::Version;
use super::{CONCURRENT, provider, refuse, since};
use crate::Placement;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use driver_api::Timestamp;
use model::placement::{Allocation, Consumer, MAX_AMOUNT, Resources};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use store::Tx;
use store::placement::{allocations as rows, inventories, providers};
use uuid::Uuid;
use web::Fault;

/// Body of PUT, and a value of POST.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Given {
    allocations: Held,
    project_id: Option<String>,
    user_id: Option<String>,
    #[serde(default, deserialize_with = "given")]
    consumer_generation: Option<Option<i64>>,
    consumer_type: Option<String>,
    /// Which request group went where: only echoed by the original, so only checked here.
    mappings: Option<BTreeMap<String, Vec<Uuid>>>,
}

fn given<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<Option<i64>>, D::Error> {
    Option::<i64>::deserialize(d).map(Some)
}

/// Allocations: a list before 1.12, by provider from then on.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Held {
    /// 1.0 to 1.11.
    List(Vec<OldOne>),
    /// 1.12 on.
    Map(BTreeMap<Uuid, One>),
}

/// One of the list.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OldOne {
    resource_provider: OldProvider,
    resources: Resources,
}

/// Its provider.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OldProvider {
    uuid: Uuid,
}

/// One of the map. `generation` may be echoed from what was read.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct One {
    resources: Resources,
    #[allow(dead_code)]
    generation: Option<i64>,
}

/// What a consumer shall hold, checked for form.
#[derive(Debug, Clone)]
struct Wish {
    consumer: Uuid,
    held: BTreeMap<Uuid, Resources>,
    project_id: String,
    user_id: String,
    kind: Option<String>,
    /// `None`: not checked at this version. `Some(None)`: it must be new.
    seen: Option<Option<i64>>,
}

/// Owner of consumers of clients that speak versions before 1.8.
const INCOMPLETE: &str = "00000000-0000-0000-0000-000000000000";

fn invalid(message: impl std::fmt::Display) -> Fault {
    Fault::bad_request(format!("JSON does not validate: {message}"))
}

fn wish(consumer: Uuid, g: Given, v: Version) -> Result<Wish, Fault> {
    let held: BTreeMap<Uuid, Resources> = match g.allocations {
        Held::List(list) if v.0 < 12 => list.into_iter().map(|o| (o.resource_provider.uuid, o.resources)).collect(),
        Held::Map(map) if v.0 >= 12 => map.into_iter().map(|(p, o)| (p, o.resources)).collect(),
        Held::List(list) if list.is_empty() && v.0 >= 12 => return Err(invalid("allocations is not an object")),
        Held::List(_) => return Err(invalid("allocations is a list only before microversion 1.12")),
        Held::Map(_) => return Err(invalid("allocations is an object only from microversion 1.12 on")),
    };
    if held.is_empty() && v.0 < 28 {
        let rule = if v.0 < 12 { "minItems" } else { "minProperties" };
        return Err(schema(rule, "allocations does not have enough properties"));
    }
    for (provider, resources) in &held {
        if resources.is_empty() {
            return Err(invalid(format!("allocations {provider} resources does not have enough properties")));
        }
        for (class, n) in resources {
            range(&format!("allocations {provider} resources {class}"), *n, 1, MAX_AMOUNT)?;
            if v.0 >= 12 && !class.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_') {
                return Err(schema("pattern", format!("'{class}' does not match any of the regexes: '^[0-9A-Z_]+$'")));
            }
        }
    }
    let need = |name: &str, value: Option<String>, since: u16| match value {
        Some(v) => length(name, &v, 255).map(|()| v),
        None if v.0 >= since => Err(schema("required", format!("'{name}' is a required property"))),
        None => Ok(INCOMPLETE.to_owned()),
    };
    if v.0 >= 28 && g.consumer_generation.is_none() {
        return Err(invalid("'consumer_generation' is a required property"));
    }
    if v.0 < 28 && g.consumer_generation.is_some() {
        return Err(invalid("consumer_generation comes with microversion 1.28"));
    }
    if v.0 < 34 && g.mappings.is_some() {
        return Err(invalid("mappings comes with microversion 1.34"));
    }
    let kind = match (g.consumer_type, v.0 >= 38) {
        (None, true) => return Err(invalid("'consumer_type' is a required property")),
        (Some(_), false) => return Err(invalid("consumer_type comes with microversion 1.38")),
        (Some(k), true) => {
            let fit = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
            if k.is_empty() || k.len() > 255 || !k.bytes().all(fit) {
                return Err(invalid(format!("'{k}' does not match '^[A-Z0-9_]+$': consumer_type")));
            }
            Some(k)
        }
        (None, false) => None,
    };
    Ok(Wish {
        consumer,
        held,
        project_id: need("project_id", g.project_id, 8)?,
        user_id: need("user_id", g.user_id, 8)?,
        kind,
        seen: g.consumer_generation,
    })
}

fn generation_conflict<T>(expected: Option<i64>, got: Option<i64>) -> store::Result<T> {
    let text = |g: Option<i64>| g.map_or_else(|| "null".to_owned(), |g| g.to_string());
    let message = format!("consumer generation conflict - expected {} but got {}", text(expected), text(got));
    refuse(Fault::conflict(message).kind(CONCURRENT))
}

/// The consumer as it shall be from now on; its generation moves on.
fn put_consumer(tx: &mut Tx, w: &Wish, now: Timestamp) -> store::Result<()> {
    let known = rows::consumer(tx, w.consumer)?;
    let generation = known.as_ref().map(|k| k.generation);
    if let Some(seen) = w.seen
        && seen != generation
    {
        return generation_conflict(generation, seen);
    }
    let mut c = Consumer {
        id: w.consumer,
        generation: 1,
        project_id: w.project_id.clone(),
        user_id: w.user_id.clone(),
        kind: w.kind.clone(),
        created_at: now,
        updated_at: now,
    };
    let done = match known {
        None => rows::insert_consumer(tx, &c)?,
        Some(k) => {
            c.kind = c.kind.or(k.kind);
            rows::update_consumer(tx, &c, k.generation, now)?
        }
    };
    if done { Ok(()) } else { generation_conflict(generation, generation) }
}

fn take(tx: &mut Tx, provider: Uuid, class: &str, n: i64) -> store::Result<()> {
    let known = inventories::of(tx, provider)?;
    let Some(i) = known.iter().find(|i| i.class == class) else {
        let message = format!(
            "Unable to allocate inventory: Inventory for '{class}' on resource provider '{provider}' invalid."
        );
        return refuse(Fault::conflict(message));
    };
    if !i.fits_units(n) {
        let message = format!(
            "Unable to allocate inventory: Unable to create allocation for '{class}' on resource provider \
             '{provider}'. The requested amount would violate inventory constraints."
        );
        return refuse(Fault::conflict(message));
    }
    if inventories::take(tx, provider, class, n)? {
        return Ok(());
    }
    let message = format!(
        "Unable to allocate inventory: Unable to create allocation for '{class}' on resource provider '{provider}'. \
         The requested amount would exceed the capacity."
    );
    refuse(Fault::conflict(message))
}

/// Makes consumers hold what is wished; answers the providers concerned.
fn apply(tx: &mut Tx, wishes: &[Wish], now: Timestamp) -> store::Result<BTreeSet<Uuid>> {
    let mut touched = BTreeSet::new();
    // All is given back before anything is taken: a move between consumers must not need twice the room.
    for w in wishes {
        put_consumer(tx, w, now)?;
        for a in rows::remove_of_consumer(tx, w.consumer)? {
            inventories::give(tx, a.provider, &a.class, a.used)?;
            touched.insert(a.provider);
        }
    }
    for w in wishes {
        for (provider, resources) in &w.held {
            if providers::get(tx, *provider)?.is_none() {
                let message = format!("Allocation for resource provider '{provider}' that does not exist.");
                return refuse(Fault::bad_request(message));
            }
            for (class, n) in resources {
                if !super::names::is_class(tx, class)? {
                    let message = format!(
                        "Unable to allocate inventory for consumer {}: No such resource class {class}.",
                        w.consumer
                    );
                    return refuse(Fault::bad_request(message));
                }
                take(tx, *provider, class, *n)?;
                let (consumer, provider, class) = (w.consumer, *provider, class.clone());
                rows::insert(tx, &Allocation { consumer, provider, class, used: *n })?;
            }
            touched.insert(*provider);
        }
        if w.held.is_empty() {
            rows::delete_consumer(tx, w.consumer)?;
        }
    }
    for p in &touched {
        providers::bump_any(tx, *p, now)?;
    }
    Ok(touched)
}

async fn change(me: &Placement, wishes: Vec<Wish>) -> Result<StatusCode, Fault> {
    let now = me.env.now();
    let touched = me.unit(move |tx| apply(tx, &wishes, now)).await?;
    for p in touched {
        me.reload(p).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

fn consumer_id(text: &str) -> Result<Uuid, Fault> {
    Uuid::try_parse(text).map_err(|_| Fault::bad_request(format!("Malformed consumer_uuid: {text}")))
}

/// `PUT /allocations/{consumer}`
pub(super) async fn replace(
    State(me): State<Placement>,
    v: Version,
    Path(id): Path<String>,
    Body(g): Body<Given>,
) -> Result<StatusCode, Fault> {
    let w = wish(consumer_id(&id)?, g, v)?;
    change(&me, vec![w]).await
}

/// `POST /allocations`
pub(super) async fn many(
    State(me): State<Placement>,
    v: Version,
    Body(all): Body<BTreeMap<Uuid, Given>>,
) -> Result<StatusCode, Fault> {
    since(v, 13)?;
    if all.is_empty() {
        return Err(invalid("{} does not have enough properties"));
    }
    let mut wishes = Vec::new();
    for (consumer, g) in all {
        // Before consumers had generations an empty set here already removed, though not in PUT.
        if v.0 < 28 && matches!(&g.allocations, Held::Map(m) if m.is_empty()) {
            wishes.push(Wish {
                consumer,
                held: BTreeMap::new(),
                project_id: g.project_id.unwrap_or_else(|| INCOMPLETE.into()),
                user_id: g.user_id.unwrap_or_else(|| INCOMPLETE.into()),
                kind: None,
                seen: None,
            });
        } else {
            wishes.push(wish(consumer, g, v)?);
        }
    }
    change(&me, wishes).await
}

/// `GET /allocations/{consumer}`
pub(super) async fn show(
    State(me): State<Placement>,
    v: Version,
    Path(id): Path<String>,
) -> Result<Json<Value>, Fault> {
    let id = consumer_id(&id)?;
    let (consumer, held, generations) = me
        .look(move |tx| {
            let held = rows::of_consumer(tx, id)?;
            let mut generations = BTreeMap::new();
            for a in &held {
                if let Some(p) = providers::get(tx, a.provider)? {
                    generations.insert(p.id, p.generation);
                }
            }
            Ok((rows::consumer(tx, id)?, held, generations))
        })
        .await?;
    let mut by_provider: BTreeMap<Uuid, Map<String, Value>> = BTreeMap::new();
    for a in held {
        by_provider.entry(a.provider).or_default().insert(a.class, json!(a.used));
    }
    let shown: Map<String, Value> = by_provider
        .into_iter()
        .map(|(p, r)| (p.to_string(), json!({"generation": generations.get(&p), "resources": r})))
        .collect();
    let mut out = json!({"allocations": shown});
    if let Some(c) = consumer.filter(|_| !out["allocations"].as_object().is_none_or(Map::is_empty)) {
        if v.0 >= 12 {
            out["project_id"] = json!(c.project_id);
            out["user_id"] = json!(c.user_id);
        }
        if v.0 >= 28 {
            out["consumer_generation"] = json!(c.generation);
        }
        if v.0 >= 38 {
            out["consumer_type"] = json!(c.kind.as_deref().unwrap_or("unknown"));
        }
    }
    Ok(Json(out))
}

/// `DELETE /allocations/{consumer}`
pub(super) async fn delete(State(me): State<Placement>, Path(id): Path<String>) -> Result<StatusCode, Fault> {
    let missing = || Fault::not_found(format!("No allocations for consumer '{id}'"));
    let consumer = Uuid::try_parse(&id).map_err(|_| missing())?;
    let released = me.unit(move |tx| crate::release(tx, consumer)).await?;
    if released.is_empty() {
        return Err(missing());
    }
    for (p, _) in released {
        me.reload(p).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /resource_providers/{uuid}/allocations`
pub(super) async fn of_provider(
    State(me): State<Placement>,
    v: Version,
    Path(id): Path<String>,
) -> Result<Json<Value>, Fault> {
    let (held, consumers, generation) = me
        .look(move |tx| {
            let p = provider(tx, &id)?;
            Ok((rows::of_provider(tx, p.id)?, rows::consumers_of_provider(tx, p.id)?, p.generation))
        })
        .await?;
    let mut by_consumer: BTreeMap<Uuid, Map<String, Value>> = BTreeMap::new();
    for a in held {
        by_consumer.entry(a.consumer).or_default().insert(a.class, json!(a.used));
    }
    let shown: Map<String, Value> = by_consumer
        .into_iter()
        .map(|(c, resources)| {
            let mut one = json!({"resources": resources});
            if v.0 >= 28 {
                one["consumer_generation"] = json!(consumers.iter().find(|k| k.id == c).map(|k| k.generation));
            }
            (c.to_string(), one)
        })
        .collect();
    Ok(Json(json!({"allocations": shown, "resource_provider_generation": generation})))
}
