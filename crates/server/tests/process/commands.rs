//! Each command in text and in JSON, its exit code, and errors that say what to do.

use crate::place::{Place, Said};
use client::Method;
use serde_json::json;

/// A cloud with one small host, one running server `first`, and a server `big` for which no host is large enough.
fn furnished(place: &Place) -> crate::place::Up<'_> {
    let up = place.up_with("[[compute]]\nname = 'f1'\ndriver = 'fake'\n[compute.options]\nvcpus = 2\ncpu_ratio = 1.0\n");
    place.file("tiny.raw", vec![0; 1 << 20]);
    place.run(&["launch", "tiny.raw", "--wait", "active"]).good();
    let refused = place.run(&["launch", "tiny.raw", "--name", "big", "--flavor", "m1.medium", "--wait", "active"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains("kilonova why"), "{refused:?}");
    up
}

#[test]
fn each_speaks_to_people_and_to_programs() {
    let place = Place::new();
    let _up = furnished(&place);
    for (args, words) in [
        (vec!["status"], vec!["HOST", "f1", "up", "first", "ACTIVE", "big", "ERROR"]),
        (vec!["why", "first"], vec!["is ACTIVE", "on host f1", "create", "Success"]),
        (vec!["audit"], vec!["nothing found"]),
        (vec!["console", "--log", "first"], vec!["first login:"]),
        (vec!["env"], vec!["export OS_PASSWORD="]),
        (vec!["doctor"], vec!["fake", "libvirt", "qemu-img", "kvm", "data"]),
        (vec!["launch", "tiny", "--name", "second"], vec!["second is ACTIVE at 10.42.", "on host f1"]),
    ] {
        let said = place.run(&args).good();
        for w in words {
            assert!(said.out.contains(w), "{w:?}: {said:?}");
        }
        assert!(!said.out.contains('\x1b'), "no colour in a pipe: {said:?}");
    }
    assert_eq!(place.run(&["status", "--json"]).good().json()["servers"], json!({"ACTIVE": 2, "ERROR": 1}));
    assert_eq!(place.run(&["why", "first", "--json"]).good().json()["server"]["host"], "f1");
    assert_eq!(place.run(&["audit", "--json"]).good().json(), json!({"findings": [], "unseen": []}));
    assert!(place.run(&["console", "--log", "first", "--json"]).good().json()["output"].as_str().unwrap().contains("login:"));
    assert!(place.run(&["console", "first", "--json"]).good().json()["url"].as_str().unwrap().starts_with("ws://127.0.0.1:"));
    assert!(place.run(&["env", "--json"]).good().json()["OS_PASSWORD"].is_string());
    let checks = place.run(&["doctor", "--json"]).good().json();
    let fake = checks["checks"].as_array().unwrap().iter().find(|c| c["what"] == "fake").unwrap();
    assert_eq!(fake["finding"], "good");
    place.run(&["down"]).good();
    let launched = place.run(&["launch", "tiny", "--name", "third", "--json", "--wait", "active"]).good().json();
    assert_eq!((launched["status"].as_str(), launched["host"].as_str()), (Some("ACTIVE"), Some("f1")));
}

#[test]
fn why_says_how_many_hosts_each_filter_refused_and_for_what() {
    let place = Place::new();
    let up = furnished(&place);
    let said = place.run(&["why", "big"]).good();
    for words in ["is ERROR", "on no host", "No valid host", "1 host: 1 fell at VcpuFilter", "need 2"] {
        assert!(said.out.contains(words), "{words:?}: {said:?}");
    }
    let json = place.run(&["why", "big", "--json"]).good().json();
    let text = json.to_string();
    assert!(text.contains("VcpuFilter (need 2") && json["server"]["host"].is_null(), "{json}");
    assert!(json["server"]["fault"]["message"].as_str().unwrap().contains("No valid host"), "{json}");
    let action = &up.api().call(Method::GET, "compute", &format!("/servers/{}/os-instance-actions", json["server"]["id"].as_str().unwrap()), None)
        ["instanceActions"][0];
    assert_eq!(action["message"], "Error", "{action}");
}

#[test]
fn the_serial_console_is_entered_and_left() {
    let place = Place::new();
    let _up = furnished(&place);
    let said = place.run(&["console", "first"]).good();
    assert!(said.err.contains("Ctrl-]"), "{said:?}");
}

