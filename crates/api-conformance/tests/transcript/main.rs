//! `docs/transcripts/` is run here, word for word: the unmodified client against the built program, with real guests.
//!
//! Needs root and the laboratory (libvirt hosts hv1 and hv2, the guest image, the client); what is missing is a failure.
#![allow(clippy::unwrap_used)]

mod document;
mod place;
mod shell;

use document::{Step, matches, parse};
use place::{Place, checkout};
use shell::{Outcome, Shell};
use std::io::Write;
use std::time::{Duration, Instant};

/// No command of a transcript may take longer. Guests boot by software emulation, on machines that do other things too.
const WITHIN: Duration = Duration::from_secs(180);

/// To the terminal at once: the test harness keeps what macros print until the end.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn tail(path: &std::path::Path, lines: usize) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// What is wrong with an outcome, if anything.
fn complaint(step: &Step, out: &Outcome) -> Option<String> {
    let what = match out.status {
        None => "did not end in time".to_owned(),
        Some(0) if matches(&step.expected, &out.lines) => return None,
        Some(0) => "printed something else".to_owned(),
        Some(n) => format!("ended with status {n}"),
    };
    Some(format!(
        "line {}: $ {}\n{what}\n--- expected\n{}\n--- got\n{}\n---\n",
        step.line,
        step.command,
        step.expected.join("\n"),
        out.lines.join("\n")
    ))
}

/// Runs the steps. Other output than is written is kept and the session goes on, so that one run tells all of it;
/// a command that fails or hangs ends it, since what follows stands on it.
fn follow(name: &str, steps: &[Step], shell: &mut Shell) -> Vec<String> {
    let (started, mut heading, mut complaints) = (Instant::now(), "", Vec::new());
    for step in steps {
        if heading != step.heading {
            heading = &step.heading;
            say(&format!("    {name}: {:>3} s  {heading}", started.elapsed().as_secs()));
        }
        let out = shell.run(&step.command, WITHIN);
        complaints.extend(complaint(step, &out));
        if out.status != Some(0) {
            return complaints;
        }
    }
    say(&format!("    {name}: {:>3} s  {} commands", started.elapsed().as_secs(), steps.len()));
    complaints
}

fn run(name: &str) {
    let path = checkout().join("docs/transcripts").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let steps = parse(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert!(!steps.is_empty(), "{name} has no commands");
    let place = Place::make();
    std::fs::create_dir(place.path("work")).unwrap();
    let mut shell = Shell::start(&place.path("work"), &place.variables());
    let complaints = follow(name, &steps, &mut shell);
    let log = tail(&place.path("work/kilonova.log"), 40);
    assert!(complaints.is_empty(), "{name}, {}--- kilonova.log\n{log}", complaints.join("\n"));
}

#[test]
fn first_light() {
    run("first-light.md");
}
