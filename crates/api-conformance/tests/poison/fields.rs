//! Every stored field, and the ways to damage it: from the schema and from the rows.

use api_conformance::{Template, World};
use serde_json::Value as Json;
use store::{Store, Tx, Value};

/// One damage.
pub struct Damage {
    /// Table, column, and the path inside of JSON: `servers.body/flavor/vcpus`.
    pub field: String,
    /// What is done to it.
    pub kind: &'static str,
    /// Its table.
    pub table: String,
    /// The row's key, as the audit shows it.
    pub id: String,
    /// The statement.
    pub sql: String,
}

/// Tables whose last two rows are damaged: one that is settled and one that is on its way.
const TWO: &[&str] = &["servers", "flows"];

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn literal(value: &Value) -> String {
    match value {
        Value::Null => "NULL".into(),
        Value::Int(n) => n.to_string(),
        Value::Real(n) => n.to_string(),
        Value::Text(t) => quoted(t),
        Value::Blob(b) => format!("x'{}'", hex::encode(b)),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Text(t) => t.clone(),
        Value::Int(n) => n.to_string(),
        _ => String::new(),
    }
}

/// All damages of all tables.
pub fn all(template: &Template) -> Vec<Damage> {
    let store = World::after(template, crate::cast::shape()).kept().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(read(&store))
}

async fn read(store: &Store) -> Vec<Damage> {
    store
        .read(|tx| {
            let tables = tx.query("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name", &[])?;
            let mut out = Vec::new();
            for table in &tables {
                of_table(tx, table.text("name")?, &mut out)?;
            }
            Ok(out)
        })
        .await
        .unwrap()
}

fn of_table(tx: &mut Tx, table: &str, out: &mut Vec<Damage>) -> store::Result<()> {
    let columns = tx.query(&format!("SELECT name, pk FROM pragma_table_info({}) ORDER BY cid", quoted(table)), &[])?;
    let mut key: Vec<(i64, String)> = columns.iter().map(|c| (c.get("pk").unwrap(), c.get("name").unwrap())).collect();
    key.retain(|(pk, _)| *pk > 0);
    key.sort();
    let count = if TWO.contains(&table) { 2 } else { 1 };
    let rows = tx.query(&format!("SELECT * FROM {table} ORDER BY rowid DESC LIMIT {count}"), &[])?;
    assert!(!rows.is_empty() || crate::known::EMPTY.contains(&table), "the furnished cloud has no row in {table}: give it one in cast.rs");
    for row in &rows {
        let value = |name: &str| row.value(name).unwrap();
        let here: Vec<String> = key.iter().map(|(_, k)| format!("{k} = {}", literal(value(k)))).collect();
        let id = key.iter().map(|(_, k)| shown(value(k))).collect::<Vec<_>>().join(" ");
        for column in &columns {
            let name: String = column.get("name")?;
            let mut add = |field: String, kind: &'static str, new: String, same_key: &str| {
                let sql = format!("UPDATE {table} SET {name} = {new} WHERE {}", here.join(" AND "));
                // A damaged key is shown as it is now.
                let id = if key.iter().any(|(_, k)| *k == name) { same_key.to_owned() } else { id.clone() };
                out.push(Damage { field, kind, table: table.to_owned(), id, sql });
            };
            of_column(&format!("{table}.{name}"), value(&name), &mut add);
        }
    }
    Ok(())
}

fn of_column(field: &str, old: &Value, add: &mut impl FnMut(String, &'static str, String, &str)) {
    let large = "x".repeat(100_000);
    for (kind, new, shown) in [
        ("set to NULL", "NULL".to_owned(), "NULL"),
        ("made garbage", quoted("\u{1}g\u{e5}rbage"), "\u{1}g\u{e5}rbage"),
        ("made bytes", "x'00ff'".into(), "bytes"),
        ("made negative", "-1".into(), "-1"),
        ("made huge", i64::MAX.to_string(), "9223372036854775807"),
    ] {
        if literal(old) != new {
            add(field.to_owned(), kind, new, shown);
        }
    }
    let Value::Text(text) = old else { return };
    add(field.to_owned(), "emptied", "''".into(), "");
    add(field.to_owned(), "made oversized", quoted(&large), "xxx");
    let Ok(json @ (Json::Object(_) | Json::Array(_))) = serde_json::from_str::<Json>(text) else { return };
    add(field.to_owned(), "cut off", quoted(&text[..text.len() - 1]), "");
    let mut paths = Vec::new();
    walk(&json, &mut Vec::new(), &mut paths);
    for path in paths {
        let name = format!("{field}/{}", path.join("/"));
        let mut without = json.clone();
        if remove(&mut without, &path) {
            add(name.clone(), "left out", quoted(&without.to_string()), "");
        }
        let mut other = json.clone();
        let slot = path.iter().try_fold(&mut other, |v, step| step_into(v, step)).unwrap();
        *slot = match slot {
            Json::String(_) => Json::from(12345),
            Json::Array(_) | Json::Object(_) => Json::from("no list"),
            Json::Null => Json::from(vec![7]),
            Json::Number(_) | Json::Bool(_) => Json::from("no number"),
        };
        add(name, "of another type", quoted(&other.to_string()), "");
    }
}

/// Paths of all keys; of a list only its first entry.
fn walk(v: &Json, at: &mut Vec<String>, out: &mut Vec<Vec<String>>) {
    let inside: Vec<(String, &Json)> = match v {
        Json::Object(map) => map.iter().map(|(k, v)| (k.clone(), v)).collect(),
        Json::Array(list) => list.first().map(|v| ("0".to_owned(), v)).into_iter().collect(),
        _ => return,
    };
    for (key, value) in inside {
        at.push(key);
        out.push(at.clone());
        walk(value, at, out);
        at.pop();
    }
}

fn step_into<'a>(v: &'a mut Json, step: &str) -> Option<&'a mut Json> {
    match v {
        Json::Array(list) => list.get_mut(step.parse::<usize>().ok()?),
        other => other.get_mut(step),
    }
}

/// Takes a key out of its object; an entry of a list is no key.
fn remove(v: &mut Json, path: &[String]) -> bool {
    let (last, before) = path.split_last().unwrap();
    let holder = before.iter().try_fold(v, |v, step| step_into(v, step));
    match holder {
        Some(Json::Object(map)) => map.remove(last).is_some(),
        _ => false,
    }
}
