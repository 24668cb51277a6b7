//! What is left in a home directory and in the data directory, and whether shells and clients can use it.

use crate::place::{Place, Said};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

#[test]
fn secrets_are_their_owners() {
    let place = Place::new();
    place.file("tiny.raw", vec![0; 1 << 20]);
    let _up = place.up_with(crate::place::PERSISTENT);
    place.run(&["launch", "tiny.raw", "--wait", "active"]).good();
    assert_eq!(Place::mode(&place.clouds_yaml()), "600");
    assert_eq!(Place::mode(&place.data()), "711", "guests' processes pass through, nobody looks around");
    for private in ["admin-password", "cloud.json", "kilonova.db", "lock"] {
        assert_eq!(Place::mode(&place.data().join(private)), "600", "{private}");
    }
    assert_eq!(Place::mode(&place.data().join("images")), "700");
    for passage in ["hosts", "hosts/f1"] {
        assert_eq!(Place::mode(&place.data().join(passage)), "711", "{passage}");
    }
    for entry in fs::read_dir(place.data()).unwrap() {
        let path = entry.unwrap().path();
        assert!(path.is_dir() || Place::mode(&path) == "600", "{}", path.display());
    }
}

#[test]
fn other_entries_and_comments_stay_and_the_first_backup_too() {
    let place = Place::new();
    let theirs = "# mine\nclouds:\n  # the big one\n  work:\n    auth: {auth_url: 'https://work'}  # here\n\n\ncache:\n  expiration_time: 3\n";
    let path = place.clouds_yaml();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, theirs).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    place.up(&["--driver", "fake"]).stop();
    let backup = path.with_extension("yaml.kilonova-backup");
    let once = fs::read_to_string(&path).unwrap();
    for line in theirs.lines() {
        assert!(once.lines().any(|l| l == line), "{line:?} is gone:\n{once}");
    }
    assert!(once.contains("  kilonova:\n"));
    assert_eq!(fs::read_to_string(&backup).unwrap(), theirs);
    assert_eq!((Place::mode(&path), Place::mode(&backup)), ("600".into(), "600".into()), "there is a password in it now");

    // Another port: the entry follows, the backup does not.
    let up = place.up(&["--driver", "fake"]);
    let twice = fs::read_to_string(&path).unwrap();
    assert!(twice.contains(up.auth_url()) && twice.matches("  kilonova:").count() == 1, "{twice}");
    assert_eq!(fs::read_to_string(&backup).unwrap(), theirs);
    drop(up);

    place.run(&["forget"]).good();
    assert_eq!(fs::read_to_string(&path).unwrap(), theirs);
}

#[test]
fn two_clouds_of_one_user_have_two_entries() {
    let place = Place::new();
    let _one = place.up(&["--driver", "fake"]);
    let other = place.path("other");
    let said = {
        let mut c = place.bare(&["up", "--driver", "fake", "--listen", "127.0.0.1:0", "--cloud-name", "second", "--data-dir"]);
        let mut child = c.arg(&other).stdout(std::process::Stdio::piped()).spawn().unwrap();
        crate::place::until("the second cloud", || other.join("cloud.json").exists().then_some(()));
        crate::place::until("its entry", || fs::read_to_string(place.clouds_yaml()).unwrap().contains("  second:").then_some(()));
        child.kill().unwrap();
        child.wait().unwrap();
        fs::read_to_string(place.clouds_yaml()).unwrap()
    };
    assert!(said.contains("  kilonova:\n") && said.contains("  second:\n"), "{said}");
}

#[test]
fn an_entry_of_that_name_that_is_not_ours_stays_and_the_cloud_starts() {
    let place = Place::new();
    let theirs = "clouds:\n    'kilonova':\n        auth: {auth_url: 'https://work'}\n";
    let path = place.clouds_yaml();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, theirs).unwrap();
    let _up = place.up(&["--driver", "fake"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), theirs);
    let said = place.read("up.err");
    assert!(said.contains("was not changed") && said.contains("--cloud-name"), "{said}");
    let screen = place.read("up.out");
    assert!(screen.contains("eval \"$(") && !screen.contains("OS_CLOUD"), "what is said works: {screen}");
    place.run(&["status"]).good();
}

