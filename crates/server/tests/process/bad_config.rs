//! What cannot be meant is refused in one line that says where and what instead, and leaves nothing behind.

use crate::place::Place;
use std::net::TcpListener;

const HOST: &str = "[[compute]]\nname = 'f1'\ndriver = 'fake'\n";

/// Nothing was made, and nothing was promised.
#[track_caller]
fn untouched(place: &Place) {
    assert!(!place.data().exists() && !place.clouds_yaml().exists(), "something is half-done");
    assert_eq!(std::fs::read_dir(place.path("tmp")).unwrap().count(), 0);
}

#[test]
fn a_wrong_configuration_is_one_line() {
    let place = Place::new();
    for (text, words) in [
        ("region = 'a'\nlisten_on = 3\n".to_owned(), vec!["kilonova.toml:2:1", "listen_on", "listen"]),
        ("listen = 'here'\n".to_owned(), vec!["kilonova.toml:1:", "listen", "socket address"]),
        ("region = \n".to_owned(), vec!["kilonova.toml:1:"]),
        ("token_seconds = 'long'\n".to_owned(), vec!["kilonova.toml:1:", "token_seconds"]),
        (format!("{HOST}{HOST}"), vec!["f1", "twice"]),
        (HOST.replace("f1", "../f1"), vec!["../f1", "letters"]),
        (HOST.replace("fake", "vmware"), vec!["f1", "vmware", "fake, libvirt"]),
        (HOST.replace("driver", "drivers"), vec!["kilonova.toml:3:1", "drivers"]),
        (format!("{HOST}[compute.options]\nvpcus = 4\n"), vec!["f1", "vpcus", "vcpus"]),
        (format!("{HOST}[compute.options]\ncpu_ratio = 0.0\n"), vec!["f1", "cpu_ratio"]),
        (HOST.replace("fake", "libvirt"), vec!["f1", "libvirt", "virt_type"]),
        ("database = 'mysql://x'\n".to_owned(), vec!["database", "postgres://"]),
        ("[quota]\ninstance = 4\n".to_owned(), vec!["[quota] instance"]),
        ("[tls]\ncertificate = 'c.pem'\n".to_owned(), vec!["[tls]", "key"]),
        (format!("{HOST}[network]\ncidr = '10.0.0.0'\n"), vec!["cidr"]),
        (format!("{HOST}[tls]\ncertificate = 'absent.pem'\nkey = 'absent.key'\n"), vec!["absent.pem"]),
        (format!("database = 'postgres://u:secret@127.0.0.1:1/x'\n{HOST}"), vec!["database"]),
    ] {
        let path = place.file("kilonova.toml", &text);
        let said = place.run(&["up", "--listen", "127.0.0.1:0", "--config", path.to_str().unwrap()]).refused(&words);
        assert_eq!(said.out, "", "{text}");
        assert!(!said.err.contains("secret"), "{said:?}");
        untouched(&place);
    }
    place.run(&["up", "--config", "absent.toml"]).refused(&["absent.toml", "No such file"]);
    untouched(&place);
}

#[test]
fn a_wrong_flag_is_one_line() {
    let place = Place::new();
    for (flags, words) in [
        (vec!["--driver", "vmware"], vec!["vmware", "fake, libvirt"]),
        (vec!["--cloud-name", "a b"], vec!["--cloud-name", "letter"]),
        (vec!["--owner", "me"], vec!["uid:gid:/home"]),
        (vec!["--ready-fd", "77"], vec!["--ready-fd 77"]),
        (vec!["--listen", "192.0.2.1:0"], vec!["192.0.2.1:0"]),
    ] {
        let mut args = vec!["up", "--driver", "fake"];
        if flags[0] == "--driver" {
            args.truncate(1);
        }
        args.extend(&flags);
        if !flags.contains(&"--listen") {
            args.extend(["--listen", "127.0.0.1:0"]);
        }
        place.run(&args).refused(&words);
        untouched(&place);
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    place.run(&["up", "--driver", "fake", "--listen", &address]).refused(&[&address, "in use", "--listen"]);
    untouched(&place);
    for flag in ["--listen=nowhere", "--ready-fd=x", "--no-such-flag"] {
        assert_eq!(place.run(&["up", flag]).code, 2, "{flag}");
        untouched(&place);
    }
}

#[test]
fn the_doctor_reads_a_configuration_too() {
    let place = Place::new();
    let path = place.file("kilonova.toml", format!("{HOST}[compute.options]\nvpcus = 4\n"));
    let file = path.to_str().unwrap();
    let said = place.run(&["doctor", "--config", file]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("FAIL config") && said.out.contains("vpcus"), "{said:?}");
    let json = place.run(&["doctor", "--config", file, "--json"]).json();
    assert_eq!(json["checks"][0]["finding"], "broken");
    place.file("kilonova.toml", HOST);
    assert!(place.run(&["doctor", "--config", file]).good().out.contains("ok   config"));
    untouched(&place);
}
