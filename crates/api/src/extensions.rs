//! `/extensions`: a list that the original froze in 2014; clients still look into it.

use crate::ask::Ask;
use crate::query::known;
use axum::Json;
use axum::extract::Path;
use serde_json::{Value, json};
use web::{Fault, Query};

fn all() -> impl Iterator<Item = Value> {
    include_str!("../data/extensions.tsv").lines().skip(1).filter_map(|line| {
        let mut f = line.split('\t');
        let (alias, name, description) = (f.next()?, f.next()?, f.next()?);
        Some(json!({
            "alias": alias, "name": name, "description": description, "links": [],
            "namespace": "http://docs.openstack.org/compute/ext/fake_xml", "updated": "2014-12-03T00:00:00Z",
        }))
    })
}

/// `GET`.
/// # Errors
/// 400.
pub async fn list(ask: Ask, query: Query) -> Result<Json<Value>, Fault> {
    known(&ask, &query, 102, &[])?;
    Ok(Json(json!({ "extensions": all().collect::<Vec<_>>() })))
}

/// `GET …/{alias}`.
/// # Errors
/// 404.
pub async fn show(ask: Ask, Path(alias): Path<String>, query: Query) -> Result<Json<Value>, Fault> {
    known(&ask, &query, 102, &[])?;
    match all().find(|e| e["alias"] == alias) {
        Some(extension) => Ok(Json(json!({ "extension": extension }))),
        None => Err(Fault::not_found("The resource could not be found.")),
    }
}
