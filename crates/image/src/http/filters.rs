//! The query string of a list (`glance/api/v2/images.py`, `index`; `glance/common/utils.py`, `split_filter_op`).

use crate::Options;
use crate::error::{Error, Result};
use model::image::{Compare, Filter, MemberFilter, MemberStatus, NumberField, Query, SortKey, TextField, Visibility};
use uuid::Uuid;

/// Reads the query string into the caller's view.
pub(super) fn read(mut query: Query, pairs: &web::Query, options: &Options) -> Result<Query> {
    query.limit = limit(pairs.get("limit"), options)?;
    for (key, value) in &pairs.0 {
        if key.contains('\0') || value.contains('\0') {
            return Err(Error::Invalid("A filter may not contain NUL.".into()));
        }
        one(&mut query, key, value)?;
    }
    query.sort = sort(pairs)?;
    Ok(query)
}

fn limit(text: Option<&str>, options: &Options) -> Result<usize> {
    let Some(text) = text else { return Ok(options.default_page.min(options.max_page)) };
    let n: i64 = text.trim().parse().map_err(|_| Error::Invalid("limit param must be an integer".into()))?;
    let n = usize::try_from(n).map_err(|_| Error::Invalid("limit param must be positive".into()))?;
    Ok(n.min(options.max_page))
}

fn one(query: &mut Query, key: &str, value: &str) -> Result<()> {
    match key {
        "limit" | "sort" | "sort_key" | "sort_dir" => {}
        "marker" => query.marker = Some(marker(value)?),
        "tag" => query.filters.push(Filter::Tag(value.trim().to_owned())),
        "member_status" => query.member = member_status(value)?,
        "visibility" if value.is_empty() => {}
        "visibility" => query.visibility = Some(visibility(value)?),
        "changes-since" => {
            return Err(Error::Invalid("The \"changes-since\" filter is no longer available on v2.".into()));
        }
        "os_hidden" => query.hidden = yes_no(key, &value.to_lowercase())?,
        "protected" => query.filters.push(Filter::Protected(yes_no(key, value)?)),
        "name" => query.filters.push(text(TextField::Name, value)?),
        "id" => query.filters.push(text(TextField::Id, &value.to_lowercase())?),
        "status" => query.filters.push(text(TextField::Status, value)?),
        "container_format" => query.filters.push(text(TextField::ContainerFormat, value)?),
        "disk_format" => query.filters.push(text(TextField::DiskFormat, value)?),
        "owner" => query.filters.push(Filter::Text(TextField::Owner, vec![value.to_owned()])),
        "checksum" => query.filters.push(Filter::Text(TextField::Checksum, vec![value.to_owned()])),
        "os_hash_value" => query.filters.push(Filter::Text(TextField::HashValue, vec![value.to_owned()])),
        "created_at" => query.filters.push(time(key, NumberField::CreatedAt, value)?),
        "updated_at" => query.filters.push(time(key, NumberField::UpdatedAt, value)?),
        _ => query.filters.push(match number(key, value)? {
            Some(filter) => filter,
            None => Filter::Property(key.to_owned(), value.to_owned()),
        }),
    }
    Ok(())
}

fn marker(value: &str) -> Result<Uuid> {
    crate::change::strict_uuid(value).ok_or_else(|| Error::Invalid(format!("No image found with ID {value}")))
}

fn yes_no(key: &str, value: &str) -> Result<bool> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Error::Invalid(format!(
            "Invalid value '{value}' for '{key}' filter. Valid values are 'true' or 'false'."
        ))),
    }
}

fn member_status(value: &str) -> Result<MemberFilter> {
    if value == "all" {
        return Ok(MemberFilter::All);
    }
    let status = MemberStatus::parse(value).ok_or_else(|| Error::Invalid(format!("Invalid status: {value}")))?;
    Ok(MemberFilter::Status(status))
}

fn visibility(value: &str) -> Result<Option<Visibility>> {
    match Visibility::parse(value) {
        Some(v) => Ok(Some(v)),
        None if value == "all" => Ok(None),
        None => Err(Error::Invalid(format!("Invalid visibility value: {value}"))),
    }
}

/// `size`, `size_min`, `size_max` and the like.
fn number(key: &str, value: &str) -> Result<Option<Filter>> {
    let (name, compare) = match (key.strip_suffix("_min"), key.strip_suffix("_max")) {
        (Some(name), _) => (name, Compare::Gte),
        (_, Some(name)) => (name, Compare::Lte),
        _ => (key, Compare::Eq),
    };
    let field = match name {
        "size" => NumberField::Size,
        "virtual_size" => NumberField::VirtualSize,
        "min_disk" => NumberField::MinDisk,
        "min_ram" => NumberField::MinRam,
        _ => return Ok(None),
    };
    let n = value.trim().parse().map_err(|_| {
        Error::Invalid(format!("Unable to filter on a range with a non-numeric value (filter '{key}')."))
    })?;
    Ok(Some(Filter::Number(field, compare, n)))
}

/// `op:rest`; without a colon, equality.
fn operator(value: &str) -> (&str, &str) {
    value.split_once(':').unwrap_or(("eq", value))
}

fn unknown(operator: &str) -> Error {
    Error::Invalid(format!("Unable to filter by unknown operator '{operator}'."))
}

