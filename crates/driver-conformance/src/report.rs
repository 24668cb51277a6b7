//! What came out, for people and for the support matrix.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// How a trial ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As the specification says.
    Passed,
    /// Otherwise, and how.
    Failed(String),
}

/// One trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialReport {
    /// Which.
    pub id: String,
    /// Facet it is about; the core if `None`.
    pub facet: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
}

/// All trials of one driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Driver's name.
    pub driver: String,
    /// Its version.
    pub version: String,
    /// Facets it has.
    pub facets: Vec<String>,
    /// Trials in order.
    pub results: Vec<TrialReport>,
}

/// One row of the support matrix: passed and tried, for the core and each facet. A facet that is not there is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Driver's name.
    pub driver: String,
    /// Its version.
    pub version: String,
    /// `core` and facets → (passed, tried).
    pub facets: BTreeMap<String, (usize, usize)>,
}

impl Report {
    pub(crate) fn dead(why: String) -> Report {
        let result = TrialReport { id: "opens".to_owned(), facet: None, outcome: Outcome::Failed(why) };
        Report { driver: String::new(), version: String::new(), facets: Vec::new(), results: vec![result] }
    }

    /// Every trial passed, and there was one.
    pub fn passed(&self) -> bool {
        !self.results.is_empty() && self.failures().is_empty()
    }

    /// The trials that failed, each with its reason.
    pub fn failures(&self) -> Vec<(&str, &str)> {
        self.results
            .iter()
            .filter_map(|r| match &r.outcome {
                Outcome::Failed(why) => Some((r.id.as_str(), why.as_str())),
                Outcome::Passed => None,
            })
            .collect()
    }

    /// The row of the support matrix.
    pub fn row(&self) -> Row {
        let mut facets: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for result in &self.results {
            let (passed, tried) = facets.entry(result.facet.clone().unwrap_or_else(|| "core".to_owned())).or_default();
            *tried += 1;
            *passed += usize::from(result.outcome == Outcome::Passed);
        }
        Row { driver: self.driver.clone(), version: self.version.clone(), facets }
    }
}

/// The support matrix of several drivers as a Markdown table: a column each, `-` where a facet is absent, and passed of
/// tried trials where it is there.
pub fn matrix(rows: &[Row]) -> String {
    let facets = std::iter::once("core").chain(driver_api::FACETS.iter().map(|f| f.name));
    let mut out = String::from("| |");
    for row in rows {
        out.push_str(&format!(" {} {} |", row.driver, row.version));
    }
    out.push_str(&format!("\n|---|{}\n", "---|".repeat(rows.len())));
    for facet in facets {
        out.push_str(&format!("| {facet} |"));
        for row in rows {
            match row.facets.get(facet) {
                Some((passed, tried)) => out.push_str(&format!(" {passed} of {tried} |")),
                None => out.push_str(" - |"),
            }
        }
        out.push('\n');
    }
    out
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for result in &self.results {
            match &result.outcome {
                Outcome::Passed => writeln!(f, "passed  {}", result.id)?,
                Outcome::Failed(why) => writeln!(f, "FAILED  {}: {why}", result.id)?,
            }
        }
        let failed = self.failures().len();
        write!(f, "{}: {} passed, {failed} failed", self.driver, self.results.len() - failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_matrix_shows_what_is_absent_and_what_failed() {
        let row = |driver: &str, facets: &[(&str, (usize, usize))]| Row {
            driver: driver.to_owned(),
            version: "1".to_owned(),
            facets: facets.iter().map(|(f, n)| ((*f).to_owned(), *n)).collect(),
        };
        let table = matrix(&[row("a", &[("core", (3, 3)), ("pause", (1, 2))]), row("b", &[("core", (3, 3))])]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[..4], ["| | a 1 | b 1 |", "|---|---|---|", "| core | 3 of 3 | 3 of 3 |", "| pause | 1 of 2 | - |"]);
        assert_eq!(lines.len(), 2 + 1 + driver_api::FACETS.len());
    }

    #[test]
    fn an_empty_report_has_not_passed() {
        let none = Report { driver: String::new(), version: String::new(), facets: Vec::new(), results: Vec::new() };
        assert!(!none.passed());
    }
}
