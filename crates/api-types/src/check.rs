//! Reads request bodies as strictly as Nova's JSON schemas do, in Nova's own sentences.
//!
//! A body is read field by field: what is not read is unknown and refused, so a field that a later microversion
//! brought is unknown before it by simply not being read. This is why requests are not plain serde structs: one
//! struct a microversion would be needed. Nothing here knows a resource or a database; it is pure.

use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use uuid::Uuid;

/// Why a body is refused (400). Names the field; the value is shortened, and left out where it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid(pub String);

impl std::fmt::Display for Invalid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Invalid {}

/// Result of reading.
pub type Result<T> = std::result::Result<T, Invalid>;

/// A value and the name of its field.
#[derive(Debug, Clone)]
pub struct At<'a> {
    /// The field, as the sentence names it.
    pub name: Cow<'a, str>,
    /// What came.
    pub value: &'a Value,
}

/// Fields whose values must not be repeated in an answer that a proxy may log.
const SECRET: [&str; 3] = ["adminPass", "user_data", "private_key"];

/// Characters of a value that are repeated in a refusal.
const SHOWN: usize = 200;

/// The value as Python prints it, as Nova's sentences show it.
pub fn repr(value: &Value) -> String {
    match value {
        Value::Null => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Number(n) => n.to_string(),
        Value::String(s) => format!("'{s}'"),
        Value::Array(a) => format!("[{}]", a.iter().map(repr).collect::<Vec<_>>().join(", ")),
        Value::Object(o) => {
            let show = |(k, v): (&String, &Value)| {
                let secret = SECRET.contains(&k.as_str());
                format!("'{k}': {}", if secret { "'***'".into() } else { repr(v) })
            };
            format!("{{{}}}", o.iter().map(show).collect::<Vec<_>>().join(", "))
        }
    }
}

fn shorten(text: String) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text,
    }
}

impl<'a> At<'a> {
    /// A value under a name.
    pub fn new(name: impl Into<Cow<'a, str>>, value: &'a Value) -> At<'a> {
        At { name: name.into(), value }
    }
    /// Nova's sentence about this field.
    pub fn refuse(&self, why: impl std::fmt::Display) -> Invalid {
        // Python prints a text value itself, without quotes.
        let shown = match self.value {
            _ if SECRET.contains(&self.name.as_ref()) => "***".to_owned(),
            Value::String(s) => s.clone(),
            other => repr(other),
        };
        Invalid(format!("Invalid input for field/attribute {}. Value: {}. {why}", self.name, shorten(shown)))
    }
    fn wrong_type(&self, wanted: &str) -> Invalid {
        self.refuse(format!("{} is not of type {wanted}", shorten(repr(self.value))))
    }
    /// Text.
    pub fn text(&self) -> Result<&'a str> {
        self.value.as_str().ok_or_else(|| self.wrong_type("'string'"))
    }
    /// Text of `min` to `max` characters.
    pub fn bounded(&self, min: usize, max: usize) -> Result<&'a str> {
        let text = self.text()?;
        let n = text.chars().count();
        if n < min {
            return Err(self.refuse(format!("'{text}' is too short")));
        }
        if n > max {
            return Err(self.refuse(format!("'{}' is too long", shorten(text.to_owned()))));
        }
        Ok(text)
    }
    /// An object.
    pub fn object(&self) -> Result<Fields<'a>> {
        match self.value {
            Value::Object(map) => Ok(Fields { owner: Some(self.clone()), map, taken: Vec::new() }),
            _ => Err(self.wrong_type("'object'")),
        }
    }
    /// A list, each item read by `read`.
    pub fn each<T>(&self, mut read: impl FnMut(At<'a>) -> Result<T>) -> Result<Vec<T>> {
        let Value::Array(items) = self.value else { return Err(self.wrong_type("'array'")) };
        items.iter().enumerate().map(|(i, v)| read(At::new(format!("{}[{i}]", self.name), v))).collect()
    }
    /// `null` came.
    pub fn is_null(&self) -> bool {
        self.value.is_null()
    }
    /// One of a set of words.
    pub fn one_of(&self, words: &[&str]) -> Result<&'a str> {
        let text = self.text()?;
        if words.contains(&text) {
            return Ok(text);
        }
        let list = words.iter().map(|w| format!("'{w}'")).collect::<Vec<_>>().join(", ");
        Err(self.refuse(format!("{} is not one of [{list}]", repr(self.value))))
    }
    /// A whole number from `min` to `max`; a text of digits counts, as in Nova.
    pub fn integer(&self, min: i64, max: i64) -> Result<i64> {
        let n = match self.value {
            Value::Number(n) => n.as_i64().or_else(|| whole(n.as_f64()?)).ok_or_else(|| self.wrong_type("'integer', 'string'"))?,
            Value::String(s) => {
                let digits = s.strip_prefix('-').unwrap_or(s);
                if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) || (min >= 0 && s.starts_with('-')) {
                    return Err(self.refuse(format!("'{s}' does not match '^[0-9]*$'")));
                }
                s.parse().unwrap_or(i64::MAX)
            }
            _ => return Err(self.wrong_type("'integer', 'string'")),
        };
        if n < min {
            return Err(self.refuse(format!("{n} is less than the minimum of {min}")));
        }
        if n > max {
            return Err(self.refuse(format!("{n} is greater than the maximum of {max}")));
        }
        Ok(n)
    }
    /// A text made of characters that `admits` accepts; `pattern` is what the sentence shows.
    pub fn pattern(&self, min: usize, max: usize, pattern: &str, admits: impl Fn(&str) -> bool) -> Result<&'a str> {
        let text = self.bounded(min, max)?;
        if admits(text) { Ok(text) } else { Err(self.refuse(format!("'{text}' does not match '{pattern}'"))) }
    }
}

