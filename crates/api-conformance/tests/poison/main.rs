//! Poison: one damaged row, image, message or guest stops nothing else. Every stored field is damaged once, in every way
//! its table admits; the process starts on it, serves all others, and the audit names the damaged one.
//!
//! The fields come from the schema and the rows of a furnished cloud, so a new column is damaged without a word here.
//! `KILONOVA_POISON=part` damages only fields whose name contains `part`.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod cast;
mod fields;
mod files;
mod known;
mod repair;
mod witness;

use api_conformance::{Template, World};
use cast::Cast;
use fields::Damage;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// What became of one damage.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// The database does not store such a thing.
    Refused,
    /// All others are served, and the audit names the row.
    Named,
    /// All others are served, and the audit finds that something does not fit.
    Found(BTreeSet<String>),
    /// All others are served, and nothing is wrong with it as far as anybody can tell.
    Silent,
    /// It does not start; the message.
    Stopped(String),
    /// Another suffered.
    Failed(String),
}

fn try_one(template: &Template, cast: &Cast, d: &Damage) -> Outcome {
    let world = World::after(template, cast::later());
    if store::testing::damage(&world.kept().unwrap(), &d.sql).is_err() {
        return Outcome::Refused;
    }
    // One that answers late is not waited for: it may be the damaged one.
    world.machine("h2").set_reachable(false);
    let lived = std::panic::catch_unwind(AssertUnwindSafe(|| world.life(|cluster| witness::look(cluster, cast, d))));
    match lived {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(failed)) => Outcome::Failed(failed),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default();
            if text.contains("the cloud starts") { Outcome::Stopped(text) } else { Outcome::Failed(text) }
        }
    }
}

/// Damages one after another on a few threads; what became of each.
fn try_all(template: &Template, cast: &Cast, all: &[Damage]) -> Vec<Outcome> {
    let (next, out) = (AtomicUsize::new(0), Mutex::new(vec![Outcome::Refused; all.len()]));
    let hook = std::panic::take_hook();
    // Panics are outcomes here, and told with their damage.
    std::panic::set_hook(Box::new(|_| {}));
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, SeqCst);
                    let Some(d) = all.get(at) else { return };
                    let outcome = try_one(template, cast, d);
                    out.lock().unwrap()[at] = outcome;
                }
            });
        }
    });
    std::panic::set_hook(hook);
    out.into_inner().unwrap()
}

#[test]
fn one_damaged_field_stops_nothing_else_and_is_named() {
    let (template, cast) = cast::furnish();
    let part = std::env::var("KILONOVA_POISON").unwrap_or_default();
    let all: Vec<Damage> = fields::all(&template).into_iter().filter(|d| d.field.contains(&part)).collect();
    let begun = std::time::Instant::now();
    let outcomes = try_all(&template, &cast, &all);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut wrong, mut silent) = (Vec::new(), BTreeSet::new());
    for (d, outcome) in all.iter().zip(&outcomes) {
        let told = format!("{} {}", d.field, d.kind);
        let word = match outcome {
            Outcome::Refused => "refused",
            Outcome::Named => "named",
            Outcome::Found(kinds) => {
                if !known::FOUND.iter().any(|(_, fields)| fields.contains(&d.field.as_str())) {
                    wrong.push(format!("found as {kinds:?} only, not named: {told}"));
                }
                "found"
            }
            Outcome::Silent => {
                silent.insert(d.field.as_str());
                if !known::LEGAL.iter().any(|l| l.kinds.contains(&d.kind) && l.fields.contains(&d.field.as_str())) {
                    wrong.push(format!("nobody noticed: {told}"));
                }
                "legal"
            }
            Outcome::Stopped(message) => {
                let said = known::STOPS.iter().find(|(field, _)| field == &d.field);
                if !said.is_some_and(|(_, words)| message.contains(words)) {
                    wrong.push(format!("does not start: {told}: {message}"));
                }
                "stopped with advice"
            }
            Outcome::Failed(message) => {
                wrong.push(format!("another suffered: {told}: {message}"));
                "failed"
            }
        };
        *counts.entry(word).or_default() += 1;
    }
    println!("poison: {} damages in {:.0} s: {counts:?}", all.len(), begun.elapsed().as_secs_f64());
    if part.is_empty() {
        let all = known::LEGAL.iter().flat_map(|l| l.fields.iter().map(|field| (*field, l.why)));
        let stale = all.filter(|(field, _)| !silent.contains(field));
        wrong.extend(stale.map(|(field, why)| format!("always noticed, and yet it is said of {field}: {why}")));
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), all.len(), wrong.join("\n"));
}
