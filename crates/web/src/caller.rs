//! Who calls: the token of a request becomes a [`Context`] once, before any router.

use crate::{Failures, Fault, Peer, too_many_failures};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::Response;
use model::policy::Rule;
use model::{Clock, Context, Random};
use std::sync::Arc;

/// What turns a token into a caller: the identity service, given to the frame as a value.
pub trait Authenticate: Send + Sync + 'static {
    /// The caller of `token`. Must answer from memory.
    /// # Errors
    /// Why the token is not accepted.
    fn authenticate(&self, token: &str, request_id: &str) -> Result<Context, TokenFault>;
}

/// Why a token is not accepted. Never holds the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// None was sent.
    #[error("The request you have made requires authentication: send a token in X-Auth-Token.")]
    Missing,
    /// It is forged, malformed, revoked or unknown.
    #[error("The token is not valid; log in again.")]
    Invalid,
    /// It was valid once.
    #[error("The token has expired; log in again.")]
    Expired,
    /// It is not valid, and neither were many before it from the same address.
    #[error("Too many failed attempts from this address.")]
    TooMany {
        /// When to come again, seconds.
        after: u64,
    },
}

impl From<TokenFault> for Fault {
    fn from(e: TokenFault) -> Fault {
        match e {
            TokenFault::TooMany { after } => too_many_failures(after),
            _ => Fault::unauthorized(e.to_string()),
        }
    }
}

/// The request's own id, `req-<uuid>`.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// State of the layer that authenticates.
#[derive(Clone)]
pub struct AuthState {
    authenticate: Arc<dyn Authenticate>,
    random: Random,
    failures: Option<(Arc<Failures>, Clock)>,
}

/// The layer in front of all routers: gives each request its id and, if a token came, its caller or the fault.
pub fn authenticate_layer(authenticate: Arc<dyn Authenticate>, random: Random) -> AuthState {
    AuthState { authenticate, random, failures: None }
}

impl AuthState {
    /// The same with a bound on tokens that are no tokens, by address. Expired ones do not count: they were no guess.
    #[must_use]
    pub fn limited(mut self, failures: Failures, clock: Clock) -> AuthState {
        self.failures = Some((Arc::new(failures), clock));
        self
    }
    /// What a token that is not valid is answered.
    fn count(&self, fault: TokenFault, peer: Option<Peer>) -> TokenFault {
        match (fault, &self.failures, peer) {
            (TokenFault::Invalid, Some((failures, clock)), Some(peer)) => match failures.charge(peer, clock.now()) {
                Ok(()) => fault,
                Err(after) => TokenFault::TooMany { after },
            },
            _ => fault,
        }
    }
    /// To be used with `axum::middleware::from_fn_with_state(state, AuthState::run)`.
    pub async fn run(State(state): State<AuthState>, mut request: Request, next: Next) -> Response {
        let id = format!("req-{}", state.random.uuid());
        let token = header(&request, "x-auth-token");
        let global = header(&request, "x-openstack-request-id").filter(|v| well_formed(v));
        let outcome = match token {
            None => Err(TokenFault::Missing),
            Some(token) => match state.authenticate.authenticate(&token, &id) {
                Ok(c) => Ok(Context { global_request_id: global, ..c }),
                Err(fault) => Err(state.count(fault, request.extensions().get().copied())),
            },
        };
        request.extensions_mut().insert(RequestId(id.clone()));
        request.extensions_mut().insert(outcome);
        let mut response = next.run(request).await;
        if let Ok(v) = HeaderValue::from_str(&id) {
            response.headers_mut().insert("x-openstack-request-id", v.clone());
            response.headers_mut().insert("x-compute-request-id", v);
        }
        response
    }
}

/// A function, not a closure: a borrow of the request would be held across the await and the future not be `Send`.
fn header(request: &Request, name: &str) -> Option<String> {
    request.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned)
}

/// `req-` and a UUID, nothing else: what a client sends must not reach a log unchecked.
fn well_formed(id: &str) -> bool {
    id.strip_prefix("req-").is_some_and(|u| uuid::Uuid::try_parse(u).is_ok())
}

/// The authenticated caller of a request.
#[derive(Debug, Clone)]
pub struct Caller(pub Context);

impl Caller {
    /// Holds `rule` against the owner of an object; 404 with `message` if the caller may not even know of it.
    /// # Errors
    /// 404 for objects of others, 403 where the role is missing in the own project.
    pub fn owns(&self, rule: Rule, owner: &str, message: impl FnOnce() -> String) -> Result<(), Fault> {
        if rule.allows(&self.0, owner) {
            Ok(())
        } else if self.0.project_id() == owner {
            Err(Fault::forbidden(format!("This needs {}.", rule.as_str())))
        } else {
            Err(Fault::not_found(message()))
        }
    }
}

impl std::ops::Deref for Caller {
    type Target = Context;
    fn deref(&self) -> &Context {
        &self.0
    }
}

type Outcome = Result<Context, TokenFault>;

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Fault;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, Fault> {
        match parts.extensions.get::<Outcome>() {
            Some(Ok(c)) => Ok(Caller(c.clone())),
            Some(Err(e)) => Err((*e).into()),
            None => Err(Fault::internal("a router runs without the authentication layer")),
        }
    }
}

/// The caller where a token is not needed.
#[derive(Debug, Clone)]
pub struct MaybeCaller(pub Option<Context>);

impl<S: Sync> FromRequestParts<S> for MaybeCaller {
    type Rejection = Fault;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<MaybeCaller, Fault> {
        Ok(MaybeCaller(parts.extensions.get::<Outcome>().and_then(|o| o.as_ref().ok()).cloned()))
    }
}

impl<S: Sync> FromRequestParts<S> for RequestId {
    type Rejection = Fault;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<RequestId, Fault> {
        parts.extensions.get::<RequestId>().cloned().ok_or_else(|| Fault::internal("a request without id"))
    }
}

/// Holds the route's rule against the caller before the handler runs.
pub(crate) fn admit(parts: &axum::http::Extensions, rule: Rule, policy: &str) -> Result<(), Fault> {
    if rule == Rule::Anyone {
        return Ok(());
    }
    match parts.get::<Outcome>() {
        Some(Ok(c)) if rule.admits(Some(c)) => Ok(()),
        Some(Ok(_)) => {
            Err(Fault::forbidden(format!("Policy doesn't allow {policy} to be performed: it needs {}.", rule.as_str())))
        }
        Some(Err(e)) => Err((*e).into()),
        None => Err(Fault::internal("a router runs without the authentication layer")),
    }
}
