//! Passwords: argon2id on the blocking pool, a bounded number at once, and a short memory of those that were right, so
//! that a client which logs in for every command does not pay for every command.
//!
//! Never tells an unknown user from a wrong password, by answer or by time: both cost one hash.

use crate::Error;
use crate::options::Hashing;
use crate::token::mac;
use argon2::password_hash::{PasswordHash, PasswordHasher, SaltString};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use model::{Random, Secret, Timestamp};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

/// Longest password (Keystone's `[identity] max_password_length`), bytes.
pub const MAX_PASSWORD: usize = 4096;
/// Logins that may wait for a free place; more are told to come again.
const MAX_WAITING: usize = 512;
/// Longest wait for one.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// Right passwords that are remembered at once.
const MAX_REMEMBERED: usize = 4096;

/// The checker.
pub(crate) struct Passwords {
    params: Params,
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
    remember: Duration,
    /// Random for this process; what is remembered is of no use outside it.
    key: [u8; 32],
    right: Mutex<BTreeMap<[u8; 32], Timestamp>>,
    /// The memory of hashes, used again: freed, it would stay with every thread that ever computed one.
    memory: Arc<Mutex<Vec<Vec<Block>>>>,
    nobody: String,
    /// Work is done on the calling thread.
    pub(crate) inline: bool,
}

impl Passwords {
    pub(crate) fn new(options: &Hashing, random: &Random) -> Result<Passwords, Error> {
        let params =
            Params::new(options.memory_kib, options.passes, 1, None).map_err(|e| Error::Hashing(e.to_string()))?;
        let parallel = match options.parallel {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        };
        let mut key = [0; 32];
        random.fill(&mut key);
        // The hash of no password: 32 bytes that nobody looked for.
        let (salt, hash) = (STANDARD_NO_PAD.encode(&key[..16]), STANDARD_NO_PAD.encode(mac(&key, &[b"nobody"])));
        let nobody = format!("$argon2id$v=19$m={},t={},p=1${salt}${hash}", params.m_cost(), params.t_cost());
        Ok(Passwords {
            params,
            places: Arc::new(Semaphore::new(parallel)),
            waiting: AtomicUsize::new(0),
            remember: Duration::from_secs(options.remember),
            key,
            right: Mutex::new(BTreeMap::new()),
            memory: Arc::default(),
            nobody,
            inline: false,
        })
    }

    /// The hash to be stored (a PHC string).
    pub(crate) async fn hash(&self, password: &str, random: &Random) -> Result<Secret<String>, Error> {
        let mut salt = [0; 16];
        random.fill(&mut salt);
        let (argon, password) = (self.argon(), Secret::new(password.to_owned()));
        self.blocking(move || {
            let salt = SaltString::encode_b64(&salt).map_err(|e| Error::Hashing(e.to_string()))?;
            let hash = argon.hash_password(password.reveal().as_bytes(), &salt);
            hash.map(|h| Secret::new(h.to_string())).map_err(|e| Error::Hashing(e.to_string()))
        })
        .await
    }

    /// Whether `password` is the one of `stored`; without `stored` it never is, after the same work.
    pub(crate) async fn check(
        &self,
        stored: Option<&Secret<String>>,
        password: &str,
        now: Timestamp,
    ) -> Result<bool, Error> {
        if stored.is_some_and(|s| self.known(s, password, now)) {
            return Ok(true);
        }
        let known = stored.map(|s| self.key_of(s, password));
        let hash = stored.map_or_else(|| self.nobody.clone(), |s| s.reveal().clone());
        let (memory, password) = (self.memory.clone(), Secret::new(password.to_owned()));
        let right = self
            .blocking(move || {
                let pool = || memory.lock().unwrap_or_else(PoisonError::into_inner);
                let mut blocks = pool().pop().unwrap_or_default();
                let right = verify(password.reveal().as_bytes(), &hash, &mut blocks);
                // As many as there are places at most.
                pool().push(blocks);
                Ok(right? && password.reveal().len() <= MAX_PASSWORD)
            })
            .await?;
        let Some(known) = known else { return Ok(false) };
        if right && !self.remember.is_zero() {
            let mut all = self.right.lock().unwrap_or_else(PoisonError::into_inner);
            if all.len() >= MAX_REMEMBERED {
                all.clear();
            }
            all.retain(|_, until| *until > now);
            all.insert(known, now.plus(self.remember));
        }
        Ok(right)
    }

    /// Whether `password` was right for `stored` a moment ago. Never more work than a look.
    pub(crate) fn known(&self, stored: &Secret<String>, password: &str, now: Timestamp) -> bool {
        self.remembered(&self.key_of(stored, password), now)
    }

