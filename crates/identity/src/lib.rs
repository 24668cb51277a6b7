//! Keystone v3: tokens, users, projects, roles, catalog.
//!
//! The whole directory is held in memory and searched there; a change is planned against memory by a pure function,
//! made durable in one unit that is guarded by a revision, and then taken over into memory. If another controller
//! wrote meanwhile, the guard fails, the directory is read again and the change planned anew. Tokens are signed and
//! stored nowhere, so a login writes nothing and a check touches no database.
//!
//! Never logs or answers a password, a secret or a token, and never says which part of a login was wrong.

mod bootstrap;
mod cascade;
mod directory;
mod error;
mod http;
mod lockout;
mod login;
mod options;
mod password;
mod roles;
mod standing;
mod token;

pub use bootstrap::Seed;
pub use directory::Directory;
pub use error::Error;
pub use http::{NOT_BUILT, route_infos, router, routes};
pub use options::{BuiltIn, Hashing, Options};
pub use standing::Standing;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::identity::{Change, SigningKey};
use model::{Context, Env, Secret};
use password::Passwords;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use store::Store;
use std::time::Duration;
use web::{Authenticate, Failures, TokenFault};

/// How often a change is planned anew because another controller was first.
const ATTEMPTS: u32 = 8;

/// The identity service. Cheap to clone.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    store: Store,
    env: Env,
    options: Options,
    passwords: Passwords,
    lockout: lockout::Lockout,
    /// Wrong passwords, by address.
    failures: Failures,
    directory: RwLock<Directory>,
    /// Held from planning to taking over, so that memory takes changes in the order of the disk.
    writing: tokio::sync::Mutex<()>,
}

impl Identity {
    /// Reads the directory; makes the first signing key of a new one.
    /// # Errors
    /// The database's, or hash parameters that argon2 refuses.
    pub async fn new(store: Store, env: Env, options: Options) -> Result<Identity, Error> {
        let mut passwords = Passwords::new(&options.hashing, &env.random)?;
        passwords.inline = options.inline;
        if store.read(store::identity::revision).await.map_or(true, |r| r >= 1 << 53) {
            let now = env.now();
            if store.write(move |tx| store::identity::mend_revision(tx, now)).await? {
                tracing::error!("the revision of the identity directory was damaged; it begins anew above all there were");
            }
        }
        let (revision, changes) = store.read(store::identity::load).await?;
        let directory = RwLock::new(Directory::from_changes(revision, changes));
        let writing = tokio::sync::Mutex::new(());
        let lockout = lockout::Lockout::new(options.lockout_failure_attempts, Duration::from_secs(options.lockout_duration));
        let failures = Failures::per_minute(options.failed_logins);
        let inner = Inner { store, env, options, passwords, lockout, failures, directory, writing };
        let identity = Identity(Arc::new(inner));
        let key = identity.fresh_key();
        identity
            .change(move |d| Ok((if d.keys.is_empty() { vec![Change::PutKey(key.clone())] } else { vec![] }, ())))
            .await?;
        Ok(identity)
    }

    /// Signs with a new key from now on. The key before still verifies, older ones are dropped: two rotations void
    /// every token.
    /// # Errors
    /// The database's.
    pub async fn rotate_keys(&self) -> Result<(), Error> {
        let key = self.fresh_key();
        self.change(move |d| {
            let old = d.keys.len().saturating_sub(1);
            let dropped = d.keys.iter().take(old).map(|k| Change::DropKey(k.id.clone()));
            Ok((dropped.chain([Change::PutKey(key.clone())]).collect(), ()))
        })
        .await
    }

    /// Reads the directory again if another controller changed it; true if so. To be called now and then where
    /// several controllers share a database.
    /// # Errors
    /// The database's.
    pub async fn refresh(&self) -> Result<bool, Error> {
        let _one = self.0.writing.lock().await;
        if self.0.store.read(store::identity::revision).await? == self.directory().revision {
            return Ok(false);
        }
        self.reload().await?;
        Ok(true)
    }

