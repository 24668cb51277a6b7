//! To whom the files belong that are left in a home directory, where root runs the cloud for somebody.

use nix::unistd::{Gid, Uid, User};
use std::path::{Path, PathBuf};

/// Who owns what is left in a home directory.
#[derive(Debug, Clone)]
pub struct Owner {
    uid: Uid,
    gid: Gid,
    /// Where clouds.yaml goes.
    pub home: PathBuf,
}

impl Owner {
    /// `uid:gid:home`.
    /// # Errors
    /// Another form.
    pub fn parse(text: &str) -> Result<Owner, String> {
        let mut parts = text.splitn(3, ':');
        let number = |p: Option<&str>| p.and_then(|p| p.parse::<u32>().ok());
        match (number(parts.next()), number(parts.next()), parts.next()) {
            (Some(uid), Some(gid), Some(home)) if Path::new(home).is_absolute() => {
                Ok(Owner { uid: uid.into(), gid: gid.into(), home: PathBuf::from(home) })
            }
            _ => Err(format!("--owner {text}: use uid:gid:/home")),
        }
    }
    /// The user of this process; behind sudo, the one who called it.
    pub fn current() -> Owner {
        let euid = nix::unistd::geteuid();
        let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from);
        let caller = || std::env::var("SUDO_UID").ok()?.parse::<u32>().ok().map(Uid::from_raw);
        // A HOME that is not root's own was chosen by somebody, and is meant.
        let as_sudo_leaves_it = || User::from_uid(euid).ok().flatten().is_some_and(|root| root.dir == home);
        if euid.is_root()
            && let Some(user) = caller().and_then(|uid| User::from_uid(uid).ok().flatten())
            && as_sudo_leaves_it()
        {
            return Owner { uid: user.uid, gid: user.gid, home: user.dir };
        }
        Owner { uid: euid, gid: nix::unistd::getegid(), home }
    }
    /// Makes them the owner, where we are root.
    pub fn give(&self, path: &Path) {
        if nix::unistd::geteuid().is_root() && path.exists() {
            let _ = nix::unistd::chown(path, Some(self.uid), Some(self.gid));
        }
    }
    /// Their clouds.yaml.
    pub fn clouds_yaml(&self) -> PathBuf {
        self.home.join(".config/openstack/clouds.yaml")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::Owner;

    #[test]
    fn reads_its_one_form() {
        assert_eq!(Owner::parse("1000:100:/home/a:b").unwrap().home.to_str(), Some("/home/a:b"));
        for wrong in ["", "1000", "a:b:/c", "1:2", "1:2:relative"] {
            assert!(Owner::parse(wrong).is_err(), "{wrong}");
        }
    }
}