fn whole(f: f64) -> Option<i64> {
    #[allow(clippy::cast_possible_truncation)] // bounded right before
    (f.fract() == 0.0 && f.abs() < 9.0e15).then_some(f as i64)
}

/// An object that is being read. What was not read when [`Fields::finish`] is called is unknown.
#[derive(Debug)]
pub struct Fields<'a> {
    owner: Option<At<'a>>,
    map: &'a Map<String, Value>,
    taken: Vec<&'a str>,
}

impl<'a> Fields<'a> {
    /// The body itself.
    pub fn root(body: &'a Value) -> Result<Fields<'a>> {
        match body {
            Value::Object(map) => Ok(Fields { owner: None, map, taken: Vec::new() }),
            other => Err(Invalid(format!("{} is not of type 'object'", shorten(repr(other))))),
        }
    }
    fn refuse(&self, why: String) -> Invalid {
        match &self.owner {
            Some(at) => at.refuse(why),
            None => Invalid(why),
        }
    }
    fn take(&mut self, name: &'a str) -> Option<At<'a>> {
        self.map.get_key_value(name).map(|(key, value)| {
            self.taken.push(key);
            At::new(key.as_str(), value)
        })
    }
    /// A field that must be there.
    pub fn required<T>(&mut self, name: &'a str, read: impl FnOnce(At<'a>) -> Result<T>) -> Result<T> {
        match self.take(name) {
            Some(at) => read(at),
            None => Err(self.refuse(format!("'{name}' is a required property"))),
        }
    }
    /// A field that may be there.
    pub fn optional<T>(&mut self, name: &'a str, read: impl FnOnce(At<'a>) -> Result<T>) -> Result<Option<T>> {
        self.take(name).map(read).transpose()
    }
    /// A field that may be there from a microversion on; before it, it is unknown.
    pub fn since<T>(
        &mut self,
        known: bool,
        name: &'a str,
        read: impl FnOnce(At<'a>) -> Result<T>,
    ) -> Result<Option<T>> {
        if known { self.optional(name, read) } else { Ok(None) }
    }
    /// Everything that was not read, for objects that allow anything more.
    pub fn rest(self) -> impl Iterator<Item = (&'a String, &'a Value)> {
        let taken = self.taken;
        self.map.iter().filter(move |(k, _)| !taken.contains(&k.as_str()))
    }
    /// Refuses what was not read.
    pub fn finish(self) -> Result<()> {
        let unknown: Vec<String> =
            self.map.keys().filter(|k| !self.taken.contains(&k.as_str())).map(|k| format!("'{k}'")).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let verb = if unknown.len() == 1 { "was" } else { "were" };
        Err(self.refuse(format!("Additional properties are not allowed ({} {verb} unexpected)", unknown.join(", "))))
    }
}

/// An object with exactly one field: `{"pause": …}`.
pub fn only<'a, T>(body: &'a Value, name: &'a str, read: impl FnOnce(At<'a>) -> Result<T>) -> Result<T> {
    let mut root = Fields::root(body)?;
    let value = root.required(name, read)?;
    root.finish()?;
    Ok(value)
}

/// Anything at all (Nova's `{}` schema).
pub fn anything(_: At<'_>) -> Result<()> {
    Ok(())
}

/// Nothing but `null`.
pub fn null(at: At<'_>) -> Result<()> {
    if at.is_null() { Ok(()) } else { Err(at.wrong_type("'null'")) }
}

