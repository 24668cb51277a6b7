//! Values that go into a statement and come out of it. No value is ever converted silently: what a column
//! does not hold is an error, on both engines.

use crate::{Error, Result};
use driver_api::Timestamp;
use uuid::Uuid;

/// One parameter or one field.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// SQL's NULL.
    Null,
    /// BIGINT; also booleans (0/1) and timestamps (µs since the epoch).
    Int(i64),
    /// DOUBLE PRECISION.
    Real(f64),
    /// TEXT; also UUIDs (hyphenated, lower case) and JSON.
    Text(String),
    /// BLOB or BYTEA.
    Blob(Vec<u8>),
}

/// The parameters of a statement, each by its `From<T> for Value`: `params![id, name, None::<i64>]`.
#[macro_export]
macro_rules! params {
    () => { &[] as &[$crate::Value] };
    ($($value:expr),+ $(,)?) => { &[$($crate::Value::from($value)),+] as &[$crate::Value] };
}

/// `$first, $first+1, …` for a list of `count` parameters. Callers keep lists short (≤ 500): every length is
/// a statement of its own.
pub fn placeholders(first: usize, count: usize) -> String {
    (first..first + count).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ")
}

impl Value {
    /// `value` as JSON text.
    pub fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<Value> {
        serde_json::to_string(value).map(Value::Text).map_err(|e| Error::corrupt("JSON to be stored", e))
    }
    /// The name of the variant, for messages: values themselves are never shown.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Value::Null => "NULL",
            Value::Int(_) => "an integer",
            Value::Real(_) => "a real number",
            Value::Text(_) => "text",
            Value::Blob(_) => "bytes",
        }
    }
}

macro_rules! into_value {
    ($($from:ty => |$v:ident| $make:expr;)+) => { $(impl From<$from> for Value {
        fn from($v: $from) -> Value { $make }
    })+ };
}

into_value! {
    i64 => |v| Value::Int(v);
    i32 => |v| Value::Int(v.into());
    u32 => |v| Value::Int(v.into());
    u16 => |v| Value::Int(v.into());
    u8 => |v| Value::Int(v.into());
    // What is beyond i64 is "unlimited" wherever we meet it; both engines end at i64.
    u64 => |v| Value::Int(i64::try_from(v).unwrap_or(i64::MAX));
    usize => |v| Value::Int(i64::try_from(v).unwrap_or(i64::MAX));
    bool => |v| Value::Int(v.into());
    f64 => |v| Value::Real(v);
    String => |v| Value::Text(v);
    &str => |v| Value::Text(v.to_owned());
    &String => |v| Value::Text(v.clone());
    Vec<u8> => |v| Value::Blob(v);
    &[u8] => |v| Value::Blob(v.to_vec());
    &Vec<u8> => |v| Value::Blob(v.clone());
    Uuid => |v| Value::Text(v.to_string());
    &Uuid => |v| Value::Text(v.to_string());
    Timestamp => |v| Value::Int(v.0);
    &Option<String> => |v| v.as_deref().into();
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(v: Option<T>) -> Value {
        v.map_or(Value::Null, Into::into)
    }
}
/// What a field can be read as.
pub trait FromValue: Sized {
    /// Reads it; the error says what was expected.
    fn from_value(value: &Value) -> std::result::Result<Self, &'static str>;
}

macro_rules! from_int {
    ($($to:ty),+) => { $(impl FromValue for $to {
        fn from_value(value: &Value) -> std::result::Result<Self, &'static str> {
            match value {
                Value::Int(v) => <$to>::try_from(*v).map_err(|_| concat!("an integer that fits ", stringify!($to))),
                _ => Err("an integer"),
            }
        }
    })+ };
}
from_int!(i64, i32, u64, u32, u16, u8, usize);

impl FromValue for bool {
    fn from_value(value: &Value) -> std::result::Result<Self, &'static str> {
        match value {
            Value::Int(0) => Ok(false),
            Value::Int(1) => Ok(true),
            _ => Err("0 or 1"),
        }
    }
}
impl FromValue for f64 {
    fn from_value(value: &Value) -> std::result::Result<Self, &'static str> {
        match value {
            Value::Real(v) => Ok(*v),
            _ => Err("a real number"),
        }
    }
}
impl FromValue for String {
    fn from_value(value: &Value) -> std::result::Result<Self, &'static str> {
        match value {
            Value::Text(v) => Ok(v.clone()),
            _ => Err("text"),
        }
    }
}
impl FromValue for Vec<u8> {
    fn from_value(value: &Value) -> std::result::Result<Self, &'static str> {
        match value {
            Value::Blob(v) => Ok(v.clone()),
            _ => Err("bytes"),
        }
    }
}
impl FromValue for Uuid {
    fn from_value(value: &Value) -> std::result::Result<Self, &'static str> {
        match value {
            Value::Text(v) => Uuid::parse_str(v).map_err(|_| "a UUID"),
            _ => Err("a UUID"),
        }
    }
}
impl FromValue for Timestamp {
    fn from_value(value: &Value) -> std::result::Result<Self, &'static str> {
        i64::from_value(value).map(Timestamp)
    }
}
impl FromValue for Value {
    fn from_value(value: &Value) -> std::result::Result<Self, &'static str> {
        Ok(value.clone())
    }
}
impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: &Value) -> std::result::Result<Self, &'static str> {
        match value {
            Value::Null => Ok(None),
            other => T::from_value(other).map(Some),
        }
    }
}
