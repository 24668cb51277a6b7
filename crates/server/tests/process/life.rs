//! Start, restart, crash and end.

use crate::place::{Api, PERSISTENT, Place, http, until};
use client::{Method, NewServer};
use serde_json::json;

#[test]
fn serves_answers_and_is_refused_a_second_time() {
    let place = Place::new();
    let up = place.up(&["--driver", "fake"]);
    let api = up.api();
    assert!(api.call(Method::GET, "compute", "/flavors", None)["flavors"].as_array().unwrap().len() >= 5);
    assert_eq!(api.call(Method::GET, "network", "/networks", None)["networks"][0]["name"], "private");

    let second = place.run(&["up", "--driver", "fake", "--listen", "127.0.0.1:0"]);
    second.refused(&["running kilonova", "--data-dir", place.data().to_str().unwrap()]);
    place.run(&["status"]).good();

    assert_eq!(up.stop(), Some(0));
    assert!(!place.data().join("cloud.json").exists(), "who looks for a cloud there shall be told that there is none");
    place.run(&["status"]).refused(&["no cloud in", "kilonova up", "--data-dir"]);
}

#[test]
fn the_first_screen_is_one_screen_and_its_commands_are_real() {
    let place = Place::new();
    let _up = place.up(&["--driver", "fake"]);
    let screen = place.read("up.out");
    assert!(screen.lines().count() <= 24 && screen.contains(" ms\n"), "{screen}");
    for words in ["DRIVER", "fake", "libvirt", "OS_CLOUD=kilonova", "openstack server list", " launch ", " env "] {
        assert!(screen.contains(words), "{words}: {screen}");
    }
    assert_eq!(place.read("up.err"), "", "nothing is logged by a start without trouble");
    assert!(!screen.contains(place.read("data/admin-password").trim()), "the secret is in its file and nowhere else");
}

#[test]
fn up_speaks_json() {
    let place = Place::new();
    let up = place.up(&["--driver", "fake", "--json"]);
    let said: serde_json::Value = serde_json::from_str(&place.read("up.out")).unwrap();
    assert_eq!(said["auth_url"], up.ready["auth_url"]);
    assert!(said["ms"].is_u64() && said["cloud"] == "kilonova");
}

#[test]
fn a_restart_keeps_everything() {
    let place = Place::new();
    place.file("tiny.raw", vec![0; 1 << 20]);
    let up = place.up_with(PERSISTENT);
    let api = up.api();
    let user = json!({"user": {"name": "ada", "password": "lovelace", "default_project_id": api.cloud.project_id}});
    let user = api.identity(Method::POST, "/users", Some(user))["user"]["id"].as_str().unwrap().to_owned();
    let roles = api.identity(Method::GET, "/roles?name=member", None);
    let role = roles["roles"][0]["id"].as_str().unwrap();
    api.identity(Method::PUT, &format!("/projects/{}/users/{user}/roles/{role}", api.cloud.project_id), None);
    let flavor = json!({"flavor": {"name": "mine", "ram": 64, "vcpus": 1, "disk": 1}});
    api.call(Method::POST, "compute", "/flavors", Some(flavor));
    place.run(&["launch", "tiny.raw", "--name", "kept", "--flavor", "mine", "--wait", "active"]).good();
    let before = place.run(&["why", "kept", "--json"]).good().json();
    assert_eq!(up.stop(), Some(0));

    let up = place.up_with(PERSISTENT);
    let ada = Api::login(&up, "ada", "lovelace", "admin").unwrap();
    assert_eq!(ada.statuses_of_own(), [("kept".to_owned(), "ACTIVE".to_owned())]);
    let flavors = ada.call(Method::GET, "compute", "/flavors", None);
    assert!(flavors["flavors"].as_array().unwrap().iter().any(|f| f["name"] == "mine"), "{flavors}");
    assert_eq!(place.run(&["why", "kept", "--json"]).good().json(), before);
    place.run(&["audit"]).good();
    place.run(&["launch", "tiny", "--name", "another", "--wait", "active"]).good();
}

#[test]
fn a_killed_cloud_finishes_what_it_took_on() {
    let place = Place::new();
    place.file("tiny.raw", vec![0; 1 << 20]);
    // Slow enough that the kill comes while guests are being made.
    let config = format!("{PERSISTENT}latency_ms = {{ spawn = 300 }}\n[quota]\ninstances = 100\ncores = 100\nram = 512000\n");
    let up = place.up_with(&config);
    place.run(&["launch", "tiny.raw", "--name", "first", "--wait", "active"]).good();
    let api = up.api();
    let image = api.runtime.block_on(api.cloud.images()).unwrap()[0].id;
    let (accepted, heard) = std::sync::mpsc::channel();
    for n in 0..20 {
        let (cloud, accepted) = (api.cloud.clone(), accepted.clone());
        api.runtime.spawn(async move {
            let new = NewServer { name: format!("s{n:02}"), flavor: "c1".into(), image: Some(image), ..NewServer::default() };
            if let Ok(id) = cloud.create_server(&new).await {
                let _ = accepted.send(id);
            }
        });
    }
    drop(accepted);
    let mut promised: Vec<_> = heard.iter().take(10).collect();
    up.kill();
    promised.extend(heard.iter());
    assert!(promised.len() >= 10);

    let up = place.up_with(&config);
    let api = up.api();
    let settled = until("every server ACTIVE or ERROR", || {
        let all = api.statuses();
        all.iter().all(|(_, s)| s == "ACTIVE" || s == "ERROR").then_some(all)
    });
    for id in &promised {
        let server = api.runtime.block_on(api.cloud.server(*id));
        assert!(server.is_ok(), "what was answered 202 is lost: {id} of {settled:?}");
    }
    let found = place.run(&["audit", "--json"]);
    assert_eq!(found.json(), json!({"findings": [], "unseen": []}), "{settled:?}");
    found.good();
    place.run(&["down"]).good();
    place.run(&["audit"]).good();
}

