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