fn text(field: TextField, value: &str) -> Result<Filter> {
    match operator(value) {
        ("eq", word) => Ok(Filter::Text(field, vec![word.to_owned()])),
        ("in", words) => Ok(Filter::Text(field, words_of(words)?)),
        (other, _) => Err(unknown(other)),
    }
}

/// Words between commas; a word in double quotes may hold commas.
fn words_of(text: &str) -> Result<Vec<String>> {
    let invalid = |why: &str| Error::Invalid(format!("Invalid filter value {text}. {why}"));
    let (mut words, mut word) = (Vec::new(), String::new());
    let (mut open, mut closed) = (false, false);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if open => {
                word.push(c);
                word.extend(chars.next());
            }
            '"' if open => (open, closed) = (false, true),
            '"' if word.is_empty() && !closed => open = true,
            '"' => return Err(invalid("There is no comma before opening quotation mark.")),
            ',' if !open => {
                words.push(std::mem::take(&mut word));
                closed = false;
            }
            _ if closed => return Err(invalid("There is no comma after closing quotation mark.")),
            _ => word.push(c),
        }
    }
    if open {
        return Err(invalid("The quote is not closed."));
    }
    words.push(word);
    // A statement has room for so many parameters only.
    if words.len() > 500 {
        return Err(invalid("It names more than 500 values."));
    }
    Ok(words)
}

fn time(key: &str, field: NumberField, value: &str) -> Result<Filter> {
    // A time holds colons itself, so it is tried as a whole first.
    let (word, when) = match model::time::parse(value) {
        Some(when) => ("eq", Some(when)),
        None => {
            let (word, rest) = operator(value);
            (word, model::time::parse(rest))
        }
    };
    let when = when
        .ok_or_else(|| Error::Invalid(format!("Bad \"{key}\" query filter format. Use ISO 8601 DateTime notation.")))?;
    let compare = match word {
        "eq" => Compare::Eq,
        "neq" => Compare::Neq,
        "gt" => Compare::Gt,
        "gte" => Compare::Gte,
        "lt" => Compare::Lt,
        "lte" => Compare::Lte,
        other => return Err(unknown(other)),
    };
    Ok(Filter::Number(field, compare, when.0.div_euclid(1_000_000)))
}

fn key_of(word: &str) -> Result<SortKey> {
    let word = word.trim();
    SortKey::parse(word).ok_or_else(|| {
        let known: Vec<&str> = SortKey::ALL.iter().map(|(name, _)| *name).collect();
        Error::Invalid(format!("Invalid sort key: {word}. It must be one of the following: {}.", known.join(", ")))
    })
}

fn descends(word: &str) -> Result<bool> {
    match word.trim() {
        "asc" => Ok(false),
        "desc" | "" => Ok(true),
        other => Err(Error::Invalid(format!("Invalid sort direction: {other}"))),
    }
}

/// Either `sort=name:asc,size` or repeated `sort_key` and `sort_dir`.
fn sort(pairs: &web::Query) -> Result<Vec<(SortKey, bool)>> {
    let keys: Vec<&str> = pairs.all("sort_key").collect();
    let dirs: Vec<&str> = pairs.all("sort_dir").collect();
    let mut sort = Vec::new();
    if let Some(text) = pairs.get("sort") {
        if !keys.is_empty() || !dirs.is_empty() {
            return Err(Error::Invalid("Old and new sorting syntax cannot be combined".into()));
        }
        for part in text.trim().split(',') {
            let (key, dir) = part.split_once(':').unwrap_or((part, "desc"));
            sort.push((key_of(key)?, descends(dir)?));
        }
    } else {
        if dirs.len() > 1 && dirs.len() != keys.len() {
            return Err(Error::Invalid("Number of sort dirs does not match the number of sort keys".into()));
        }
        let keys = if keys.is_empty() { vec!["created_at"] } else { keys };
        for (n, key) in keys.iter().enumerate() {
            let dir = dirs.get(n).or_else(|| dirs.first().filter(|_| dirs.len() == 1)).copied().unwrap_or("desc");
            sort.push((key_of(key)?, descends(dir)?));
        }
    }
    let mut seen = Vec::new();
    sort.retain(|(key, _)| {
        let fresh = !seen.contains(key);
        seen.push(*key);
        fresh
    });
    Ok(sort)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn words_may_be_quoted() {
        assert_eq!(words_of("a,b").unwrap(), ["a", "b"]);
        assert_eq!(words_of("\"a,b\",c").unwrap(), ["a,b", "c"]);
        for bad in ["\"a", "a\"b\"", "\"a\"b"] {
            assert!(words_of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_time_is_not_split_at_its_colons() {
        let plain = time("created_at", NumberField::CreatedAt, "2026-11-22T14:00:00Z").unwrap();
        assert!(matches!(plain, Filter::Number(_, Compare::Eq, _)));
        let gte = time("created_at", NumberField::CreatedAt, "gte:2026-11-22T14:00:00Z").unwrap();
        assert!(matches!(gte, Filter::Number(_, Compare::Gte, _)));
        assert!(time("created_at", NumberField::CreatedAt, "about:2026-11-22T14:00:00Z").is_err());
        assert!(time("created_at", NumberField::CreatedAt, "gte:yesterday").is_err());
    }
}
