//! One row of an answer, read by column name. Never interprets a record: that is each aggregate's work.

use crate::{Error, FromValue, Result, Value};
use std::sync::Arc;

/// A row.
#[derive(Debug, Clone)]
pub struct Row {
    columns: Arc<[String]>,
    values: Vec<Value>,
}

impl Row {
    pub(crate) fn new(columns: Arc<[String]>, values: Vec<Value>) -> Row {
        Row { columns, values }
    }
    /// The field as it came.
    pub fn value(&self, column: &str) -> Result<&Value> {
        // Rows have a dozen columns: looking through them is quicker than any map.
        self.columns
            .iter()
            .position(|name| name == column)
            .and_then(|at| self.values.get(at))
            .ok_or_else(|| Error::Sql(format!("the answer has no column {column}")))
    }
    /// The field as `T`.
    pub fn get<T: FromValue>(&self, column: &str) -> Result<T> {
        let value = self.value(column)?;
        T::from_value(value).map_err(|wanted| wrong(column, wanted, value))
    }
    /// The text field without copying it.
    pub fn text(&self, column: &str) -> Result<&str> {
        match self.value(column)? {
            Value::Text(text) => Ok(text),
            other => Err(wrong(column, "text", other)),
        }
    }
    /// The JSON text field as `T`.
    pub fn json<T: serde::de::DeserializeOwned>(&self, column: &str) -> Result<T> {
        serde_json::from_str(self.text(column)?).map_err(|e| Error::corrupt(format!("column {column}"), e))
    }
    /// The names of the columns, in their order.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }
}

fn wrong(column: &str, wanted: &str, found: &Value) -> Error {
    Error::corrupt(format!("column {column}"), format!("expected {wanted}, found {}", found.kind()))
}
