//! Records of the identity service, and the changes that one unit may make to them.
//!
//! Nothing here decides who may do what: rules live in the `identity` crate. Ids are strings (32 hex digits, or
//! `default` for the first domain), because Keystone's are, and imported ones may have any form.

use crate::{Secret, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// A domain: the owner of users, groups and projects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// Identity.
    pub id: String,
    /// Unique in the cloud.
    pub name: String,
    /// Free text.
    pub description: String,
    /// False: nobody of it logs in, nothing in it is a scope.
    pub enabled: bool,
    /// Tokens issued at an older revision of the directory are void in it.
    pub token_floor: u64,
    /// Resource options (`immutable`).
    pub options: Map<String, Value>,
    /// Further properties a client gave.
    pub extra: Map<String, Value>,
}

/// A project: the owner of resources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// Identity.
    pub id: String,
    /// Its domain.
    pub domain_id: String,
    /// The project above it; `None` if it stands right below its domain.
    pub parent_id: Option<String>,
    /// Unique in its domain.
    pub name: String,
    /// Free text.
    pub description: String,
    /// False: it is no scope.
    pub enabled: bool,
    /// Tags.
    pub tags: BTreeSet<String>,
    /// As in [`Domain`].
    pub token_floor: u64,
    /// Resource options (`immutable`).
    pub options: Map<String, Value>,
    /// Further properties a client gave.
    pub extra: Map<String, Value>,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Identity.
    pub id: String,
    /// Its domain.
    pub domain_id: String,
    /// Unique in its domain.
    pub name: String,
    /// False: logs in no more, and its tokens are void.
    pub enabled: bool,
    /// Argon2id hash (PHC string); `None` cannot log in by password.
    pub password: Option<Secret<String>>,
    /// Scope of a login that names none.
    pub default_project_id: Option<String>,
    /// As in [`Domain`].
    pub token_floor: u64,
    /// User options (`ignore_password_expiry` and such; kept, without effect).
    pub options: Map<String, Value>,
    /// Further properties a client gave (`email`, `description`).
    pub extra: Map<String, Value>,
}

/// A group of users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Identity.
    pub id: String,
    /// Its domain.
    pub domain_id: String,
    /// Unique in its domain.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Further properties a client gave.
    pub extra: Map<String, Value>,
}

/// A role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// Identity.
    pub id: String,
    /// A domain's own role is never in a token; it only implies others.
    pub domain_id: Option<String>,
    /// Unique in its domain, or in the cloud.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// Resource options (`immutable`).
    pub options: Map<String, Value>,
    /// Further properties a client gave.
    pub extra: Map<String, Value>,
}

/// Who holds a role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Actor {
    /// One user.
    User(String),
    /// Every member of a group.
    Group(String),
}

/// Where a role is held.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Target {
    /// In a project.
    Project(String),
    /// In a domain (not in its projects, unless inherited).
    Domain(String),
    /// In the whole system.
    System,
}

/// A role assignment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Grant {
    /// Who.
    pub actor: Actor,
    /// Where.
    pub target: Target,
    /// Which role.
    pub role_id: String,
    /// True: not at the target itself but in every project below it.
    pub inherited: bool,
}

/// An application credential: a login of its own for a program, bound to one project and some roles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppCredential {
    /// Identity.
    pub id: String,
    /// Whose it is.
    pub user_id: String,
    /// Its only scope.
    pub project_id: String,
    /// Unique for its user.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// Argon2id hash of the secret.
    pub secret: Secret<String>,
    /// Ids of the roles it gives, as far as the user still holds them.
    pub roles: BTreeSet<String>,
    /// End of its life.
    pub expires_at: Option<Timestamp>,
    /// May make and delete other application credentials.
    pub unrestricted: bool,
}

/// A service of the catalogue that an administrator added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogService {
    /// Identity.
    pub id: String,
    /// Type (`volumev3`).
    pub kind: String,
    /// Name (`cinder`).
    pub name: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// False: not in catalogues.
    pub enabled: bool,
    /// Further properties a client gave.
    pub extra: Map<String, Value>,
}

/// An endpoint of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Identity.
    pub id: String,
    /// Its service.
    pub service_id: String,
    /// `public`, `internal` or `admin`.
    pub interface: String,
    /// Its region.
    pub region_id: Option<String>,
    /// URL; `%(project_id)s` and `$(project_id)s` are replaced in catalogues.
    pub url: String,
    /// False: not in catalogues.
    pub enabled: bool,
    /// Further properties a client gave.
    pub extra: Map<String, Value>,
}

/// A region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    /// Identity, chosen by the client or made.
    pub id: String,
    /// Free text.
    pub description: String,
    /// The region around it.
    pub parent_region_id: Option<String>,
    /// Further properties a client gave.
    pub extra: Map<String, Value>,
}

/// A token that was revoked before its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokedToken {
    /// The token's own audit id.
    pub audit_id: String,
    /// Tokens that came from it by rescoping are void too.
    pub descendants: bool,
    /// After this the tokens are expired anyway and the row may go.
    pub expires_at: Timestamp,
}

/// A key that tokens are signed with. The newest signs, all verify.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKey {
    /// Identity, carried by tokens.
    pub id: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// 32 bytes.
    pub secret: Secret<Vec<u8>>,
}

/// One change of the directory. Loading is the changes that lead from nothing to what is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Makes or replaces a domain.
    PutDomain(Domain),
    /// Removes it.
    DropDomain(String),
    /// Makes or replaces a project.
    PutProject(Project),
    /// Removes it.
    DropProject(String),
    /// Makes or replaces a user.
    PutUser(User),
    /// Removes it.
    DropUser(String),
    /// Makes or replaces a group.
    PutGroup(Group),
    /// Removes it.
    DropGroup(String),
    /// Puts a user into a group.
    Join {
        /// Group.
        group: String,
        /// User.
        user: String,
    },
    /// Takes a user out of a group.
    Leave {
        /// Group.
        group: String,
        /// User.
        user: String,
    },
    /// Makes or replaces a role.
    PutRole(Role),
    /// Removes it.
    DropRole(String),
    /// Who holds `prior` holds `implied`.
    Imply {
        /// Prior role.
        prior: String,
        /// Implied role.
        implied: String,
    },
    /// No longer.
    Unimply {
        /// Prior role.
        prior: String,
        /// Implied role.
        implied: String,
    },
    /// Assigns a role.
    Grant(Grant),
    /// Takes it away.
    Ungrant(Grant),
    /// Makes or replaces an application credential.
    PutAppCredential(AppCredential),
    /// Removes it.
    DropAppCredential(String),
    /// Makes or replaces a service.
    PutService(CatalogService),
    /// Removes it.
    DropService(String),
    /// Makes or replaces an endpoint.
    PutEndpoint(Endpoint),
    /// Removes it.
    DropEndpoint(String),
    /// Makes or replaces a region.
    PutRegion(Region),
    /// Removes it.
    DropRegion(String),
    /// Voids one token.
    Revoke(RevokedToken),
    /// Forgets revocations of tokens that expired before this.
    ForgetRevoked(Timestamp),
    /// Adds a signing key.
    PutKey(SigningKey),
    /// Removes it.
    DropKey(String),
}
