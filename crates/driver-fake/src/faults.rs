//! The fault plan: which call fails, how, and whether before or after it had its effect.
//!
//! Counting and the seeded draw are pure; no call to the system's randomness is ever made, so a plan replays.

use crate::operation::Operation;
use driver_api::ErrorKind;
use serde::{Deserialize, Serialize};

/// When a fault strikes, seen from the effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// The call fails and did nothing.
    BeforeEffect,
    /// The call fails after its effect; `spawn` takes its guest away again, as the contract asks.
    AfterEffect,
    /// The effect stays but the answer is lost: the caller sees an error.
    LostReply,
    /// Nothing happens until the operation is cancelled or its deadline passes.
    Hang,
}

/// One rule of the plan. Exactly one of `nth` and `probability` is set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// Which operation fails.
    pub operation: Operation,
    /// The n-th call of this operation on this host, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nth: Option<u64>,
    /// Each call with this probability, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// Start of the stream that `probability` draws from; mixed with the host's name.
    #[serde(default)]
    pub seed: u64,
    /// Before or after the effect.
    pub when: When,
    /// Kind of the error; `internal` unless said (`timed_out` for a lost reply).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ErrorKind>,
}

impl FaultRule {
    /// A rule for the `nth` call of `operation`.
    pub fn nth(operation: Operation, nth: u64, when: When, kind: ErrorKind) -> FaultRule {
        FaultRule { operation, nth: Some(nth), probability: None, seed: 0, when, kind: Some(kind) }
    }

    pub(crate) fn validate(&self) -> Result<(), String> {
        match (self.nth, self.probability) {
            (Some(0), _) => Err("`nth` counts from 1".to_owned()),
            (Some(_), None) => Ok(()),
            (None, Some(p)) if (0.0..=1.0).contains(&p) => Ok(()),
            (None, Some(p)) => Err(format!("`probability` {p} is not between 0 and 1")),
            _ => Err("set exactly one of `nth` and `probability`".to_owned()),
        }
    }

    /// Kind of the error that the caller sees.
    pub(crate) fn error_kind(&self) -> ErrorKind {
        self.kind.unwrap_or(match self.when {
            When::LostReply | When::Hang => ErrorKind::TimedOut,
            When::BeforeEffect | When::AfterEffect => ErrorKind::Internal,
        })
    }
}

/// A fault that strikes this call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Strike {
    pub when: When,
    pub kind: ErrorKind,
}

/// The plan with its counters.
#[derive(Debug, Default)]
pub(crate) struct FaultPlan {
    rules: Vec<Armed>,
    struck: u64,
}

#[derive(Debug)]
struct Armed {
    rule: FaultRule,
    calls: u64,
    stream: u64,
}

impl FaultPlan {
    pub(crate) fn new(rules: &[FaultRule], host: &str) -> FaultPlan {
        let rules = rules
            .iter()
            .map(|rule| Armed { rule: rule.clone(), calls: 0, stream: rule.seed ^ fnv(host.as_bytes()) })
            .collect();
        FaultPlan { rules, struck: 0 }
    }

    /// How often a rule struck.
    pub(crate) fn struck(&self) -> u64 {
        self.struck
    }

    /// Counts a call of `operation`; the first rule that matches strikes.
    pub(crate) fn next(&mut self, operation: Operation) -> Option<Strike> {
        let mut strike = None;
        for armed in self.rules.iter_mut().filter(|a| a.rule.operation == operation) {
            armed.calls += 1;
            let hit = match (armed.rule.nth, armed.rule.probability) {
                (Some(n), _) => armed.calls == n,
                (None, Some(p)) => draw(&mut armed.stream) < p,
                (None, None) => false,
            };
            if hit && strike.is_none() {
                strike = Some(Strike { when: armed.rule.when, kind: armed.rule.error_kind() });
            }
        }
        self.struck += u64::from(strike.is_some());
        strike
    }
}

/// The next number of a SplitMix64 stream, in 0..1.
fn draw(stream: &mut u64) -> f64 {
    *stream = stream.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *stream;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    // The upper 53 bits fit a double exactly.
    (z >> 11) as f64 / (1_u64 << 53) as f64
}

/// FNV-1a, so that hosts of one configuration fail at different moments.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_nth_call_fails_and_no_other() {
        let rule = FaultRule::nth(Operation::Spawn, 2, When::BeforeEffect, ErrorKind::NoCapacity);
        let mut plan = FaultPlan::new(&[rule], "h");
        assert_eq!(plan.next(Operation::Spawn), None);
        assert_eq!(plan.next(Operation::Destroy), None);
        let strike = Strike { when: When::BeforeEffect, kind: ErrorKind::NoCapacity };
        assert_eq!(plan.next(Operation::Spawn), Some(strike));
        assert_eq!(plan.next(Operation::Spawn), None);
    }

    #[test]
    fn a_seeded_plan_replays_and_differs_between_hosts() {
        let rule = FaultRule {
            operation: Operation::Get,
            nth: None,
            probability: Some(0.3),
            seed: 7,
            when: When::LostReply,
            kind: None,
        };
        let run = |host: &str| {
            let mut plan = FaultPlan::new(std::slice::from_ref(&rule), host);
            (0..200).map(|_| plan.next(Operation::Get).is_some()).collect::<Vec<_>>()
        };
        assert_eq!(run("a"), run("a"));
        assert_ne!(run("a"), run("b"));
        let hits = run("a").iter().filter(|h| **h).count();
        assert!((30..=90).contains(&hits), "{hits}");
    }

    #[test]
    fn a_rule_needs_exactly_one_trigger() {
        let both = r#"{"operation":"spawn","nth":1,"probability":0.5,"when":"before_effect"}"#;
        assert!(serde_json::from_str::<FaultRule>(both).unwrap().validate().is_err());
        let none = r#"{"operation":"spawn","when":"hang"}"#;
        assert!(serde_json::from_str::<FaultRule>(none).unwrap().validate().is_err());
        let typo = r#"{"operation":"spawn","nht":1,"when":"hang"}"#;
        assert!(serde_json::from_str::<FaultRule>(typo).is_err());
    }
}
