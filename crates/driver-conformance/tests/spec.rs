//! `docs/driver-spec.md` and the list of trials say the same.
#![allow(clippy::unwrap_used)]

use driver_conformance::TRIALS;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

#[test]
fn every_sentence_names_the_trials_that_prove_it_and_no_other() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/driver-spec.md");
    let text = std::fs::read_to_string(page).unwrap();
    let mut said: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for item in text.split("\n- **").skip(1) {
        let (number, rest) = item.split_once("**").unwrap();
        let sentence = rest.split("\n\n").next().unwrap();
        // The trials are the words in backticks within the last pair of parentheses.
        let (_, trials) = sentence.rsplit_once('(').unwrap();
        let trials = trials.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        assert!(said.insert(number.to_owned(), trials).is_none(), "{number} stands twice");
    }
    let mut proved: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for trial in TRIALS {
        for must in trial.proves {
            proved.entry((*must).to_owned()).or_default().insert(trial.id.to_owned());
        }
    }
    assert_eq!(said, proved);
    assert_eq!(TRIALS.iter().map(|t| t.id).collect::<BTreeSet<_>>().len(), TRIALS.len(), "a trial's name stands twice");
}

#[test]
fn every_facet_has_trials() {
    for facet in driver_api::FACETS {
        assert!(TRIALS.iter().any(|t| t.facet == Some(facet.name)), "nothing tries the facet {}", facet.name);
    }
    for trial in TRIALS {
        assert!(trial.facet.is_none_or(|f| driver_api::FACETS.iter().any(|have| have.name == f)), "{}", trial.id);
    }
}
