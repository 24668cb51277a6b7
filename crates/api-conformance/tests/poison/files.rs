//! Damaged files: an image's bytes, a guest's record. And what a damaged record must not cause: that its guest or its bytes
//! are thrown away.

use crate::cast::{self, Cast};
use crate::witness;
use api_conformance::{Logs, World};
use std::path::PathBuf;
use std::sync::Arc;

fn file_of(world: &World, dir: &str, skip: &str) -> PathBuf {
    let mut found = Vec::new();
    let mut todo = vec![world.dir().join(dir)];
    while let Some(dir) = todo.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { todo.push(path) } else { found.push(path) }
        }
    }
    found.retain(|p| {
        let name = p.file_name().unwrap().to_string_lossy().into_owned();
        name.len() >= 36 && !name.starts_with(skip) && !p.to_string_lossy().contains("ledger")
    });
    found.sort();
    found.pop().unwrap_or_else(|| panic!("no file of {dir}"))
}

fn served(world: &Arc<World>, cast: &Cast) -> Vec<serde_json::Value> {
    world.life(|mut cluster| async move {
        let admin = cluster.admin();
        witness::served(&cluster, &admin, cast).await.unwrap();
        let found = cluster.audit().await;
        cluster.leave().await;
        found
    })
}

#[test]
fn damaged_bytes_of_an_image_are_named_and_the_other_images_boot() {
    let (template, cast) = cast::furnish();
    for (what, words) in [("cut off", "bytes recorded"), ("missing", "bytes are not there")] {
        let world = World::after(&template, cast::later());
        let path = file_of(&world, "images/images", &cast.image);
        match what {
            "cut off" => std::fs::write(&path, b"x").unwrap(),
            _ => std::fs::remove_file(&path).unwrap(),
        }
        let id = path.file_name().unwrap().to_string_lossy().into_owned();
        let found = served(&world, &cast);
        let named = found.iter().any(|f| f["subject"] == id.as_str() && f["message"].as_str().unwrap().contains(words));
        assert!(named, "{what}: {found:?}");
    }
}

#[test]
fn a_damaged_record_of_a_guest_stops_no_other_guest() {
    let (template, cast) = cast::furnish();
    for bytes in [b"".as_slice(), b"{\"id\":", b"\xff\xfe\x00garbage"] {
        let world = World::after(&template, cast::later());
        let path = file_of(&world, "hosts/h2", &cast.server);
        std::fs::write(&path, bytes).unwrap();
        let logs = Logs::keep();
        served(&world, &cast);
        let id = path.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(logs.text().contains(&id), "nothing names {id}");
        assert!(path.exists(), "what is left of a record is not thrown away");
    }
}

#[test]
fn what_a_damaged_record_may_mean_is_not_thrown_away() {
    let (template, _) = cast::furnish();
    for sql in [
        "UPDATE servers SET body = '{' WHERE name = 'settled'",
        "UPDATE servers SET id = 'garbage' WHERE name = 'settled'",
        "UPDATE servers SET host = 'garbage' WHERE name = 'settled'",
        "UPDATE servers SET host = NULL WHERE name = 'settled'",
        "UPDATE images SET status = 'garbage' WHERE name = 'victim'",
        "UPDATE images SET id = 'garbage' WHERE name = 'victim'",
    ] {
        let world = World::after(&template, cast::later());
        let count = |dir: &str| {
            let mut all: Vec<PathBuf> = std::fs::read_dir(world.dir().join(dir)).unwrap().map(|e| e.unwrap().path()).collect();
            all.retain(|p| p.is_file());
            all.len()
        };
        let images = count("images/images");
        store::testing::damage(&world.kept().unwrap(), sql).unwrap();
        let logs = Logs::keep();
        let found = world.life(|mut cluster| async move {
            let admin = cluster.admin();
            // Long enough for every reconciler.
            tokio::time::sleep(std::time::Duration::from_secs(300)).await;
            let found = cluster.audit().await;
            let repaired = admin.post("/kilonova/audit/repair", serde_json::Value::Null).await.expect(200);
            assert_eq!(cluster.machine("h2").remains().len(), 2, "a guest was thrown away: {repaired}");
            cluster.leave().await;
            found
        });
        assert_eq!(count("images/images"), images, "{sql}: bytes were thrown away");
        assert!(!found.is_empty(), "{sql}: nothing is named");
        assert!(sql.contains("host") || logs.text().contains("damaged"), "{sql}: the log says nothing");
    }
}
