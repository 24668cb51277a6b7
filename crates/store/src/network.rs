//! The network service's rows.
//!
//! A record is stored whole in `body`; the columns beside it are written from the same value by the same function,
//! and are what is searched, unique or guarded. Changes are compare-and-set on the revision. Which addresses are
//! fit to be given out is the service's rule; that none is given out twice is decided here.

pub mod groups;
pub mod networks;
pub mod ports;
pub mod subnets;

use crate::{Result, Row, Tx, Value, placeholders};
use serde::de::DeserializeOwned;

/// The records of rows with a column `body`.
fn bodies<T: DeserializeOwned>(rows: &[Row]) -> Result<Vec<T>> {
    rows.iter().map(|r| r.json("body")).collect()
}

/// A WHERE clause that grows: each condition numbers its own parameters.
#[derive(Default)]
struct Where {
    text: Vec<String>,
    params: Vec<Value>,
}

impl Where {
    /// `column` is one of `values`; no values means no condition.
    fn among<V: Into<Value> + Clone>(&mut self, column: &str, values: &[V]) {
        if values.is_empty() {
            return;
        }
        let list = placeholders(self.params.len() + 1, values.len());
        self.text.push(format!("{column} IN ({list})"));
        self.params.extend(values.iter().cloned().map(Into::into));
    }
    /// A condition with one parameter, written `?`.
    fn with(&mut self, condition: &str, value: impl Into<Value>) {
        self.params.push(value.into());
        self.text.push(condition.replace('?', &format!("${}", self.params.len())));
    }
    fn sql(&self) -> String {
        if self.text.is_empty() { String::new() } else { format!(" WHERE {}", self.text.join(" AND ")) }
    }
}

/// Projects that have limits of their own on any of these resources.
pub fn projects_with_limits(tx: &mut Tx, resources: &[String]) -> Result<Vec<String>> {
    let mut w = Where::default();
    w.among("resource", resources);
    let sql = format!(
        "SELECT DISTINCT project_id FROM quotas{} AND hard_limit IS NOT NULL ORDER BY project_id",
        w.sql()
    );
    tx.query(&sql, &w.params)?.iter().map(|r| r.get("project_id")).collect()
}
