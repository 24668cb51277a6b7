//! Login: proofs of who somebody is become a token for a scope. Never writes, and never says which part was wrong.

use crate::directory::Directory;
use crate::token::{Token, TokenScope};
use crate::{Error, Identity, Standing};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::identity::{AppCredential, User};
use model::{Secret, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use web::Peer;

/// Body of `POST /v3/auth/tokens`.
#[derive(Debug, Deserialize)]
pub(crate) struct AuthBody {
    pub(crate) auth: Auth,
}

/// What is under `auth`.
#[derive(Debug, Deserialize)]
pub(crate) struct Auth {
    identity: Methods,
    scope: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Methods {
    methods: Vec<String>,
    password: Option<ByPassword>,
    token: Option<ByToken>,
    application_credential: Option<ByAppCredential>,
}

#[derive(Debug, Deserialize)]
struct ByPassword {
    user: PasswordUser,
}

#[derive(Debug, Deserialize)]
struct PasswordUser {
    #[serde(flatten)]
    who: Named,
    password: Secret<String>,
}

#[derive(Debug, Deserialize)]
struct ByToken {
    id: Secret<String>,
}

#[derive(Debug, Deserialize)]
struct ByAppCredential {
    id: Option<String>,
    name: Option<String>,
    user: Option<Named>,
    secret: Secret<String>,
}

/// A user or project: by id, or by name in a domain.
#[derive(Debug, Deserialize)]
struct Named {
    id: Option<String>,
    name: Option<String>,
    domain: Option<DomainRef>,
}

#[derive(Debug, Deserialize)]
struct DomainRef {
    id: Option<String>,
    name: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ScopeBody {
    project: Option<Named>,
    domain: Option<DomainRef>,
    system: Option<SystemRef>,
    unscoped: Option<Value>,
    #[serde(rename = "OS-TRUST:trust")]
    trust: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct SystemRef {
    all: bool,
}

/// What a client asks to be let into.
enum Wanted {
    /// The user's default project, or nothing.
    Default,
    /// Exactly this.
    Scope(TokenScope),
}

/// Who was proven to call, and what follows from how.
#[derive(Debug, Default)]
struct Proof {
    user_id: Option<String>,
    methods: Vec<String>,
    /// First audit id of the token it came from.
    chain: Option<String>,
    /// A token made from a token does not outlive it.
    expires: Option<Timestamp>,
    app_credential: Option<AppCredential>,
    /// The hash that the password was right for, to be compared once more at issue.
    hash: Option<Secret<String>>,
}

fn missing(attribute: &str, target: &str) -> Error {
    Error::Invalid(format!(
        "Expecting to find {attribute} in {target}. The server could not comply with the request since it is either \
         malformed or otherwise incorrect. The client is assumed to be in error."
    ))
}

impl Directory {
    fn domain_of(&self, domain: Option<&DomainRef>, target: &str) -> Result<Option<String>, Error> {
        let domain = domain.ok_or_else(|| missing("domain", target))?;
        match (&domain.id, &domain.name) {
            (Some(id), _) => Ok(Some(id.clone())),
            (None, Some(name)) => Ok(self.domain_named(name).map(|d| d.id.clone())),
            (None, None) => Err(missing("id or name", "domain")),
        }
    }
    fn find_user(&self, who: &Named) -> Result<Option<&User>, Error> {
        match (&who.id, &who.name) {
            (Some(id), _) => Ok(self.users.get(id)),
            (None, Some(name)) => {
                let domain = self.domain_of(who.domain.as_ref(), "user")?;
                Ok(domain.and_then(|d| self.user_named(&d, name)))
            }
            (None, None) => Err(missing("id or name", "user")),
        }
    }
    fn find_app_credential(&self, by: &ByAppCredential) -> Result<Option<&AppCredential>, Error> {
        if let Some(id) = &by.id {
            return Ok(self.app_credentials.get(id));
        }
        let name = by.name.as_deref().ok_or_else(|| missing("id or name", "application_credential"))?;
        let user = self.find_user(by.user.as_ref().ok_or_else(|| missing("user", "application_credential"))?)?;
        Ok(user.and_then(|u| self.app_credentials_of(&u.id).find(|c| c.name == name)))
    }
    fn wanted(&self, scope: Option<Value>) -> Result<Wanted, Error> {
        let scope = match scope {
            None | Some(Value::Null) => return Ok(Wanted::Default),
            Some(Value::String(word)) if word == "unscoped" => return Ok(Wanted::Scope(TokenScope::Unscoped)),
            Some(value) => value,
        };
        let body: ScopeBody = serde_json::from_value(scope).map_err(|_| {
            Error::field(
                "scope",
                "it is not of the form {\"project\": {\"id\": …}}, {\"domain\": …} or {\"system\": …}",
            )
        })?;
        if body.trust.is_some() {
            return Err(Error::NotBuilt("a scope of OS-TRUST:trust"));
        }
        if body.unscoped.is_some() {
            return Ok(Wanted::Scope(TokenScope::Unscoped));
        }
        let scope = match (body.project, body.domain, body.system) {
            (Some(project), None, None) => match (&project.id, &project.name) {
                (Some(id), _) => TokenScope::Project(id.clone()),
                (None, Some(name)) => {
                    let domain = self.domain_of(project.domain.as_ref(), "project")?;
                    let found = domain.and_then(|d| self.project_named(&d, name));
                    TokenScope::Project(found.ok_or(Error::Unauthorized)?.id.clone())
                }
                (None, None) => return Err(missing("id or name", "project")),
            },
            (None, Some(domain), None) => {
                TokenScope::Domain(self.domain_of(Some(&domain), "scope")?.ok_or(Error::Unauthorized)?)
            }
            (None, None, Some(system)) if system.all => TokenScope::System,
            (None, None, Some(_)) => return Err(Error::field("scope/system/all", "True was expected")),
            _ => return Err(Error::field("scope", "exactly one of project, domain, system and unscoped is expected")),
        };
        Ok(Wanted::Scope(scope))
    }
}

impl Proof {
    /// Takes note of a method; all must prove the same user.
    fn add(&mut self, user_id: &str, method: &str) -> Result<(), Error> {
        if self.user_id.as_deref().is_some_and(|known| known != user_id) {
            return Err(Error::Unauthorized);
        }
        self.user_id = Some(user_id.to_owned());
        if !self.methods.iter().any(|m| m == method) {
            self.methods.push(method.to_owned());
        }
        Ok(())
    }
}

impl Identity {
    /// Checks every method given and issues a token.
    /// # Errors
    /// 400 for what cannot be understood, 401 for what is not right.
    pub(crate) async fn login(&self, auth: Auth, peer: Option<Peer>) -> Result<(String, Standing), Error> {
        let proof = self.prove(&auth.identity, peer).await?;
        self.issue(proof, auth.scope)
    }

    async fn prove(&self, given: &Methods, peer: Option<Peer>) -> Result<Proof, Error> {
        let mut proof = Proof::default();
        if given.methods.is_empty() {
            return Err(Error::field("identity/methods", "[] should be non-empty"));
        }
        for method in &given.methods {
            let absent = || missing(method, "identity");
            match method.as_str() {
                "password" => self.by_password(given.password.as_ref().ok_or_else(absent)?, peer, &mut proof).await?,
                "token" => self.by_token(given.token.as_ref().ok_or_else(absent)?, &mut proof)?,
                "application_credential" => {
                    let by = given.application_credential.as_ref().ok_or_else(absent)?;
                    self.by_app_credential(by, peer, &mut proof).await?;
                }
                _ => return Err(Error::Refused("Attempted to authenticate with an unsupported method.".into())),
            }
        }
        Ok(proof)
    }

    async fn by_password(&self, by: &ByPassword, peer: Option<Peer>, proof: &mut Proof) -> Result<(), Error> {
        let found = {
            let directory = self.directory();
            let user = directory.find_user(&by.user.who)?;
            user.map(|u| (u.id.clone(), u.password.clone()))
        };
        let (id, stored) = found.unzip();
        let stored = stored.flatten();
        let right = self.guess(id.as_deref(), stored.as_ref(), by.user.password.reveal(), peer).await?;
        let id = id.filter(|_| right).ok_or(Error::Unauthorized)?;
        proof.hash = stored;
        proof.add(&id, "password")
    }

    fn by_token(&self, by: &ByToken, proof: &mut Proof) -> Result<(), Error> {
        let old = self.admit(by.id.reveal()).map_err(|_| Error::Unauthorized)?;
        for method in &old.token.methods {
            proof.add(&old.user.id, method)?;
        }
        proof.add(&old.user.id, "token")?;
        proof.chain = Some(old.token.chain_id().to_owned());
        proof.expires = Some(old.token.expires_at);
        if let Some(id) = &old.token.app_credential_id {
            proof.app_credential = self.directory().app_credentials.get(id).cloned();
        }
        Ok(())
    }

    /// Whether the password is right, at a price for the address that guesses, and for the account. What was right a
    /// moment ago costs nothing, so that a flood of guesses keeps nobody out who works.
    pub(crate) async fn guess(
        &self,
        user_id: Option<&str>,
        stored: Option<&Secret<String>>,
        password: &str,
        peer: Option<Peer>,
    ) -> Result<bool, Error> {
        let now = self.env().now();
        let account = user_id.zip(stored);
        if account.is_some_and(|(id, hash)| self.lockout().closed(id, hash, now)) {
            return Ok(false);
        }
        if stored.is_some_and(|s| self.passwords().known(s, password, now)) {
            return Ok(true);
        }
        if let Some(peer) = peer {
            self.failures().charge(peer, now).map_err(Error::TooMany)?;
        }
        let outcome = self.passwords().check(stored, password, now).await;
        // Right, or not looked at for want of a place: no failure of theirs.
        if let (Ok(true) | Err(_), Some(peer)) = (&outcome, peer) {
            self.failures().refund(peer);
        }
        match (&outcome, account) {
            (Ok(true), Some((id, _))) => self.lockout().right(id),
            (Ok(false), Some((id, hash))) => self.lockout().failed(id, hash, now),
            _ => {}
        }
        outcome
    }

    async fn by_app_credential(
        &self,
        by: &ByAppCredential,
        peer: Option<Peer>,
        proof: &mut Proof,
    ) -> Result<(), Error> {
        let found = self.directory().find_app_credential(by)?.cloned();
        let stored = found.as_ref().map(|c| &c.secret);
        let right = self.guess(None, stored, by.secret.reveal(), peer).await?;
        let credential = found.filter(|_| right).ok_or(Error::Unauthorized)?;
        proof.add(&credential.user_id, "application_credential")?;
        proof.app_credential = Some(credential);
        Ok(())
    }

    fn issue(&self, proof: Proof, scope: Option<Value>) -> Result<(String, Standing), Error> {
        let now = self.env().now();
        let mut audit = [0; 16];
        self.env().random.fill(&mut audit);
        let directory = self.directory();
        let wanted = directory.wanted(scope)?;
        let user_id = proof.user_id.ok_or(Error::Unauthorized)?;
        let user = directory.users.get(&user_id).ok_or(Error::Unauthorized)?;
        // The password may have been changed while its hash was computed.
        if proof.hash.is_some() && proof.hash != user.password {
            return Err(Error::Unauthorized);
        }
        let scope = match (&proof.app_credential, wanted) {
            (None, Wanted::Scope(scope)) => Some(scope),
            (None, Wanted::Default) => None,
            (Some(credential), Wanted::Default) => Some(TokenScope::Project(credential.project_id.clone())),
            (Some(credential), Wanted::Scope(TokenScope::Project(id))) if id == credential.project_id => {
                Some(TokenScope::Project(id))
            }
            (Some(_), Wanted::Scope(_)) => {
                return Err(Error::Refused(
                    "Error authenticating with application credential: Application credentials cannot request a scope."
                        .into(),
                ));
            }
        };
        let key = directory.keys.last().ok_or(Error::Busy)?;
        let life = now.plus(self.options().token_life());
        let ends = [proof.expires, proof.app_credential.as_ref().and_then(|c| c.expires_at)];
        let expires = ends.into_iter().flatten().fold(life, Timestamp::min);
        let audit_ids = [URL_SAFE_NO_PAD.encode(audit)].into_iter().chain(proof.chain).collect();
        let token = |scope| Token {
            key_id: key.id.clone(),
            user_id: user_id.clone(),
            scope,
            methods: proof.methods.clone(),
            issued_at: now,
            // Whole seconds, as the original's.
            expires_at: Timestamp(expires.0 - expires.0.rem_euclid(1_000_000)),
            audit_ids,
            revision: directory.revision,
            app_credential_id: proof.app_credential.as_ref().map(|c| c.id.clone()),
        };
        let standing = match (scope, &user.default_project_id) {
            (Some(scope), _) => directory.judge(token(scope), now),
            (None, Some(project)) => {
                // A default project that is no scope any more is no reason to keep the user out.
                let mut first = token(TokenScope::Project(project.clone()));
                directory.judge(first.clone(), now).or_else(|_| {
                    first.scope = TokenScope::Unscoped;
                    directory.judge(first, now)
                })
            }
            (None, None) => directory.judge(token(TokenScope::Unscoped), now),
        };
        let standing = standing.map_err(|_| Error::Unauthorized)?;
        Ok((standing.token.sign(key), standing))
    }
}
