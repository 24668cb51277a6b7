//! Microversions of the Compute API: a pair of numbers, compared as numbers. Never a float, never a text.

use std::fmt;

/// A microversion, `2.90`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Microversion(pub u16, pub u16);

impl Microversion {
    /// The oldest that is spoken: Nova's `_MIN_API_VERSION`.
    pub const MIN: Microversion = Microversion(2, 1);
    /// The newest that is spoken: Nova 34 (2026.2).
    pub const MAX: Microversion = Microversion(2, 104);

    /// At least `2.minor`.
    pub fn at_least(self, minor: u16) -> bool {
        self >= Microversion(2, minor)
    }

    /// Reads `2.90`: digits, one point, no leading zeros, as Nova's pattern `^([1-9]\d*)\.([1-9]\d*|0)$` has it.
    pub fn parse(text: &str) -> Option<Microversion> {
        let (major, minor) = text.split_once('.')?;
        let number = |t: &str| -> Option<u16> {
            let canonical = t == "0" || !t.starts_with('0');
            (canonical && !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit())).then(|| t.parse().ok()).flatten()
        };
        let major = number(major).filter(|m| *m > 0)?;
        Some(Microversion(major, number(minor)?))
    }
}

impl fmt::Display for Microversion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_as_numbers_and_reads_strictly() {
        assert!(Microversion(2, 10) > Microversion(2, 9));
        assert!(Microversion(2, 100).at_least(90));
        assert_eq!(Microversion::parse("2.90"), Some(Microversion(2, 90)));
        assert_eq!(Microversion::parse("2.0"), Some(Microversion(2, 0)));
        for bad in ["", "2", "2.", ".1", "2.01", "02.1", "2.1.1", "2.-1", "a.b", "2.1 ", "latest", "0.1", "2.99999"] {
            assert_eq!(Microversion::parse(bad), None, "{bad:?}");
        }
    }
}