#[test]
fn ephemeral_leaves_nothing() {
    let place = Place::new();
    let up = place.up(&["--ephemeral", "--driver", "fake"]);
    let dirs: Vec<_> = std::fs::read_dir(place.path("tmp")).unwrap().map(|d| d.unwrap().path()).collect();
    assert_eq!(dirs.len(), 1, "all of it in one directory: {dirs:?}");
    let dir = dirs[0].to_str().unwrap();
    assert!(place.read("up.out").contains(dir), "the screen says how to reach it");
    Into::<crate::place::Said>::into(place.bare(&["status", "--json", "--data-dir", dir]).output().unwrap()).good();
    assert_eq!(up.stop(), Some(0));
    assert_eq!(std::fs::read_dir(place.path("tmp")).unwrap().count(), 0);
    assert!(!place.clouds_yaml().exists());
}

#[test]
fn the_password_can_be_had_back() {
    let place = Place::new();
    let up = place.up(&["--driver", "fake"]);
    let api = up.api();
    let me = api.identity(Method::GET, "/users?name=admin", None)["users"][0]["id"].as_str().unwrap().to_owned();
    api.identity(Method::PATCH, &format!("/users/{me}"), Some(json!({"user": {"password": "forgotten"}})));
    place.run(&["status"]).refused(&["admin-password", "--reset-admin-password"]);
    up.stop();
    let up = place.up(&["--driver", "fake", "--reset-admin-password"]);
    place.run(&["status"]).good();
    up.stop();
    // Who removes the file wants a new one.
    let secret = place.data().join("admin-password");
    let before = std::fs::read_to_string(&secret).unwrap();
    std::fs::remove_file(&secret).unwrap();
    let _up = place.up(&["--driver", "fake"]);
    place.run(&["status"]).good();
    assert_ne!(std::fs::read_to_string(&secret).unwrap(), before);
}

#[test]
fn down_deletes_the_servers_of_everybody() {
    let place = Place::new();
    place.file("tiny.raw", vec![0; 1 << 20]);
    let up = place.up_with(PERSISTENT);
    let api = up.api();
    let project = json!({"project": {"name": "other"}});
    let project = api.identity(Method::POST, "/projects", Some(project))["project"]["id"].as_str().unwrap().to_owned();
    let me = api.identity(Method::GET, "/users?name=admin", None)["users"][0]["id"].as_str().unwrap().to_owned();
    let role = api.identity(Method::GET, "/roles?name=member", None)["roles"][0]["id"].as_str().unwrap().to_owned();
    api.identity(Method::PUT, &format!("/projects/{project}/users/{me}/roles/{role}"), None);
    for name in ["one", "two"] {
        place.run(&["launch", "tiny.raw", "--name", name, "--wait", "active"]).good();
    }
    let locked = api.runtime.block_on(api.cloud.find_server("one")).unwrap();
    api.runtime.block_on(api.cloud.act(locked.id, &json!({"lock": null}))).unwrap();
    let secret = place.read("data/admin-password");
    let other = Api::login(&up, "admin", secret.trim(), "other").unwrap();
    let image = api.runtime.block_on(api.cloud.images()).unwrap()[0].id;
    let new = NewServer { name: "three".into(), flavor: "c1".into(), image: Some(image), ..NewServer::default() };
    other.runtime.block_on(other.cloud.create_server(&new)).unwrap();

    let said = place.run(&["down"]).good();
    assert_eq!(said.out, "3 servers deleted\n");
    assert_eq!(api.statuses(), []);
    assert_eq!(place.run(&["down", "--json"]).good().json(), json!({"deleted": 0}));
    place.run(&["audit"]).good();
}

#[test]
fn the_bare_port_says_what_is_here() {
    let place = Place::new();
    let up = place.up(&["--driver", "fake"]);
    let (status, text) = http(up.address(), "GET / HTTP/1.1", b"");
    let body: serde_json::Value = serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(status, 300, "{text}");
    let origin = format!("http://{}", up.address());
    assert_eq!(body["services"]["compute"], format!("{origin}/compute/v2.1"));
    // Clients that were given the address alone read the Identity service's versions in it.
    assert_eq!(body["versions"]["values"][0]["links"][0]["href"], format!("{origin}/identity/v3/"));
    let (status, text) = http(up.address(), "GET /v2.1/servers HTTP/1.1", b"");
    assert!(status == 404 && text.contains("/compute/v2.1"), "{text}");
}

#[test]
fn what_a_killed_ephemeral_cloud_left_is_swept_at_the_next_start() {
    let place = Place::new();
    let left = || std::fs::read_dir(place.path("tmp")).unwrap().map(|e| e.unwrap().path()).collect::<Vec<_>>();
    place.up(&["--ephemeral", "--driver", "fake"]).kill();
    let dead = left();
    assert_eq!(dead.len(), 1);
    let up = place.up(&["--ephemeral", "--driver", "fake"]);
    assert!(!dead[0].exists() && left().len() == 1);
    // One that runs is left alone.
    let other = place.up(&["--ephemeral", "--driver", "fake"]);
    assert_eq!(left().len(), 2);
    assert_eq!((up.stop(), other.stop()), (Some(0), Some(0)));
    assert_eq!(left(), Vec::<std::path::PathBuf>::new());
}
