//! The recorder and the disk, on programs whose writes are known.
#![allow(clippy::unwrap_used)]

use power_cut::{Disk, Event, Flush, Honesty, Log, record};
use std::collections::BTreeSet;
use std::path::Path;

fn shell(log: &mut Log, script: &str) {
    record(log, Path::new("/bin/sh"), &["-c", script], &[], &mut |_| false).unwrap();
}

/// What `path` may hold after a cut at the end of the log, over many dice.
fn outcomes(log: &Log, path: &str, honesty: Honesty) -> BTreeSet<Option<String>> {
    let mut disk = Disk::new(log, honesty);
    disk.advance(log.events().len());
    let content = |seed| disk.cut(seed).files.get(Path::new(path)).map(|b| String::from_utf8_lossy(b).into_owned());
    (0..400).map(content).collect()
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn what_was_not_flushed_may_be_gone_and_what_was_is_there() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("old"), "before").unwrap();
    let mut log = Log::start(dir.path()).unwrap();
    let path = dir.path().display();
    shell(&mut log, &format!("cd {path}; printf hello >a; mkdir d; printf deep >d/b; printf after >>old; echo said"));
    let seen = outcomes(&log, "a", Honesty::Honest);
    assert!(seen.contains(&None) && seen.contains(&some("")) && seen.contains(&some("hello")), "{seen:?}");
    assert!(seen.contains(&some("hel")), "torn: {seen:?}");
    assert!(outcomes(&log, "d/b", Honesty::Honest).contains(&None));
    let seen = outcomes(&log, "old", Honesty::Honest);
    assert!(seen.contains(&some("before")) && seen.contains(&some("beforeafter")), "{seen:?}");
    assert!(!seen.contains(&None), "what was there stays: {seen:?}");
    assert!(log.events().contains(&Event::Said(b"said\n".to_vec())));

    // Flushed by file and by directory, in a second process: nothing is left to chance.
    shell(&mut log, &format!("cd {path}; sync a d/b old; sync d; sync ."));
    assert!(log.events().iter().any(|e| matches!(e, Event::Flushed { what: Flush::Dir(d), .. } if d == Path::new("d"))));
    for (file, text) in [("a", "hello"), ("d/b", "deep"), ("old", "beforeafter")] {
        assert_eq!(outcomes(&log, file, Honesty::Honest), BTreeSet::from([some(text)]), "{file}");
        assert!(outcomes(&log, file, Honesty::Liar).len() > 1, "{file}: a lying disk loses it");
    }
    // A name is one thing or the other.
    shell(&mut log, &format!("cd {path}; mv a old"));
    assert_eq!(outcomes(&log, "old", Honesty::Honest), BTreeSet::from([some("beforeafter"), some("hello")]));
    // Over the border of two directories, where the old name was never durable.
    shell(&mut log, &format!("cd {path}; mkdir e; sync .; printf far >d/x; sync d/x; mv d/x e/y; sync e"));
    assert_eq!(outcomes(&log, "e/y", Honesty::Honest), BTreeSet::from([some("far")]));
    assert_eq!(outcomes(&log, "d/x", Honesty::Honest), BTreeSet::from([None]));
    shell(&mut log, &format!("cd {path}; rm old; rm -r d"));
    assert!(outcomes(&log, "old", Honesty::Honest).contains(&None));
}

#[test]
fn a_killed_program_is_recorded_to_its_last_call() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::start(dir.path()).unwrap();
    let script = format!("cd {}; n=0; while :; do echo $n >>f; n=$((n+1)); echo line $n; done", dir.path().display());
    record(&mut log, Path::new("/bin/sh"), &["-c", &script], &[], &mut |line| line == "line 20").unwrap();
    let text = std::fs::read_to_string(dir.path().join("f")).unwrap();
    assert_eq!(text.lines().count(), 20);
    // Without being told to die it has to end well.
    let error = record(&mut log, Path::new("/bin/sh"), &["-c", "exit 3"], &[], &mut |_| false).unwrap_err();
    assert!(error.to_string().contains("ended with 3"), "{error}");
}
