//! Query strings as Nova's query schemas read them: which keys are known from when on, and paging.

use crate::ask::Ask;
use web::{Fault, Query};

/// Refuses unknown keys from `2.since` on (2.75 for some routes, 2.102 for the rest); before it they are ignored.
/// # Errors
/// 400 that names them.
pub fn known(ask: &Ask, query: &Query, since: u16, keys: &[&str]) -> Result<(), Fault> {
    if !ask.at_least(since) {
        return Ok(());
    }
    let mut unknown: Vec<&str> = query.0.iter().map(|(k, _)| k.as_str()).filter(|k| !keys.contains(k)).collect();
    unknown.sort_unstable();
    unknown.dedup();
    if unknown.is_empty() {
        return Ok(());
    }
    let list = unknown.iter().map(|k| format!("'{k}'")).collect::<Vec<_>>().join(", ");
    let verb = if unknown.len() == 1 { "was" } else { "were" };
    Err(Fault::bad_request(format!("Additional properties are not allowed ({list} {verb} unexpected)")))
}

/// Nova's sentence about one key.
pub fn wrong(key: &str, value: &str, why: impl std::fmt::Display) -> Fault {
    let shown: String = value.chars().take(200).collect();
    Fault::bad_request(format!("Invalid input for query parameters {key}. Value: {shown}. {why}"))
}

/// A page: rows at the most, and after which row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Rows at the most.
    pub limit: usize,
    /// After this one.
    pub marker: Option<String>,
    /// A full page has a next one: the limit was given, or is the greatest.
    pub linked: bool,
}

/// `limit` and `marker`; every `limit` must be a number, the last counts.
/// # Errors
/// 400.
pub fn page(query: &Query, max: usize) -> Result<Page, Fault> {
    let mut limit = max;
    for text in query.all("limit") {
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong("limit", text, format!("'{text}' does not match '^[0-9]*$'")));
        }
        limit = text.parse::<usize>().unwrap_or(max).min(max);
    }
    let marker = query.get("marker").map(str::to_owned);
    Ok(Page { limit, marker, linked: limit > 0 })
}

/// The rows of a page of a list in memory.
/// # Errors
/// 400 if the marker is none of them.
pub fn cut<T>(rows: Vec<T>, page: &Page, is: impl Fn(&T, &str) -> bool) -> Result<Vec<T>, Fault> {
    let start = match &page.marker {
        None => 0,
        Some(m) => rows.iter().position(|r| is(r, m)).ok_or_else(|| no_marker(m))? + 1,
    };
    Ok(rows.into_iter().skip(start).take(page.limit).collect())
}

/// Nova's sentence for a marker that is not there.
pub fn no_marker(marker: &str) -> Fault {
    let shown: String = marker.chars().take(200).collect();
    Fault::bad_request(format!("marker [{shown}] not found"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn q(pairs: &[(&str, &str)]) -> Query {
        Query(pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect())
    }

    #[test]
    fn paging() {
        assert_eq!(page(&q(&[("limit", "5000")]), 1000).unwrap().limit, 1000);
        assert_eq!(page(&q(&[("limit", "0")]), 1000).unwrap().limit, 0);
        for bad in ["-1", "x", "", "1.5"] {
            assert!(page(&q(&[("limit", bad)]), 10).unwrap_err().message.contains("limit"));
        }
        let p = page(&q(&[("limit", "2"), ("marker", "b")]), 10).unwrap();
        assert_eq!(cut(vec!["a", "b", "c", "d", "e"], &p, |r, m| *r == m).unwrap(), ["c", "d"]);
        assert!(cut(vec!["a"], &p, |r, m| *r == m).is_err());
    }
}