    fn key_of(&self, stored: &Secret<String>, password: &str) -> [u8; 32] {
        mac(&self.key, &[stored.reveal().as_bytes(), password.as_bytes()])
    }

    fn remembered(&self, known: &[u8; 32], now: Timestamp) -> bool {
        let all = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(known).is_some_and(|until| *until > now)
    }

    fn argon(&self) -> Argon2<'static> {
        Argon2::new(Algorithm::Argon2id, Version::V0x13, self.params.clone())
    }

    /// Runs `work` off the async threads when there is a place.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let _turn = Turn::take(&self.waiting)?;
        let place = tokio::time::timeout(MAX_WAIT, self.places.clone().acquire_owned()).await;
        let place = place.map_err(|_| Error::Busy)?.map_err(|_| Error::Busy)?;
        if self.inline {
            return work();
        }
        let done = tokio::task::spawn_blocking(move || {
            // Held by the work, not by the caller: one who gives up must not let another start beside it.
            let _place = place;
            work()
        });
        done.await.map_err(|e| Error::Hashing(e.to_string()))?
    }
}

/// Whether `password` is the one of `hash` (a PHC string), computed in `memory`.
fn verify(password: &[u8], hash: &str, memory: &mut Vec<Block>) -> Result<bool, Error> {
    fn wrong(e: impl std::fmt::Display) -> Error {
        Error::Hashing(e.to_string())
    }
    let hash = PasswordHash::new(hash).map_err(wrong)?;
    let (Some(salt), Some(expected)) = (hash.salt, hash.hash) else { return Err(wrong("a hash without salt or output")) };
    let algorithm = Algorithm::try_from(hash.algorithm).map_err(wrong)?;
    let version = hash.version.map_or(Ok(Version::V0x13), Version::try_from).map_err(wrong)?;
    let params = Params::try_from(&hash).map_err(wrong)?;
    let mut bytes = [0; 64];
    let salt = salt.decode_b64(&mut bytes).map_err(wrong)?;
    memory.resize(params.block_count(), Block::default());
    let mut out = vec![0; expected.len()];
    let argon = Argon2::new(algorithm, version, params);
    argon.hash_password_into_with_memory(password, salt, &mut out, &mut *memory).map_err(wrong)?;
    Ok(out.ct_eq(expected.as_bytes()).into())
}

/// A place in the queue, given back however the wait ends.
struct Turn<'a>(&'a AtomicUsize);

impl Turn<'_> {
    fn take(waiting: &AtomicUsize) -> Result<Turn<'_>, Error> {
        let turn = Turn(waiting);
        if waiting.fetch_add(1, Ordering::Relaxed) >= MAX_WAITING { Err(Error::Busy) } else { Ok(turn) }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn cheap(remember: u64) -> Passwords {
        let options = Hashing { memory_kib: 8, passes: 1, parallel: 1, remember };
        Passwords::new(&options, &Random::seeded(1)).unwrap()
    }

    #[tokio::test]
    async fn right_wrong_and_nobody() {
        let p = cheap(60);
        let stored = p.hash("päss", &Random::os()).await.unwrap();
        assert!(stored.reveal().starts_with("$argon2id$v=19$m=8,t=1,p=1$"));
        assert_ne!(stored, p.hash("päss", &Random::os()).await.unwrap());
        for _ in 0..2 {
            assert!(p.check(Some(&stored), "päss", Timestamp(0)).await.unwrap());
            assert!(!p.check(Some(&stored), "pass", Timestamp(0)).await.unwrap());
            assert!(!p.check(None, "päss", Timestamp(0)).await.unwrap());
        }
        assert!(!p.check(Some(&stored), &"x".repeat(MAX_PASSWORD + 1), Timestamp(0)).await.unwrap());
        // The stand-in for unknown users is a hash that argon2 can work on.
        assert!(PasswordHash::new(&p.nobody).is_ok());
    }

    #[tokio::test]
    async fn only_right_passwords_are_remembered_and_not_for_long() {
        let p = cheap(60);
        let stored = p.hash("one", &Random::os()).await.unwrap();
        p.check(Some(&stored), "two", Timestamp(0)).await.unwrap();
        assert!(p.right.lock().unwrap().is_empty());
        p.check(Some(&stored), "one", Timestamp(0)).await.unwrap();
        let known = mac(&p.key, &[stored.reveal().as_bytes(), b"one"]);
        assert!(p.remembered(&known, Timestamp(59_999_999)));
        assert!(!p.remembered(&known, Timestamp(60_000_000)));
        // Another hash of the same password is another key: a changed password forgets the old one.
        let changed = p.hash("three", &Random::os()).await.unwrap();
        assert!(!p.check(Some(&changed), "one", Timestamp(0)).await.unwrap());
    }
}
