//! How the cloud's process and libvirt are started and ended: by systemd where it is PID 1, else by ourselves.
//!
//! Pure: which commands, in words. Who needs root for them runs them through [`crate::command::as_root`].

use std::ffi::OsString;
use std::path::Path;

/// One command, its program first.
pub type Words = Vec<OsString>;

/// What a cloud is started with.
pub struct Cloud<'a> {
    pub binary: &'a Path,
    pub config: &'a Path,
    pub data: &'a Path,
    pub log: &'a Path,
    /// Name of its entry in clouds.yaml.
    pub name: &'a str,
    /// `uid:gid:home` of the user it is for.
    pub owner: &'a str,
}

fn words<'a>(list: impl IntoIterator<Item = &'a str>) -> Words {
    list.into_iter().map(OsString::from).collect()
}

/// The unit of a cloud: of this boot only, and gone with the cloud.
fn unit(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    format!("kilonova-{}.service", name.chars().map(plain).collect::<String>())
}

/// Starts a cloud that outlives us.
pub fn start(systemd: bool, c: &Cloud<'_>) -> Words {
    let mut all = if systemd {
        let mut run = words(["systemd-run", "--quiet", "--collect"]);
        run.push(format!("--unit={}", unit(c.name)).into());
        // Its children get the signal from it, in its order.
        run.push("--property=KillMode=mixed".into());
        for stream in ["StandardOutput", "StandardError"] {
            let mut property = OsString::from(format!("--property={stream}=append:"));
            property.push(c.log);
            run.push(property);
        }
        run.push("--".into());
        run.push(c.binary.into());
        run
    } else {
        let script = "log=$1; shift; exec \"$0\" \"$@\" >\"$log\" 2>&1 </dev/null";
        let mut run = words(["setsid", "--fork", "sh", "-c", script]);
        run.extend([OsString::from(c.binary), c.log.into()]);
        run
    };
    all.extend(["up".into(), "--config".into(), c.config.into(), "--data-dir".into(), c.data.into()]);
    all.extend(words(["--cloud-name", c.name, "--owner", c.owner]));
    all
}

/// Ends it, however it was started: a second word to who is gone already does no harm.
pub fn stop(systemd: bool, name: &str, pid: u64) -> Vec<Words> {
    let mut all = Vec::new();
    if systemd {
        all.push(words(["systemctl", "stop", &unit(name)]));
    }
    all.push(words(["kill", &pid.to_string()]));
    all
}

/// Starts the machine's libvirt; `None` where there is nobody to ask and we start one of our own.
pub fn libvirt(systemd: bool) -> Option<Words> {
    systemd.then(|| words(["systemctl", "start", "libvirtd.service"]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::process::Command;

    fn cloud<'a>(binary: &'a Path, log: &'a Path) -> Cloud<'a> {
        let (config, data) = (Path::new("/d/kilonova.toml"), Path::new("/d"));
        Cloud { binary, config, data, log, name: "my cloud", owner: "1:2:/home/a b" }
    }

    /// A program that writes down how it was called.
    fn recorder(dir: &Path, name: &str) -> std::path::PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = dir.join(name);
        std::fs::write(&path, format!("#!/bin/sh\nfor a in {name} \"$@\"; do printf '%s|' \"$a\"; done >>{}/said; echo >>{}/said; echo out\n", dir.display(), dir.display())).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn run(words: &[OsString], dir: &Path) {
        let path = format!("{}:{}", dir.display(), std::env::var("PATH").unwrap());
        assert!(Command::new(&words[0]).args(&words[1..]).env("PATH", path).status().unwrap().success(), "{words:?}");
    }

    fn said(dir: &Path, lines: usize) -> Vec<String> {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        loop {
            let text = std::fs::read_to_string(dir.join("said")).unwrap_or_default();
            if text.lines().count() >= lines || std::time::Instant::now() > deadline {
                return text.lines().map(str::to_owned).collect();
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn systemd_is_asked_in_words_that_it_understands() {
        let dir = scratch("systemd");
        for program in ["systemctl", "systemd-run", "kill"] {
            recorder(&dir, program);
        }
        let log = dir.join("k.log");
        run(&libvirt(true).unwrap(), &dir);
        run(&start(true, &cloud(Path::new("/b/kilonova"), &log)), &dir);
        for c in stop(true, "my cloud", 77) {
            run(&c, &dir);
        }
        let log = log.display();
        assert_eq!(said(&dir, 4), [
            "systemctl|start|libvirtd.service|".to_owned(),
            format!(
                "systemd-run|--quiet|--collect|--unit=kilonova-my_cloud.service|--property=KillMode=mixed|\
                 --property=StandardOutput=append:{log}|--property=StandardError=append:{log}|--|/b/kilonova|up|--config|\
                 /d/kilonova.toml|--data-dir|/d|--cloud-name|my cloud|--owner|1:2:/home/a b|"
            ),
            "systemctl|stop|kilonova-my_cloud.service|".to_owned(),
            "kill|77|".to_owned(),
        ]);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn without_it_the_cloud_is_a_session_of_its_own() {
        let dir = scratch("none");
        let (binary, log) = (recorder(&dir, "kilonova"), dir.join("k.log"));
        assert_eq!(libvirt(false), None);
        run(&start(false, &cloud(&binary, &log)), &dir);
        let up = "kilonova|up|--config|/d/kilonova.toml|--data-dir|/d|--cloud-name|my cloud|--owner|1:2:/home/a b|";
        assert_eq!(said(&dir, 1), [up]);
        assert_eq!(stop(false, "x", 77), [words(["kill", "77"])]);
        std::fs::remove_dir_all(dir).unwrap();
    }

    fn scratch(name: &str) -> std::path::PathBuf {
        let dir = std::env::temp_dir().join(format!("kilonova-xtask-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }
}
