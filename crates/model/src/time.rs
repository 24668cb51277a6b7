//! Timestamps as the services print them. Pure.

use driver_api::Timestamp;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, PrimitiveDateTime};

fn at(t: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(t.0) * 1000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// `2026-11-22T14:26:50Z`: Nova, Glance and Neutron.
pub fn seconds_z(t: Timestamp) -> String {
    let d = at(t);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        d.year(),
        u8::from(d.month()),
        d.day(),
        d.hour(),
        d.minute(),
        d.second()
    )
}

/// `2026-11-22T14:26:50.000000`: Nova's launched_at, instance actions, services.
pub fn micros(t: Timestamp) -> String {
    let d = at(t);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}",
        d.year(),
        u8::from(d.month()),
        d.day(),
        d.hour(),
        d.minute(),
        d.second(),
        d.microsecond()
    )
}

/// `2026-11-22T14:26:50.000000Z`: Keystone.
pub fn micros_z(t: Timestamp) -> String {
    format!("{}Z", micros(t))
}

/// Reads ISO 8601 with or without fraction, zone or time of day, as `changes-since` and friends come.
pub fn parse(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    // A query string decodes `+` to a blank.
    let text = text.replace(' ', "+");
    let candidates = [text.clone(), format!("{text}Z"), format!("{text}T00:00:00Z"), format!("{text}:00Z")];
    for c in &candidates {
        if let Ok(d) = OffsetDateTime::parse(c, &Rfc3339) {
            return i64::try_from(d.unix_timestamp_nanos() / 1000).ok().map(Timestamp);
        }
    }
    let plain = time::macros::format_description!("[year][month][day]T[hour][minute][second]Z");
    let d = PrimitiveDateTime::parse(&text, plain).ok()?.assume_utc();
    i64::try_from(d.unix_timestamp_nanos() / 1000).ok().map(Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_reads_back() {
        let t = Timestamp(1_795_357_610_123_456);
        assert_eq!(parse(&micros_z(t)), Some(t));
        assert_eq!(parse(&seconds_z(t)), Some(Timestamp(1_795_357_610_000_000)));
        assert_eq!(parse("2026-11-22"), parse("2026-11-22T00:00:00Z"));
        assert_eq!(parse("yesterday"), None);
    }
}
