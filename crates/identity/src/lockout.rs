//! Accounts that are closed for a while after failed logins (Keystone's `[security_compliance] lockout_*`).
//!
//! In memory and bounded: a restart opens them. Off unless the operator asks for it, as in the original, since whoever
//! knows a name can close its account. It counts only accounts that exist and says nothing of its own to a client.

use model::{Secret, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Accounts that are counted at once.
const MAX_ACCOUNTS: usize = 10_000;

/// The failed logins of one account.
#[derive(Debug)]
struct Failed {
    attempts: u32,
    last: Timestamp,
    /// What was guessed at: with a new password counting begins anew.
    hash: Secret<String>,
}

/// The table.
#[derive(Debug)]
pub(crate) struct Lockout {
    attempts: u32,
    duration: Duration,
    accounts: Mutex<BTreeMap<String, Failed>>,
}

impl Lockout {
    /// Closes an account for `duration` after `attempts` failures; 0 never.
    pub(crate) fn new(attempts: u32, duration: Duration) -> Lockout {
        Lockout { attempts, duration, accounts: Mutex::default() }
    }

    /// Is the account closed? One whose time is over begins anew.
    pub(crate) fn closed(&self, user_id: &str, hash: &Secret<String>, now: Timestamp) -> bool {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(failed) = accounts.get(user_id) else { return false };
        if failed.hash != *hash || (failed.attempts >= self.attempts && failed.last.plus(self.duration) <= now) {
            accounts.remove(user_id);
            return false;
        }
        failed.attempts >= self.attempts
    }

    /// A wrong password.
    pub(crate) fn failed(&self, user_id: &str, hash: &Secret<String>, now: Timestamp) {
        if self.attempts == 0 {
            return;
        }
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if accounts.len() >= MAX_ACCOUNTS && !accounts.contains_key(user_id) {
            let oldest = accounts.iter().min_by_key(|(_, f)| f.last).map(|(id, _)| id.clone());
            accounts.remove(&oldest.unwrap_or_default());
        }
        let fresh = || Failed { attempts: 0, last: now, hash: hash.clone() };
        let row = accounts.entry(user_id.to_owned()).or_insert_with(fresh);
        if row.hash != *hash {
            *row = fresh();
        }
        row.attempts = row.attempts.saturating_add(1);
        row.last = now;
        if row.attempts == self.attempts {
            tracing::warn!(user = user_id, attempts = row.attempts, "the account is closed for a while after failed logins");
        }
    }

    /// The right one.
    pub(crate) fn right(&self, user_id: &str) {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner).remove(user_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_and_a_new_password_begins_anew() {
        let (lockout, now) = (Lockout::new(2, Duration::from_secs(60)), Timestamp(0));
        let [one, two] = ["one", "two"].map(|h| Secret::new(h.to_owned()));
        for _ in 0..2 {
            assert!(!lockout.closed("u", &one, now));
            lockout.failed("u", &one, now);
        }
        assert!(lockout.closed("u", &one, now));
        assert!(!lockout.closed("u", &two, now), "another password is another account to guess at");
        for n in 0..11_000 {
            lockout.failed(&format!("u{n}"), &one, Timestamp(n));
        }
        assert_eq!(lockout.accounts.lock().map(|a| a.len()).unwrap_or_default(), MAX_ACCOUNTS);
        let off = Lockout::new(0, Duration::from_secs(60));
        (0..100).for_each(|_| off.failed("u", &one, now));
        assert!(!off.closed("u", &one, now));
    }
}
