//! Without root: the API and simulated hosts work, and what needs root is named with `sudo`.

use crate::place::{Place, Said};

const BOTH: &str = "[[compute]]\nname = 'f1'\ndriver = 'fake'\n[[compute]]\nname = 'vm1'\ndriver = 'libvirt'\noptions.virt_type = 'qemu'\n";

#[test]
fn the_api_and_simulated_hosts_work() {
    let place = Place::without_root();
    let image = place.file("tiny.raw", vec![0; 1 << 20]);
    let up = place.up(&[]);
    let screen = place.read("up.out");
    let libvirt = screen.lines().find(|l| l.trim_start().starts_with("libvirt")).unwrap();
    assert!(libvirt.contains("sudo") && libvirt.contains("need root"), "{screen}");
    assert!(screen.contains("fake-1 (fake)"), "{screen}");
    place.run(&["launch", image.to_str().unwrap()]).good();
    place.run(&["audit"]).good();
    assert_eq!(Place::mode(&place.data().join("admin-password")), "600");
    assert_eq!(Place::mode(&place.clouds_yaml()), "600");
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn with_nothing_named_the_data_is_in_the_home() {
    let place = Place::without_root();
    let mut child = place.bare(&["up", "--listen", "127.0.0.1:0"]).stdout(std::process::Stdio::null()).spawn().unwrap();
    let data = place.path("home/.local/share/kilonova");
    crate::place::until("the cloud", || data.join("cloud.json").exists().then_some(()));
    Said::from(place.bare(&["status"]).output().unwrap()).good();
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn the_doctor_says_sudo() {
    let place = Place::without_root();
    let checks = place.run(&["doctor", "--json"]).good().json();
    let libvirt = checks["checks"].as_array().unwrap().iter().find(|c| c["what"] == "libvirt").unwrap().clone();
    assert_eq!(libvirt["finding"], "limited");
    assert!(libvirt["fix"].as_str().unwrap().contains("sudo"), "{libvirt}");
    let said = Said::from(place.bare(&["doctor", "--data-dir", "/proc/kilonova"]).output().unwrap());
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("FAIL data") && said.out.contains("--data-dir"), "{said:?}");
}

#[test]
fn hosts_that_need_root_are_left_out_and_named() {
    let place = Place::without_root();
    let _up = place.up_with(BOTH);
    let screen = place.read("up.out");
    assert!(screen.contains("vm1 (libvirt: not started, needs sudo)"), "{screen}");
    assert_eq!(place.run(&["status", "--json"]).good().json()["hosts"].as_array().unwrap().len(), 1);
    drop(_up);
    let alone = Place::without_root();
    alone.run(&["up", "--driver", "libvirt", "--listen", "127.0.0.1:0"]).refused(&["needs root", "sudo", "--driver fake"]);
    assert!(!alone.data().exists());
    let up = ["up", "--driver", "fake", "--listen", "127.0.0.1:0", "--data-dir", "/proc/self/kilonova"];
    Said::from(alone.bare(&up).output().unwrap()).refused(&["/proc/self/kilonova"]);
}
