//! Reads the attributes of a body one by one; what is left over is refused by its name, as Neutron does.

use crate::{Error, Result, address};
use ipnet::IpNet;
use serde_json::{Map, Value};
use std::net::IpAddr;
use uuid::Uuid;

/// Longest name (Neutron's `NAME_MAX_LEN`), description and the like.
pub(super) const TEXT: usize = 255;

/// The attributes of one object.
pub(super) struct Attrs {
    map: Map<String, Value>,
}

/// A refusal that names the attribute.
pub(super) fn invalid(key: &str, reason: impl std::fmt::Display) -> Error {
    Error::Invalid { kind: "HTTPBadRequest", message: format!("Invalid input for {key}. Reason: {reason}.") }
}

fn malformed(message: impl Into<String>) -> Error {
    Error::Invalid { kind: "HTTPBadRequest", message: message.into() }
}

/// The objects of a body `{"port": {…}}` or `{"ports": [{…}]}`; true if it was the latter.
pub(super) fn objects(one: &str, many: &str, body: Value) -> Result<(Vec<Attrs>, bool)> {
    let Value::Object(mut body) = body else { return Err(malformed("Body contains invalid data: send a JSON object")) };
    if let Some(list) = body.remove(many) {
        let Value::Array(list) = list else { return Err(malformed(format!("'{many}' must be a list"))) };
        if list.is_empty() {
            return Err(malformed("Resources required: the list is empty"));
        }
        let all = list.into_iter().map(|v| object(one, v)).collect::<Result<_>>()?;
        return Ok((all, true));
    }
    let Some(v) = body.remove(one) else { return Err(malformed(format!("Unable to find '{one}' in request body"))) };
    Ok((vec![object(one, v)?], false))
}

/// The object of a body `{"port": {…}}`.
pub(super) fn single(one: &str, body: Value) -> Result<Attrs> {
    match body {
        Value::Object(mut body) => match body.remove(one) {
            Some(v) => object(one, v),
            None => Err(malformed(format!("Unable to find '{one}' in request body"))),
        },
        _ => Err(malformed("Body contains invalid data: send a JSON object")),
    }
}

fn object(one: &str, v: Value) -> Result<Attrs> {
    match v {
        Value::Object(map) => Ok(Attrs { map }),
        _ => Err(malformed(format!("'{one}' must be an object"))),
    }
}

