//! Rows of the table: a figure, its floor, its aim. Decides what passes; measures nothing.

use crate::machine::Machine;
use serde::Serialize;
use serde_json::{Map, Value};

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// The larger.
    More,
    /// The smaller.
    Less,
}

/// One line of the table.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Short name, for `--only` and programs.
    pub key: &'static str,
    /// What was measured.
    pub what: String,
    /// The figure.
    pub figure: f64,
    /// Its unit.
    pub unit: &'static str,
    /// Which way is better.
    pub better: Better,
    /// What it must reach.
    pub floor: f64,
    /// What we would like.
    pub aim: f64,
    /// `aim`, `pass` or `fail`.
    pub verdict: &'static str,
}

impl Row {
    /// A judged figure.
    pub fn new(key: &'static str, what: impl Into<String>, figure: f64, unit: &'static str, better: Better, marks: (f64, f64)) -> Row {
        let (floor, aim) = marks;
        let meets = |mark: f64| if better == Better::More { figure >= mark } else { figure <= mark };
        let verdict = if meets(aim) {
            "aim"
        } else if meets(floor) {
            "pass"
        } else {
            "fail"
        };
        Row { key, what: what.into(), figure, unit, better, floor, aim, verdict }
    }
}

/// Everything of one run.
#[derive(Serialize)]
pub struct Report {
    /// Where it ran.
    pub machine: Option<Machine>,
    /// A short run: fewer servers, fewer repetitions.
    pub quick: bool,
    /// Judged figures.
    pub rows: Vec<Row>,
    /// What explains them: latencies, CPU per server, bytes, memory.
    pub details: Map<String, Value>,
    /// What could not be measured, and why.
    pub missing: Vec<String>,
}

fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

impl Report {
    /// The table for people.
    pub fn table(&self) -> String {
        let mut out = String::new();
        if let Some(m) = &self.machine {
            out.push_str(&format!(
                "{} x {}, kernel {}, {} MiB, load {}\nflush of 4 KiB: p50 {:.2} ms, p99 {:.2} ms, {:.0}/s\n\n",
                m.cpus, m.cpu, m.kernel, m.memory_mib, m.load, m.flush.p50_ms, m.flush.p99_ms, m.flush.per_second
            ));
        }
        out.push_str(&format!("{:<62} {:>10} {:>10} {:>10}  {:<9} {}\n", "what", "figure", "floor", "aim", "unit", "verdict"));
        for r in &self.rows {
            out.push_str(&format!(
                "{:<62} {:>10} {:>10} {:>10}  {:<9} {}\n",
                r.what, short(r.figure), short(r.floor), short(r.aim), r.unit, r.verdict
            ));
        }
        for m in &self.missing {
            out.push_str(&format!("not measured: {m}\n"));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floors_and_aims_decide() {
        let more = |figure| Row::new("k", "w", figure, "/s", Better::More, (2.0, 5.0)).verdict;
        assert_eq!([more(1.9), more(2.0), more(5.0)], ["fail", "pass", "aim"]);
        let less = |figure| Row::new("k", "w", figure, "ms", Better::Less, (5.0, 2.0)).verdict;
        assert_eq!([less(5.1), less(5.0), less(2.0), less(f64::NAN)], ["fail", "pass", "aim", "fail"]);
    }
}