/// A printable character as Nova counts it: of the basic plane, no control, format, private or separator
/// character, but blanks.
fn printable(c: char) -> bool {
    let format = matches!(c, '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}');
    let private = matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{fdd0}'..='\u{fdef}' | '\u{fffe}'..);
    !c.is_control() && !format && !private && !matches!(c, '\u{2028}' | '\u{2029}')
}

fn name_where(at: &At<'_>, admits: impl Fn(char) -> bool, reason: &str) -> Result<String> {
    let text = at.bounded(1, 255)?;
    let edge = |c: Option<char>| c.is_some_and(char::is_whitespace);
    if text.chars().all(|c| printable(c) && admits(c)) && !edge(text.chars().next()) && !edge(text.chars().last()) {
        return Ok(text.to_owned());
    }
    Err(Invalid(format!("An invalid '{}' value was provided. The name must be: {reason}", at.name)))
}

/// Nova's `name`: 1 to 255 printable characters, no blank at either end.
pub fn name(at: At<'_>) -> Result<String> {
    name_where(&at, |_| true, "printable characters. Can not start or end with whitespace.")
}

/// Nova's `az_name`: a name without `:`.
pub fn zone_name(at: At<'_>) -> Result<String> {
    name_where(&at, |c| c != ':', "printable characters except :.Can not start or end with whitespace.")
}

/// Nova's `name_or_none`.
pub fn name_or_none(at: At<'_>) -> Result<Option<String>> {
    if at.is_null() { Ok(None) } else { at.bounded(1, 255).map(|t| Some(t.to_owned())) }
}

/// Text without limits.
pub fn text(at: At<'_>) -> Result<String> {
    at.text().map(str::to_owned)
}

/// Printable text of at most `max` characters, or null.
pub fn description(max: usize) -> impl FnOnce(At<'_>) -> Result<Option<String>> {
    move |at| {
        if at.is_null() {
            return Ok(None);
        }
        let text = at.bounded(0, max)?;
        if text.chars().all(printable) {
            Ok(Some(text.to_owned()))
        } else {
            Err(at.refuse(format!("'{text}' does not match the printable characters")))
        }
    }
}

/// Nova's lenient truth: `true`, `"True"`, `"on"`, `"1"` …
pub fn boolean(at: At<'_>) -> Result<bool> {
    match at.value {
        Value::Bool(b) => Ok(*b),
        Value::String(s) => boolean_word(s).ok_or_else(|| at.refuse(format!("'{s}' is not one of [True, 'True', 'true', '1', 'on', 'yes', False, 'False', 'false', '0', 'off', 'no']"))),
        _ => Err(at.wrong_type("'boolean', 'string'")),
    }
}

/// The truth of one of Nova's words.
pub fn boolean_word(word: &str) -> Option<bool> {
    match word {
        "True" | "TRUE" | "true" | "1" | "ON" | "On" | "on" | "YES" | "Yes" | "yes" => Some(true),
        "False" | "FALSE" | "false" | "0" | "OFF" | "Off" | "off" | "NO" | "No" | "no" => Some(false),
        _ => None,
    }
}

/// The truth of a word in a query string: wider than in bodies, whatever its case (`oslo_utils.strutils.bool_from_string`).
pub fn truth_word(word: &str) -> Option<bool> {
    match word.trim().to_ascii_lowercase().as_str() {
        "1" | "t" | "true" | "on" | "y" | "yes" => Some(true),
        "0" | "f" | "false" | "off" | "n" | "no" => Some(false),
        _ => None,
    }
}

/// A UUID in any of its usual spellings.
pub fn uuid(at: At<'_>) -> Result<Uuid> {
    let text = at.text()?;
    Uuid::try_parse(text).map_err(|_| at.refuse(format!("'{text}' is not a 'uuid'")))
}

/// A UUID or null.
pub fn uuid_or_none(at: At<'_>) -> Result<Option<Uuid>> {
    if at.is_null() { Ok(None) } else { uuid(at).map(Some) }
}

/// An IP address.
pub fn ip(at: At<'_>) -> Result<IpAddr> {
    let text = at.text()?;
    text.parse().map_err(|_| at.refuse(format!("'{text}' is not valid under any of the given schemas")))
}

/// An IPv4 address, in its usual spelling.
pub fn ipv4(at: At<'_>) -> Result<String> {
    let text = at.text()?;
    text.parse::<Ipv4Addr>().map(|ip| ip.to_string()).map_err(|_| at.refuse(format!("'{text}' is not a 'ipv4'")))
}

/// An IPv6 address, in its shortest spelling.
pub fn ipv6(at: At<'_>) -> Result<String> {
    let text = at.text()?;
    text.parse::<Ipv6Addr>().map(|ip| ip.to_string()).map_err(|_| at.refuse(format!("'{text}' is not a 'ipv6'")))
}