#[test]
fn errors_say_what_to_do() {
    let place = Place::new();
    place.run(&["status"]).refused(&["no cloud in", "kilonova up", "--data-dir"]);
    place.run(&["env"]).refused(&["no cloud in"]);
    let said = place.run(&["status", "--json"]).refused(&["no cloud in"]);
    assert!(serde_json::from_str::<serde_json::Value>(&said.err).unwrap()["error"].is_string());
    let elsewhere = Said::from(place.bare(&["status"]).env("OS_AUTH_URL", "http://127.0.0.1:1").env("OS_USERNAME", "u").env("OS_PASSWORD", "p").output().unwrap());
    elsewhere.refused(&["127.0.0.1:1", "does not answer", "OS_AUTH_URL"]);

    let up = furnished(&place);
    for command in ["why", "console"] {
        place.run(&[command, "nobody"]).refused(&["no server is called \"nobody\"", "kilonova status"]);
    }
    place.run(&["why", "01234567-89ab-cdef-0123-456789abcdef"]).refused(&["could not be found", "404"]);
    place.run(&["launch", "absent"]).refused(&["neither an image of the cloud nor a file", "tiny"]);
    place.run(&["launch", "tiny", "--flavor", "m9"]).refused(&["no flavor is called \"m9\"", "m1.tiny"]);
    place.run(&["launch", "tiny", "--network", "x"]).refused(&["no network is called \"x\"", "private"]);
    place.file("disk.vhdx", "x");
    place.run(&["launch", "disk.vhdx"]).refused(&["vhdx", ".qcow2", ".raw"]);
    place.file("wrong.qcow2", vec![7; 4096]);
    let refused = place.run(&["launch", "wrong.qcow2"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains("qcow2"), "{refused:?}");
    let images = up.api().call(Method::GET, "image", "/images", None);
    assert_eq!(images["images"].as_array().unwrap().len(), 1, "a refused upload leaves no image: {images}");
    place.file("key", "-----BEGIN OPENSSH PRIVATE KEY-----\n");
    place.run(&["launch", "tiny", "--key", "key"]).refused(&["private key", ".pub"]);
    place.run(&["launch", "tiny", "--key", "absent.pub"]).refused(&["cannot read absent.pub"]);

    let wrong = place.run(&["launch", "tiny", "--wait", "never"]);
    assert_eq!(wrong.code, 2, "a command line that cannot be meant: {wrong:?}");
    assert!(wrong.err.contains("answers"), "{wrong:?}");
    let credentials = |c: &mut std::process::Command| {
        Said::from(c.env("OS_AUTH_URL", up.auth_url()).env("OS_USERNAME", "admin").env("OS_PASSWORD", "wrong").output().unwrap())
    };
    credentials(&mut place.bare(&["status"])).refused(&["OS_PASSWORD"]);
}

#[test]
fn a_name_that_two_servers_have_is_not_guessed() {
    let place = Place::new();
    let _up = furnished(&place);
    place.run(&["launch", "tiny", "--wait", "active"]).good();
    place.run(&["why", "first"]).refused(&["2 servers are called \"first\"", "give an id"]);
}

#[test]
fn colour_is_for_terminals_and_for_who_wants_it() {
    let place = Place::new();
    let _up = place.up(&["--driver", "fake"]);
    let on_terminal = |variable: &str| {
        let command = format!("{} status --data-dir {}", env!("CARGO_BIN_EXE_kilonova"), place.data().display());
        let mut c = place.command("script");
        c.args(["--quiet", "--return", "--command", &command, "/dev/null"]).env("TERM", "xterm");
        Said::from(c.env("NO_COLOR", variable).output().expect("`script`, of the package bsdutils")).good().out
    };
    assert!(on_terminal("").contains("\x1b[32mup\x1b[0m"), "{:?}", on_terminal(""));
    assert!(!on_terminal("1").contains("\x1b[3"), "{:?}", on_terminal("1"));
}

#[test]
fn who_stops_reading_is_no_error() {
    let place = Place::new();
    let _up = place.up(&["--driver", "fake"]);
    let script = format!("\"$0\" env --data-dir '{}' | head -n 1", place.data().display());
    let said = place.shell("bash", &format!("set -o pipefail; {script}")).good();
    assert_eq!(said.err, "");
}