#[test]
fn a_shell_evaluates_what_env_prints() {
    let place = Place::new();
    let data = place.path("a data 'directory'");
    let mut c = place.bare(&["up", "--driver", "fake", "--listen", "127.0.0.1:0", "--no-clouds-yaml", "--data-dir"]);
    let mut child = c.arg(&data).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    crate::place::until("the cloud", || data.join("cloud.json").exists().then_some(()));
    for shell in ["sh", "bash"] {
        // Leftovers of another cloud and a home without one: only what was evaluated can have worked.
        let script = format!(
            "export OS_CLOUD=other OS_TOKEN=x OS_PROJECT_ID=y OS_CACERT=/nowhere HOME=/nonexistent XDG_DATA_HOME=/nonexistent\n\
             eval \"$(\"$0\" env --data-dir '{}')\"\nenv | grep ^OS_ | sort\n\"$0\" status --json >&2",
            data.to_str().unwrap().replace('\'', r"'\''")
        );
        let said = place.shell(shell, &script).good();
        let status: serde_json::Value = serde_json::from_str(&said.err).unwrap();
        assert_eq!(status["hosts"][0]["state"], "up", "{status}");
        for set in ["OS_AUTH_URL=http://127.0.0.1:", "OS_USERNAME=admin", "OS_PROJECT_NAME=admin", "OS_IDENTITY_API_VERSION=3"] {
            assert!(said.out.contains(set), "{set}: {}", said.out);
        }
        for gone in ["OS_CLOUD", "OS_TOKEN", "OS_PROJECT_ID", "OS_CACERT"] {
            assert!(!said.out.contains(gone), "{gone}: {}", said.out);
        }
    }
    let json = Said::from(place.bare(&["env", "--json", "--data-dir"]).arg(&data).output().unwrap()).good().json();
    assert_eq!(json["OS_AUTH_TYPE"], "password");
    child.kill().unwrap();
    child.wait().unwrap();
    let stale = Said::from(place.bare(&["env", "--data-dir"]).arg(&data).output().unwrap()).good();
    assert!(stale.err.contains("does not run"), "{stale:?}");
    let stale = Said::from(place.bare(&["status", "--data-dir"]).arg(&data).output().unwrap());
    stale.refused(&["does not answer", "kilonova up"]);
}

#[test]
fn what_root_leaves_in_a_home_belongs_to_whom_it_was_said() {
    use std::os::unix::fs::MetadataExt;
    let place = Place::new();
    let home = place.path("theirs");
    fs::create_dir(&home).unwrap();
    // Only root can give files away; anybody else names themselves.
    let (uid, gid) = if nix::unistd::geteuid().is_root() {
        (65534, 65534)
    } else {
        (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw())
    };
    let owner = format!("{uid}:{gid}:{}", home.display());
    let up = place.up(&["--driver", "fake", "--owner", &owner]);
    let data = place.data();
    let yaml = home.join(".config/openstack/clouds.yaml");
    for path in [&yaml, &home.join(".config/openstack"), &data.join("admin-password"), &data.join("cloud.json"), &data] {
        let m = fs::metadata(path).unwrap();
        assert_eq!((m.uid(), m.gid()), (uid, gid), "{}", path.display());
    }
    assert!(!place.clouds_yaml().exists());
    up.stop();
    place.run(&["forget", "--owner", &owner]).good();
    assert!(!yaml.exists(), "it had no other entry");
}

#[test]
fn a_home_that_was_chosen_is_meant_even_behind_sudo() {
    let place = Place::new();
    let mut c = place.bare(&["up", "--driver", "fake", "--listen", "127.0.0.1:0", "--data-dir"]);
    let mut child = c.arg(place.data()).env("SUDO_UID", "0").stdout(std::process::Stdio::null()).spawn().unwrap();
    crate::place::until("the entry", || place.clouds_yaml().exists().then_some(()));
    child.kill().unwrap();
    child.wait().unwrap();
}