/// Whether `key` may be a key of metadata and extra specs: `^[a-zA-Z0-9-_:. ]{1,255}$`.
pub fn is_metadata_key(key: &str) -> bool {
    let n = key.chars().count();
    (1..=255).contains(&n) && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_:. ".contains(c))
}

fn bad_key(at: &At<'_>, key: &str) -> Invalid {
    at.refuse(format!("'{key}' does not match any of the regexes: '^[a-zA-Z0-9-_:. ]{{1,255}}$'"))
}

/// User metadata: texts of at most 255 characters.
pub fn metadata(at: At<'_>) -> Result<BTreeMap<String, String>> {
    let fields = at.object()?;
    let mut out = BTreeMap::new();
    for (key, value) in fields.map {
        if !is_metadata_key(key) {
            return Err(bad_key(&at, key));
        }
        out.insert(key.clone(), At::new(key.as_str(), value).bounded(0, 255)?.to_owned());
    }
    Ok(out)
}

/// Metadata in which null removes a key (aggregates).
pub fn metadata_with_null(at: At<'_>) -> Result<BTreeMap<String, Option<String>>> {
    let fields = at.object()?;
    let mut out = BTreeMap::new();
    for (key, value) in fields.map {
        if !is_metadata_key(key) {
            return Err(bad_key(&at, key));
        }
        let item = At::new(key.as_str(), value);
        let text = if item.is_null() { None } else { Some(item.bounded(0, 255)?.to_owned()) };
        out.insert(key.clone(), text);
    }
    Ok(out)
}

/// Extra specs: texts or numbers of at most 255 characters.
pub fn extra_specs(at: At<'_>) -> Result<BTreeMap<String, String>> {
    let fields = at.object()?;
    if fields.map.is_empty() {
        return Err(at.refuse("{} should be non-empty"));
    }
    let mut out = BTreeMap::new();
    for (key, value) in fields.map {
        if !is_metadata_key(key) {
            return Err(bad_key(&at, key));
        }
        let item = At::new(key.as_str(), value);
        let text = match value {
            Value::Number(n) => n.to_string(),
            _ => item.bounded(0, 255)?.to_owned(),
        };
        out.insert(key.clone(), text);
    }
    Ok(out)
}

/// A server's tag: 1 to 60 characters without `,` and `/`.
pub fn tag(at: At<'_>) -> Result<String> {
    at.pattern(1, 60, "^[^,/]*$", |t| !t.contains([',', '/'])).map(str::to_owned)
}

/// `AUTO` or `MANUAL`.
pub fn disk_config(at: At<'_>) -> Result<String> {
    at.one_of(&["AUTO", "MANUAL"]).map(str::to_owned)
}

/// A host name label (2.90 to 2.93): `^[a-zA-Z0-9]+[a-zA-Z0-9-]*[a-zA-Z0-9]+$`.
pub fn hostname(at: At<'_>) -> Result<String> {
    let ok = |t: &str| {
        t.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') && !t.starts_with('-') && !t.ends_with('-')
    };
    at.pattern(2, 63, "^[a-zA-Z0-9]+[a-zA-Z0-9-]*[a-zA-Z0-9]+$", ok).map(str::to_owned)
}

/// A host name with domain: `^[a-zA-Z0-9-._]*$`.
pub fn fqdn(at: At<'_>) -> Result<String> {
    let ok = |t: &str| t.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    at.pattern(1, 255, "^[a-zA-Z0-9-._]*$", ok).map(str::to_owned)
}

/// A project's or user's id: `^[a-zA-Z0-9-]*$`.
pub fn owner_id(at: At<'_>) -> Result<String> {
    let ok = |t: &str| t.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    at.pattern(1, 255, "^[a-zA-Z0-9-]*$", ok).map(str::to_owned)
}

/// Up to 50 certificate ids, or null.
pub fn trusted_certs(at: At<'_>) -> Result<Option<Vec<String>>> {
    if at.is_null() {
        return Ok(None);
    }
    let list = at.each(|item| item.bounded(1, usize::MAX).map(str::to_owned))?;
    if list.is_empty() {
        return Err(at.refuse("[] should be non-empty"));
    }
    if list.len() > 50 {
        return Err(at.refuse("the list is too long (at most 50)"));
    }
    let mut sorted = list.clone();
    sorted.sort();
    sorted.dedup();
    if sorted.len() != list.len() {
        return Err(at.refuse("the list has non-unique elements"));
    }
    Ok(Some(list))
}

#[cfg(test)]
mod tests;
