//! The object of a request body, field by field, with the original's words for what is wrong. Keystone keeps properties
//! it does not know; so what is left after the known ones were taken is the object's `extra`.

use crate::Error;
use crate::password::MAX_PASSWORD;
use serde_json::{Map, Value};

/// The object under the wrapper key, from which fields are taken.
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    /// Unwraps `{"user": {…}}`.
    pub(crate) fn of(body: Value, wrapper: &str) -> Result<Fields, Error> {
        let Value::Object(mut body) = body else {
            return Err(Error::Invalid(format!("Invalid input: {} is not of type 'object'", brief(&body))));
        };
        match body.remove(wrapper) {
            Some(Value::Object(map)) => Ok(Fields(map)),
            Some(other) => Err(Error::field(wrapper, format_args!("{} is not of type 'object'", brief(&other)))),
            None => Err(Error::Invalid(format!("'{wrapper}' is a required property"))),
        }
    }

    /// A field that has to be there.
    pub(crate) fn required<T>(field: &str, value: Option<T>) -> Result<T, Error> {
        value.ok_or_else(|| Error::Invalid(format!("'{field}' is a required property")))
    }

    /// Text or null; the outer `None` says that it was not sent.
    pub(crate) fn text(&mut self, field: &str) -> Result<Option<Option<String>>, Error> {
        match self.0.remove(field) {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(None)),
            Some(Value::String(text)) => Ok(Some(Some(text))),
            Some(other) => Err(wrong(field, &other, "'string', 'null'")),
        }
    }
    /// Text of any length.
    pub(crate) fn string(&mut self, field: &str) -> Result<Option<String>, Error> {
        match self.0.remove(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong(field, &other, "'string'")),
        }
    }
    /// A name of at most `max` characters, not blank.
    pub(crate) fn name(&mut self, field: &str, max: usize) -> Result<Option<String>, Error> {
        let Some(name) = self.string(field)? else { return Ok(None) };
        if name.trim().is_empty() {
            return Err(Error::field(field, format_args!("'{name}' should be non-empty")));
        }
        let length = name.chars().count();
        if length > max {
            return Err(Error::field(
                field,
                format_args!("a text of {length} characters is too long; at most {max} fit"),
            ));
        }
        if name.contains('\0') {
            return Err(Error::field(field, "the character NUL is not allowed"));
        }
        Ok(Some(name))
    }
    /// An id, or null.
    pub(crate) fn id(&mut self, field: &str) -> Result<Option<Option<String>>, Error> {
        let Some(id) = self.text(field)? else { return Ok(None) };
        if let Some(id) = &id
            && (id.is_empty()
                || id.len() > 255
                || id.bytes().any(|b| !b.is_ascii_alphanumeric() && !b"-_.".contains(&b)))
        {
            return Err(Error::field(field, "it does not match '^[a-zA-Z0-9-]+$'"));
        }
        Ok(Some(id))
    }
    /// True or false.
    pub(crate) fn flag(&mut self, field: &str) -> Result<Option<bool>, Error> {
        match self.0.remove(field) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => Err(wrong(field, &other, "'boolean'")),
        }
    }
    /// A password, which no message repeats; null takes it away.
    pub(crate) fn password(&mut self, field: &str) -> Result<Option<Option<String>>, Error> {
        match self.0.remove(field) {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(None)),
            Some(Value::String(text)) if text.is_empty() => Err(Error::field(field, "it should be non-empty")),
            Some(Value::String(text)) if text.len() > MAX_PASSWORD => {
                Err(Error::field(field, format_args!("it is longer than {MAX_PASSWORD} bytes")))
            }
            Some(Value::String(text)) => Ok(Some(Some(text))),
            Some(_) => Err(Error::field(field, "it is not of type 'string', 'null'")),
        }
    }
    /// `options`: null as a value takes an option away.
    pub(crate) fn merge_options(&mut self, into: &mut Map<String, Value>) -> Result<(), Error> {
        match self.0.remove("options") {
            None => Ok(()),
            Some(Value::Object(options)) => {
                if options.get("immutable").is_some_and(|v| !v.is_boolean() && !v.is_null()) {
                    return Err(Error::field("options/immutable", "it is not of type 'boolean', 'null'"));
                }
                into.extend(options);
                into.retain(|_, v| !v.is_null());
                Ok(())
            }
            Some(other) => Err(wrong("options", &other, "'object'")),
        }
    }
    /// A list of texts.
    pub(crate) fn list(&mut self, field: &str) -> Result<Option<Vec<Value>>, Error> {
        match self.0.remove(field) {
            None => Ok(None),
            Some(Value::Array(list)) => Ok(Some(list)),
            Some(other) => Err(wrong(field, &other, "'array'")),
        }
    }
    /// Was anything but `options` sent?
    pub(crate) fn only_options(&self) -> bool {
        self.0.keys().all(|k| k == "options")
    }
    /// An id in the body must be that of the path.
    pub(crate) fn same_id(&mut self, id: &str) -> Result<(), Error> {
        match self.0.remove("id") {
            Some(Value::String(other)) if other != id => Err(Error::Invalid("Cannot change an id".into())),
            _ => Ok(()),
        }
    }
    /// A domain in the body must be the one it has.
    pub(crate) fn same_domain(&mut self, domain: Option<&str>) -> Result<(), Error> {
        match self.id("domain_id")? {
            Some(other) if other.as_deref() != domain => Err(Error::Invalid("Cannot change Domain ID".into())),
            _ => Ok(()),
        }
    }
    /// The rest, to be kept.
    pub(crate) fn extra_into(mut self, extra: &mut Map<String, Value>) -> Result<(), Error> {
        for ours in ["id", "links"] {
            self.0.remove(ours);
        }
        extra.extend(self.0);
        // Bounded, so that the directory in memory is.
        if serde_json::to_string(extra).map_or(0, |t| t.len()) > 16 * 1024 {
            return Err(Error::Invalid("Further properties are larger than 16384 bytes; keep them shorter".into()));
        }
        Ok(())
    }
}

fn wrong(field: &str, value: &Value, types: &str) -> Error {
    Error::field(field, format_args!("{} is not of type {types}", brief(value)))
}

/// A value as a message may repeat it.
fn brief(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 64 { format!("{}…", text.chars().take(64).collect::<String>()) } else { text }
}