impl Attrs {
    pub(super) fn of(map: Map<String, Value>) -> Attrs {
        Attrs { map }
    }
    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        self.map.remove(key)
    }
    pub(super) fn text(&mut self, key: &str, max: usize) -> Result<Option<String>> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(s)) if s.chars().count() <= max => Ok(Some(s)),
            Some(Value::String(s)) => {
                let shown: String = s.chars().take(40).collect();
                Err(invalid(key, format!("'{shown}…' exceeds maximum length of {max}")))
            }
            Some(other) => Err(invalid(key, format!("'{other}' is not a valid string"))),
        }
    }
    pub(super) fn flag(&mut self, key: &str) -> Result<Option<bool>> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Bool(b)) => Ok(Some(b)),
            Some(Value::Number(n)) if n.as_i64() == Some(0) => Ok(Some(false)),
            Some(Value::Number(n)) if n.as_i64() == Some(1) => Ok(Some(true)),
            Some(Value::String(s)) if s.eq_ignore_ascii_case("true") || s == "1" => Ok(Some(true)),
            Some(Value::String(s)) if s.eq_ignore_ascii_case("false") || s == "0" => Ok(Some(false)),
            Some(other) => Err(invalid(key, format!("{other} cannot be converted to boolean"))),
        }
    }
    /// A number; `null` counts as absent.
    pub(super) fn int(&mut self, key: &str) -> Result<Option<i64>> {
        match self.take(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Number(n)) if n.is_i64() => Ok(n.as_i64()),
            Some(Value::String(s)) if s.trim().parse::<i64>().is_ok() => Ok(s.trim().parse().ok()),
            Some(other) => Err(invalid(key, format!("{other} is not an integer"))),
        }
    }
    /// A UUID; `null` counts as absent.
    pub(super) fn id(&mut self, key: &str) -> Result<Option<Uuid>> {
        match self.take(key) {
            None | Some(Value::Null) => Ok(None),
            Some(v) => uuid(key, &v).map(Some),
        }
    }
    pub(super) fn need_id(&mut self, key: &str) -> Result<Uuid> {
        self.id(key)?.ok_or_else(|| missing(key))
    }
    /// A list of UUIDs; `null` is an empty one.
    pub(super) fn ids(&mut self, key: &str) -> Result<Option<Vec<Uuid>>> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(Vec::new())),
            Some(Value::Array(list)) => list.iter().map(|v| uuid(key, v)).collect::<Result<_>>().map(Some),
            Some(other) => Err(invalid(key, format!("'{other}' is not a list"))),
        }
    }
    /// A list, each entry read by `read`; `null` is an empty one.
    pub(super) fn list<T>(&mut self, key: &str, read: impl Fn(Value) -> Result<T>) -> Result<Option<Vec<T>>> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(Vec::new())),
            Some(Value::Array(list)) => list.into_iter().map(read).collect::<Result<_>>().map(Some),
            Some(other) => Err(invalid(key, format!("'{other}' is not a list"))),
        }
    }
    pub(super) fn mac(&mut self, key: &str) -> Result<Option<String>> {
        match self.take(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(s)) => match address::parse_mac(&s) {
                Some(mac) => Ok(Some(mac)),
                None => Err(invalid(key, format!("'{s}' is not a valid MAC address"))),
            },
            Some(other) => Err(invalid(key, format!("'{other}' is not a valid MAC address"))),
        }
    }
    /// Project of a new object: the caller's, unless an administrator says another.
    pub(super) fn project(&mut self, own: &str) -> Result<String> {
        let (tenant, project) = (self.text("tenant_id", TEXT)?, self.text("project_id", TEXT)?);
        match (tenant, project) {
            (Some(t), Some(p)) if t != p => {
                Err(malformed("'project_id' and 'tenant_id' do not match; give one of them"))
            }
            (t, p) => Ok(p.or(t).unwrap_or_else(|| own.to_owned())),
        }
    }
    /// Attributes of the original that are not built: their empty values pass, others are refused with 501.
    pub(super) fn unbuilt(&mut self, keys: &[&str]) -> Result<()> {
        for key in keys {
            let empty = match self.take(key) {
                None | Some(Value::Null | Value::Bool(false)) => true,
                Some(Value::String(s)) => s.is_empty(),
                Some(Value::Array(a)) => a.is_empty(),
                Some(Value::Object(o)) => o.is_empty(),
                Some(_) => false,
            };
            if !empty {
                return Err(Error::NotBuilt(format!("attribute {key}")));
            }
        }
        Ok(())
    }
    /// Attributes that exist but may not be given here.
    pub(super) fn fixed(&mut self, keys: &[&str]) -> Result<()> {
        match keys.iter().find(|k| self.map.contains_key(**k)) {
            Some(key) => Err(malformed(format!("Cannot update read-only attribute {key}"))),
            None => Ok(()),
        }
    }
    /// Nothing may be left.
    pub(super) fn finish(self) -> Result<()> {
        if self.map.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = self.map.keys().map(String::as_str).collect();
        Err(malformed(format!("Unrecognized attribute(s) '{}'", names.join(", "))))
    }
}

pub(super) fn missing(key: &str) -> Error {
    malformed(format!("Failed to parse request. Required attribute '{key}' not specified"))
}

fn uuid(key: &str, v: &Value) -> Result<Uuid> {
    let id = v.as_str().and_then(|s| Uuid::try_parse(s).ok());
    id.ok_or_else(|| invalid(key, format!("'{}' is not a valid UUID", v.as_str().unwrap_or(&v.to_string()))))
}

/// An address of a JSON value.
pub(super) fn ip(key: &str, v: &Value) -> Result<IpAddr> {
    let ip = v.as_str().and_then(|s| s.trim().parse().ok());
    ip.ok_or_else(|| invalid(key, format!("'{}' is not a valid IP address", v.as_str().unwrap_or(&v.to_string()))))
}

/// A range of a JSON value; an address alone is the range of itself.
pub(super) fn net(key: &str, v: &Value) -> Result<IpNet> {
    let text = v.as_str().unwrap_or_default();
    let net = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    net.ok_or_else(|| invalid(key, format!("'{}' is not a valid CIDR", v.as_str().unwrap_or(&v.to_string()))))
}