    /// Does the project exist? Disabled ones do.
    pub fn project_exists(&self, id: &str) -> bool {
        self.directory().projects.contains_key(id)
    }
    /// Id of the project of that name in the first domain.
    pub fn project_named(&self, name: &str) -> Option<String> {
        self.directory().project_named(bootstrap::DEFAULT_DOMAIN, name).map(|p| p.id.clone())
    }
    /// A user's name.
    pub fn user_name(&self, id: &str) -> Option<String> {
        self.directory().users.get(id).map(|u| u.name.clone())
    }

    /// The options it runs with.
    pub fn options(&self) -> &Options {
        &self.0.options
    }
    pub(crate) fn env(&self) -> &Env {
        &self.0.env
    }
    pub(crate) fn lockout(&self) -> &lockout::Lockout {
        &self.0.lockout
    }
    pub(crate) fn failures(&self) -> &Failures {
        &self.0.failures
    }
    pub(crate) fn passwords(&self) -> &Passwords {
        &self.0.passwords
    }
    /// The directory. Hold it shortly, and never across an await.
    pub(crate) fn directory(&self) -> RwLockReadGuard<'_, Directory> {
        self.0.directory.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plans a change, makes it durable and takes it over. `plan` is pure and may run again; an empty change writes
    /// nothing. Goes on to its end even if the caller goes away: memory must not stay behind the disk.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        plan: impl Fn(&Directory) -> Result<(Vec<Change>, T), Error> + Send + 'static,
    ) -> Result<T, Error> {
        let this = self.clone();
        let done = tokio::spawn(async move { this.change_now(plan).await }).await;
        done.map_err(|e| Error::Store(store::Error::Unavailable(e.to_string())))?
    }

    async fn change_now<T>(&self, plan: impl Fn(&Directory) -> Result<(Vec<Change>, T), Error>) -> Result<T, Error> {
        let _one = self.0.writing.lock().await;
        for _ in 0..ATTEMPTS {
            let (expected, changes, answer) = {
                let directory = self.directory();
                let (changes, answer) = plan(&directory)?;
                (directory.revision, changes, answer)
            };
            if changes.is_empty() {
                return Ok(answer);
            }
            let unit = Arc::new(changes.clone());
            let written = self.0.store.write(move |tx| {
                if !store::identity::advance(tx, expected)? {
                    return Ok(false);
                }
                unit.iter().try_for_each(|change| store::identity::apply(tx, change)).map(|()| true)
            });
            match written.await {
                Ok(true) => {
                    let mut directory = self.0.directory.write().unwrap_or_else(PoisonError::into_inner);
                    directory.apply(changes, expected + 1);
                    return Ok(answer);
                }
                Ok(false) => self.reload().await?,
                Err(e) => {
                    // It may have happened all the same (a connection lost in the commit): memory follows the disk.
                    if let Err(e) = self.reload().await {
                        tracing::error!(error = %e, "the identity directory may be behind the database");
                    }
                    return Err(e.into());
                }
            }
        }
        Err(Error::Busy)
    }

    async fn reload(&self) -> Result<(), Error> {
        let (revision, changes) = self.0.store.read(store::identity::load).await?;
        *self.0.directory.write().unwrap_or_else(PoisonError::into_inner) = Directory::from_changes(revision, changes);
        Ok(())
    }

    fn fresh_key(&self) -> SigningKey {
        let (mut id, mut secret) = ([0; 6], vec![0; 32]);
        self.env().random.fill(&mut id);
        self.env().random.fill(&mut secret);
        SigningKey { id: URL_SAFE_NO_PAD.encode(id), created_at: self.env().now(), secret: Secret::new(secret) }
    }

    /// What the token a client sent is worth now.
    pub(crate) fn admit(&self, token: &str) -> Result<Standing, TokenFault> {
        let now = self.env().now();
        self.directory().admit(token, now)
    }
}

impl Authenticate for Identity {
    fn authenticate(&self, token: &str, request_id: &str) -> Result<Context, TokenFault> {
        self.admit(token).map(|standing| standing.context(request_id))
    }
}
